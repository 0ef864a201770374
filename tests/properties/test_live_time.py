"""A live partition tells of each profile what a recount tells that knows live time.

Queues of devices that were away for long bring events of lives that had ended by live time,
together with new ones, for profiles that are forgotten or were never known. Of the others events
come in order, so that a recount need not know which due instants move a clock.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any, NamedTuple

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from cdp_stream.definitions import load_text
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.processor import ProfileProcessor
from tests.properties.definition_strategies import definition_files
from tests.properties.partitions import published
from tests.properties.recount import Profile
from tests.properties.recount_account import Account
from tests.properties.recount_events import arrival, event_time
from tests.properties.strategies import UNHURRIED
from tests.properties.stream_strategies import Surroundings, batches
from tests.properties.value_strategies import DAY

Json = Any
FIELDS = ("action", "audience_id", "audience_name", "effective_at", "ordinal")
Changes = dict[int, list[tuple[Any, ...]]]


class Live(NamedTuple):
    """A batch, the partition's time before it, and whether what is due fires at once after it."""

    batch: Json
    reached: int
    ticks: bool


class Queue:
    """What is published so far, for each profile: what the next batch may hold follows from it."""

    def __init__(self, draw: st.DrawFn, definitions: Json) -> None:
        self.draw = draw
        self.account = Account(definitions)
        self.time = -1
        self.times: dict[int, list[int]] = {}
        self.last: dict[int, dict[str, int]] = {}

    def add(self, batch: Json) -> Live:
        draw, mpid, at = self.draw, int(batch["mpid"]), arrival(batch)
        source = self.account.input_of(batch)
        assert source is not None
        space = self.account.workspaces[self.account.inputs[source]]
        reached = self.time
        if draw(st.integers(0, 3)) == 3:
            # The input was read to its end, and the wall clock went on.
            reached = max(reached, at - draw(st.sampled_from([0, 1, DAY])))
        events = batch.get("events", [])
        if not self.is_forgotten(mpid, reached):
            for event in events:
                event["data"]["timestamp_unixtime_ms"] = max(reached, event_time(batch, event))
        else:
            self.last[mpid] = {}
            if events and space.lifetime is not None and draw(st.booleans()):
                self.add_older(batch, reached, space.lifetime)
        times = [event_time(batch, event) for event in events] or [at]
        self.times.setdefault(mpid, []).extend(times)
        last = self.last.setdefault(mpid, {})
        last[space.id] = max(*times, last.get(space.id, -1), -1)
        self.time = max(reached, at)
        return Live(batch, reached, draw(st.booleans()))

    def is_forgotten(self, mpid: int, reached: int) -> bool:
        return all(
            (lifetime := self.account.workspaces[name].lifetime) is not None
            and last + lifetime + 1 < reached
            for name, last in self.last.get(mpid, {}).items()
        )

    def add_older(self, batch: Json, reached: int, lifetime: int) -> None:
        """Events that were sent before, or lie by the edges of lives that end by live time."""
        draw, at = self.draw, arrival(batch)
        batch["timestamp_unixtime_ms"] = at
        known = self.times.get(int(batch["mpid"]), [reached - lifetime])
        for _ in range(draw(st.integers(1, 3))):
            edges = [reached - lifetime, known[-1] + lifetime, *known]
            time = draw(st.sampled_from(edges)) + draw(st.sampled_from([-1, 0, 0, 1]))
            older = deepcopy(draw(st.sampled_from(batch["events"])))
            older["data"].pop("source_message_id", None)
            older["data"]["timestamp_unixtime_ms"] = min(max(time, 0), at)
            batch["events"].append(older)
            known = [*known, min(max(time, 0), at)]


@st.composite
def live_cases(draw: st.DrawFn) -> tuple[Json, list[Live]]:
    """A definition file whose profiles most often end, and a stream in order of arrival."""
    definitions = draw(definition_files())
    for space in definitions["workspaces"]:
        if draw(st.integers(0, 3)):
            space["profile_lifetime"] = draw(st.sampled_from(["5ms", "1h", "1d", "3d", "10d"]))
    around = Surroundings(draw, definitions)
    stream = [draw(batches(around)) for _ in range(draw(st.integers(4, 16)))]
    stream.sort(key=arrival)
    queue = Queue(draw, definitions)
    return definitions, [queue.add(deepcopy(batch)) for batch in stream]


def told_live(definitions: Json, stream: list[Live], end: int) -> Changes:
    """What the partition tells of each profile, in order."""
    account = load_text(json.dumps(definitions, ensure_ascii=False)).account
    assert account is not None
    made = ProfileProcessor(Definitions("1", 0, account), "events", 0)
    rows: dict[bytes, bytes] = {}
    made.restore(rows)
    found: Changes = {}

    def tick(until: int) -> None:
        deliver(made.mark_time(until))
        while (due := made.next_due()) is not None and due <= until:
            deliver(made.tick(until, 2))

    def deliver(effects: Any) -> None:
        for key, value in effects.rows.items():
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        for _key, value in effects.memberships:
            one = json.loads(value)
            found.setdefault(int(one["mpid"]), []).append(tuple(one[name] for name in FIELDS))

    for record, one in zip(published([one.batch for one in stream]), stream, strict=True):
        if one.reached > made.time:
            tick(one.reached)
        deliver(made.apply([record]))
        if one.ticks:
            tick(made.time)
    tick(end)
    return found


def recounted(definitions: Json, stream: list[Live], end: int) -> Changes:
    """What a recount tells of each profile, in order."""
    account = Account(definitions)
    profiles: dict[int, Profile] = {}
    for one in stream:
        mpid = int(one.batch["mpid"])
        profile = profiles.setdefault(mpid, Profile(account, mpid))
        profile.take_live(one.batch, one.reached)
    for profile in profiles.values():
        profile.run_to(end)
    return {
        mpid: [tuple(one[name] for name in FIELDS) for one in profile.changes]
        for mpid, profile in profiles.items()
        if profile.changes
    }


# A case that fails is made smaller for up to five minutes.
@pytest.mark.timeout(900)
@UNHURRIED
@given(case=live_cases())
def test_a_partition_tells_what_a_recount_tells_that_knows_live_time(
    case: tuple[Json, list[Live]],
) -> None:
    definitions, stream = case
    note(json.dumps(definitions, ensure_ascii=False, indent=1))
    note("\n".join(f"{one.reached} {json.dumps(one.batch)} {one.ticks}" for one in stream))
    end = max(arrival(one.batch) for one in stream) + 40 * DAY
    assert told_live(definitions, stream, end) == recounted(definitions, stream, end)
