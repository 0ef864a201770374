"""Random streams that collide with a definition file.

A stream takes its times from what has happened already plus a duration of the definitions, plus or
minus a millisecond, so that events fall on, just before and just after the ends of windows,
lookbacks and lives.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.properties.event_strategies import events_for
from tests.properties.recount_account import durations_in
from tests.properties.recount_events import arrival
from tests.properties.value_strategies import (
    ATTRIBUTES,
    DAY,
    START,
    nullable_scalars,
    scalars,
)

Json = Any


class Instants:
    """Times that meet: an earlier one, a duration of the definitions further, give or take 1 ms."""

    def __init__(self, draw: st.DrawFn, definitions: Json) -> None:
        self.draw = draw
        self.known = [START]
        self.offsets = sorted({0, 1, *durations_in(definitions)})

    def next(self) -> int:
        """Another instant, most often later than some known one, at times earlier."""
        base = self.draw(st.sampled_from(self.known[-4:]))
        offset = self.draw(st.sampled_from(self.offsets))
        direction = self.draw(st.sampled_from([1, 1, 1, 1, 1, -1]))
        instant = base + direction * offset + self.draw(st.sampled_from([0, 0, 1, 1, -1]))
        instant = min(max(instant, START - 40 * DAY), START + 400 * DAY)
        self.known.append(instant)
        return instant


custom_attributes = st.dictionaries(st.sampled_from(["k", "K", "$v"]), nullable_scalars, max_size=2)
user_attributes = st.dictionaries(
    st.sampled_from(["k", "K", "$v"]),
    st.one_of(nullable_scalars, st.lists(scalars, max_size=3)),
    max_size=2,
)
devices = st.fixed_dictionaries(
    {},
    optional={
        "platform": st.sampled_from(["iOS", "ss"]),
        "os_version": st.sampled_from(["42", "7.1.2"]),
    },
)
applications = st.fixed_dictionaries(
    {},
    optional={
        "application_version": st.sampled_from(["42", "1.0.1"]),
        "application_build_number": st.sampled_from(["a", "7"]),
    },
)


@st.composite
def batches(draw: st.DrawFn, definitions: Json, instants: Instants) -> Json:
    """One batch. Ids come again only within a day of arrival: how long they are known is open."""
    inputs = [one for workspace in definitions["workspaces"] for one in workspace["inputs"]]
    found: Json = {"mpid": draw(st.sampled_from([*[12] * 7, "12", 0, -7, 2**63 - 1]))}
    if key := draw(st.sampled_from(inputs)).get("api_key"):
        found["api_key"] = key
    asked = events_for(definitions)
    events = [dict(draw(asked)) for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3])))]
    timed = draw(st.booleans()) or not events
    if timed:
        found["timestamp_unixtime_ms"] = instants.next()
    for event in events:
        event["data"] = dict(event["data"])
        if not timed or draw(st.integers(0, 2)):
            same = timed and draw(st.integers(0, 3)) == 0
            event["data"]["timestamp_unixtime_ms"] = (
                found["timestamp_unixtime_ms"] if same else instants.next()
            )
        if attributes := draw(custom_attributes):
            event["data"]["custom_attributes"] = attributes
    if events:
        found["events"] = events
    day = arrival(found) // DAY
    for event in events:
        if draw(st.integers(0, 2)) == 0:
            event["data"]["source_message_id"] = f"m{draw(st.integers(0, 2))}-{day}"
    if draw(st.integers(0, 4)) == 0:
        found["source_request_id"] = f"r{draw(st.integers(0, 2))}-{day}"
    for part, strategy in (
        ("user_attributes", user_attributes),
        ("deleted_user_attributes", st.lists(st.sampled_from(ATTRIBUTES), max_size=2)),
        ("device_info", devices),
        ("application_info", applications),
    ):
        if draw(st.integers(0, 2)) == 0 and (value := draw(strategy)):
            found[part] = value
    return found
