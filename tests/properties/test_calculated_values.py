"""Calculated attributes have the very values that a recount has, however large or odd they are, and
have them at the same instants.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.offline.replaying import replay_batches
from tests.properties.builders import NOON, custom, defined, purchase
from tests.properties.recount import recount
from tests.properties.recount_calculated import calculate, values_of
from tests.properties.recount_events import Occurrence, arrival, in_window
from tests.properties.recount_values import MISSING, text_of

Json = Any
CALCULATIONS = [
    *("count", "sum", "min", "max", "average", "most_frequent", "unique_values_count"),
    *("unique_list", "first_occurrence", "last_occurrence"),
    *("first_occurrence_timestamp", "last_occurrence_timestamp"),
]
EXTREMES = [
    *(0, -0.0, 0.1, 0.2, 0.3, 1 / 3, 1e16, 1e-16, 1e22, 1.5e300, 5e-324, 2**53 + 1, 2**63 - 1),
    *(-(2**63), "0.1", " 1e2 ", "1e-7", "1E+2", "+.5", "5.", "1e400", "nan", "inf", "0x10", "1_0"),
    *("", "ß", "SS", "ss", "İ", "i̇", "true", True, False, "\u0661", "\u2028", "😀", "\ufffd"),
]
ALIKE: list[list[Json]] = [
    ["1", 1, 1.0, "1.0"],
    [True, "true", "True", 1],
    ["a", "B", "A", "b"],
    ["ss", "ß", "SS"],
    [0.1, "0.1", 0.2, " 1e-1 "],
    [10, 9, "8", -1],
    [3, 2, 1],
    [7, "x", None],
]
"""Values that are the same to some rule and different to others, or in another order."""
anything = st.one_of(
    st.sampled_from(EXTREMES),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(-1e15, 1e15),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=3),
    st.none(),
)
palettes = st.one_of(
    st.sampled_from(ALIKE),
    st.lists(anything, min_size=1, max_size=4),
    st.lists(anything, min_size=8, max_size=8),
)
"""Few values, so that some are as frequent as others, and many."""
EVERY_WINDOW: list[tuple[Json, Json]] = [
    ({}, "any_time"),
    *[({"within": length}, {"last": length}) for length in ("1ms", "3ms", "5ms")],
]
"""Of an attribute, and of the events that it reads."""


@st.composite
def streams(draw: st.DrawFn) -> tuple[Json, list[Json]]:
    """What an attribute reads, and batches of one event within a few ms, late ones among them."""
    values = st.sampled_from(draw(palettes))
    size = draw(st.sampled_from([8, 5, 3, 1, 0]))
    times = [draw(st.integers(0, 5)) for _ in range(size)]
    if draw(st.booleans()):
        times.sort()
    if draw(st.integers(0, 3)):
        of: Json = {"event": "E", "attribute": "k"}
        events = [custom("E", at, custom_attributes={"k": draw(values)}) for at in times]
    else:
        of = {"commerce": "purchase", "product_attribute": "k"}
        lists = st.lists(values.map(lambda one: {"custom_attributes": {"k": one}}), max_size=3)
        events = [purchase(at, *draw(lists)) for at in times]
    return of, [{"mpid": 7, "events": [event]} for event in events]


@given(stream=streams(), windows=st.sampled_from(EVERY_WINDOW), wait=st.integers(0, 4))
def test_every_calculation_has_the_value_of_the_recount(
    stream: tuple[Json, list[Json]], windows: tuple[Json, Json], wait: int
) -> None:
    of, batches = stream
    span, when = windows
    until = max(map(arrival, batches), default=NOON) + wait
    occurrences = [
        Occurrence(arrival(batch), "web", True, batch["events"][0], batch) for batch in batches
    ]
    counted = [one for one in occurrences if in_window(when, None, one.time, until)]
    timed = values_of(of, counted)
    tests = [(one, test) for one in CALCULATIONS for test in holding(calculate(one, timed))]
    rules = defined(
        *[
            {"id": f"{one}-{number}", "criteria": {"calculated_attribute": one} | test}
            for number, (one, test) in enumerate(tests)
        ]
    ) | {
        "calculated_attributes": [
            {"id": one, "workspace": "w", "calculation": one, "of": of} | span
            for one in CALCULATIONS
        ]
    }
    lines = [json.dumps(batch).encode() for batch in batches]
    found = replay_batches(json.dumps(rules, ensure_ascii=False), lines, until)
    assert [flip_of(change) for change in found] == [
        flip_of(change) for change in recount(rules, batches, until)
    ]


def flip_of(change: Json) -> tuple[str, str, int]:
    """What a change says of the value: when some test began or ceased to hold."""
    return change["action"], change["audience_id"], change["effective_at"] - NOON


def holding(value: Json) -> list[Json]:
    """Tests that hold of this value only, as near as the language comes to it."""
    if value is MISSING:
        return [{"exists": False}]
    if isinstance(value, list):
        return [{"includes": str(text_of(one))} for one in value] or [{"does_not_include": ""}]
    return [{"equals": text_of(value)}]
