"""Random streams that collide with a definition file.

A stream takes its times from what has happened already plus a duration of the definitions, plus or
minus a millisecond, so that events fall on, just before and just after the ends of windows,
lookbacks and lives; its events from what criteria read, and its values from what their tests
compare with.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from tests.properties.event_strategies import (
    asked_for,
    bare_events,
    calculated_in,
    carted,
    commerce_event,
    criteria_in,
    draw_told,
    meet_conditions,
)
from tests.properties.near_values import midnights, near
from tests.properties.profile_strategies import (
    ProfileTests,
    draw_attribution,
    draw_consents,
    draw_device,
    draw_identities,
    draw_location,
)
from tests.properties.recount_account import durations_in
from tests.properties.recount_events import arrival
from tests.properties.recount_values import duration
from tests.properties.value_strategies import (
    ATTRIBUTES,
    DAY,
    START,
    nullable_scalars,
    scalars,
)

Json = Any


class Surroundings:
    """What a stream collides with: the definitions' criteria, tests, durations and days, and its
    own earlier times and batches.
    """

    def __init__(self, draw: st.DrawFn, definitions: Json) -> None:
        self.draw = draw
        self.inputs = [one for space in definitions["workspaces"] for one in space["inputs"]]
        self.criteria = criteria_in(definitions) + calculated_in(definitions)
        self.tests = ProfileTests(definitions)
        self.sequences = self.tests.of("sequence")
        self.chain: tuple[Json, int] | None = None
        self.carts = self.tests.of("cart_abandonment")
        # Of ten events; with many a profile may well end while it is opted out.
        self.opt_outs = draw(st.sampled_from([0, 0, 1, 4]))
        self.offsets = sorted({0, 1, *durations_in(definitions)})
        self.days = sorted({START, *midnights(definitions)})
        self.known = [START]
        self.batches: list[Json] = []
        self.newest_day = 0

    def instant(self) -> int:
        """Another instant, most often a duration later than some known one, at times earlier, at
        times by a midnight.
        """
        draw = self.draw
        if draw(st.integers(0, 9)) == 9:
            base, offset = draw(st.sampled_from(self.days)), 0
        else:
            base, offset = draw(st.sampled_from(self.known[-3:])), draw(self._offset())
        instant = base + offset + draw(st.sampled_from([0, 0, 0, 1, 1, -1]))
        instant = min(max(instant, START - 40 * DAY), START + 400 * DAY)
        self.known.append(instant)
        return instant

    def _offset(self) -> st.SearchStrategy[int]:
        back = [-offset for offset in self.offsets[2:4]]
        return st.sampled_from([*self.offsets * 3, *back])


custom_attributes = st.dictionaries(st.sampled_from(["k", "K", "$v"]), nullable_scalars, max_size=2)
user_attributes = st.dictionaries(
    st.sampled_from(["k", "K", "$v"]),
    st.one_of(nullable_scalars, st.lists(scalars, max_size=3)),
    max_size=2,
)
applications = st.fixed_dictionaries(
    {},
    optional={
        "application_version": st.sampled_from(["42", "1.0.1"]),
        "application_build_number": st.sampled_from(["a", "7"]),
    },
)


opt_outs = st.sampled_from([True, True, False]).map(
    lambda flag: {"event_type": "opt_out", "data": {"is_opted_out": flag}}
)


@st.composite
def batches(draw: st.DrawFn, around: Surroundings) -> Json:
    """One batch, at times a copy of an earlier one."""
    if around.batches and draw(st.integers(0, 11)) == 11:
        copied = deepcopy(draw(st.sampled_from(around.batches)))
        if arrival(copied) // DAY != around.newest_day:
            take_ids(copied)
        return copied
    found: Json = {"mpid": draw(st.sampled_from([*[12] * 14, "12", 0, -7, 2**63 - 1, -(2**63)]))}
    if key := draw(st.sampled_from(around.inputs)).get("api_key"):
        found["api_key"] = key
    count = draw(st.sampled_from([1, 1, 1, 2, 3, 0]))
    timed = draw(st.booleans()) or not count
    if timed:
        found["timestamp_unixtime_ms"] = around.instant()
    events = draw(events_of_a_batch(around, found, count))
    if events:
        found["events"] = events
    add_ids(draw, around, found)
    values = draw(user_attributes_near(around, found)) if draw(st.integers(0, 2)) == 2 else {}
    if values:
        found["user_attributes"] = values
        # What a batch sets it may delete again.
        if draw(st.integers(0, 3)) == 3:
            found["deleted_user_attributes"] = list(values)
    for part, strategy in (
        ("deleted_user_attributes", st.lists(st.sampled_from(ATTRIBUTES), max_size=2)),
        ("application_info", applications),
    ):
        if part not in found and draw(st.integers(0, 7)) == 7 and (value := draw(strategy)):
            found[part] = value
    add_profile_parts(draw, around.tests, found)
    around.batches.append(found)
    return found


def take_ids(batch: Json) -> None:
    """Ids that come again after more than a day may be forgotten, or not."""
    batch.pop("source_request_id", None)
    for event in batch.get("events", ()):
        event["data"].pop("source_message_id", None)


def add_ids(draw: st.DrawFn, around: Surroundings, batch: Json) -> None:
    """Ids that may come again, on the newest day alone: for a day they are surely known."""
    day = arrival(batch) // DAY
    around.newest_day = max(day, around.newest_day)
    if day < around.newest_day:
        return
    for event in batch.get("events", ()):
        if draw(st.integers(0, 3)) == 3:
            event["data"]["source_message_id"] = f"m{draw(st.integers(0, 2))}-{day}"
    if draw(st.integers(0, 5)) == 5:
        batch["source_request_id"] = f"r{draw(st.integers(0, 2))}-{day}"


@st.composite
def events_of_a_batch(draw: st.DrawFn, around: Surroundings, batch: Json, count: int) -> list[Json]:
    """Some events, at times those of a sequence or of a cart."""
    if around.sequences and draw(st.integers(0, 3)) == 3:
        return draw(chains(around, batch))
    if around.carts and draw(st.integers(0, 3)) == 3:
        return draw(abandoned_carts(around, batch))
    return [draw(events_near(around, batch)) for _ in range(count)]


def add_profile_parts(draw: st.DrawFn, tests: ProfileTests, batch: Json) -> None:
    """Parts of the profile, more often those that some criterion reads."""
    at = arrival(batch)
    for subject in ("identity", "device", "consent", "location", "install_attribution"):
        if draw(st.integers(0, 1 if tests.of(subject) else 15)):
            continue
        if subject == "identity":
            batch["user_identities"] = draw_identities(draw, tests, at)
        elif subject == "device" and "device_info" not in batch:
            batch.update(draw_device(draw, tests, at))
        elif subject == "consent":
            batch["consent_state"] = draw_consents(draw)
        elif subject == "location":
            batch["context"] = {"location": draw_location(draw, tests, at)}
        elif subject == "install_attribution":
            found = draw_attribution(draw, tests, subject, at)
            batch["attribution_info"] = {"service_provider": "p", **found}


@st.composite
def chains(draw: st.DrawFn, around: Surroundings, batch: Json) -> list[Json]:
    """Events of the steps of a sequence, from the first to the last about as long as it allows; at
    times they go on with those of an earlier batch, so that chains go over several workspaces.
    """
    chain = around.chain
    if chain is None or draw(st.booleans()):
        latest = batch.get("timestamp_unixtime_ms", around.instant())
        chain = around.chain = draw(st.sampled_from(around.sequences)), latest
    sequence, latest = chain
    steps = sequence["sequence"]
    times = {0, duration(sequence["within"]) + draw(st.sampled_from([0, 0, 0, -1, 1]))}
    if len(steps) > 2:
        times.add(draw(st.sampled_from([1, max(times) - 1, *around.offsets])))
    events = []
    for step, time in zip(steps, sorted(times), strict=False):
        event = deepcopy(draw(asked_for(step)))
        event["data"]["timestamp_unixtime_ms"] = latest - max(times) + time
        meet_conditions(draw, step, batch, event)
        events.append(event)
    if draw(st.booleans()):
        return events
    return draw(st.permutations(events))[: draw(st.integers(1, 2))]


@st.composite
def abandoned_carts(draw: st.DrawFn, around: Surroundings, batch: Json) -> list[Json]:
    """An add, and around the end of the wait what closes or empties the cart, or does not."""
    cart = draw(st.sampled_from(around.carts))
    asked = cart["cart_abandonment"]
    wait = duration(asked["wait"])
    latest = batch.get("timestamp_unixtime_ms", around.instant())
    added = commerce_event("add_to_cart", draw(carted), {})
    added["data"]["timestamp_unixtime_ms"] = latest - wait - 2
    meet_conditions(draw, cart, batch, added)
    events = [added]
    closing = asked.get("closing", ["purchase"])[-1].replace("any", "click")
    actions = ["remove_from_cart", "remove_from_cart", closing, "add_to_cart"]
    for _ in range(draw(st.integers(0, 3))):
        events.append(deepcopy(added))
        action = draw(st.sampled_from(actions))
        data = events[-1]["data"]
        data["product_action"]["action"] = action
        data["timestamp_unixtime_ms"] += draw(st.sampled_from([0, 1, wait - 1, wait, wait + 1]))
        for product in data["product_action"]["products"]:
            if "id" in product and isinstance(product["id"], str) and draw(st.booleans()):
                product["id"] = product["id"].swapcase()
    return draw(st.permutations(events))


@st.composite
def events_near(draw: st.DrawFn, around: Surroundings, batch: Json) -> Json:
    """An event, most often one that a criterion reads, with values that its conditions turn on."""
    criterion = None
    if draw(st.integers(1, 10)) <= around.opt_outs:
        strategy = opt_outs
    elif around.criteria and draw(st.integers(0, 7)) < 7:
        criterion = draw(st.sampled_from(around.criteria))
        strategy = asked_for(criterion)
    else:
        strategy = bare_events
    event = deepcopy(draw(strategy))
    data = event["data"]
    own = batch.get("timestamp_unixtime_ms")
    if own is None or draw(st.integers(0, 2)):
        same = own is not None and draw(st.integers(0, 3)) == 0
        data["timestamp_unixtime_ms"] = own if same else around.instant()
    if draw(st.integers(0, 7)) == 7:
        data["custom_attributes"] = draw(custom_attributes)
    draw_told(draw, around.tests, batch, event)
    if criterion is not None:
        meet_conditions(draw, criterion, batch, event)
    return event


@st.composite
def user_attributes_near(draw: st.DrawFn, around: Surroundings, batch: Json) -> Json:
    """User attributes, most often with a value near the edge of a test on them."""
    tests = around.tests.of("user_attribute")
    if not tests or draw(st.integers(0, 3)) == 3:
        return draw(user_attributes)
    found = {}
    for _ in range(draw(st.integers(1, 2))):
        test = draw(st.sampled_from(tests))
        key = test["user_attribute"]
        values = st.sampled_from(near(test, arrival(batch)))
        if draw(st.integers(0, 3)) == 3:
            found[key] = draw(st.lists(values, max_size=3))
        else:
            found[key] = draw(values)
    return found
