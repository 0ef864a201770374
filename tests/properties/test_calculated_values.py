"""Calculated attributes have the very values that a recount has, however large or odd they are."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.offline.replay import replay_batches
from tests.properties.builders import batch, custom, defined
from tests.properties.recount_calculated import calculate
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


@given(
    values=st.lists(
        st.one_of(
            st.sampled_from(EXTREMES),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(-1e15, 1e15),
            st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=3),
        ),
        max_size=8,
    )
)
def test_every_calculation_has_the_value_of_the_recount(values: list[Json]) -> None:
    events = [custom("E", at, custom_attributes={"k": value}) for at, value in enumerate(values)]
    timed = [
        (event["data"]["timestamp_unixtime_ms"], v) for event, v in zip(events, values, strict=True)
    ]
    tests = {
        calculation: test
        for calculation in CALCULATIONS
        if (test := holding(calculate(calculation, timed))) is not None
    }
    rules = defined(
        *[
            {"id": name, "criteria": {"calculated_attribute": name} | test}
            for name, test in tests.items()
        ]
    ) | {
        "calculated_attributes": [
            {
                "id": one,
                "workspace": "w",
                "calculation": one,
                "of": {"event": "E", "attribute": "k"},
            }
            for one in tests
        ]
    }
    text = json.dumps(rules, ensure_ascii=False)
    line = json.dumps(batch(*events, timestamp_unixtime_ms=events_end(timed))).encode()
    members: set[str] = set()
    for change in replay_batches(text, [line], None):
        (members.add if change["action"] == "add" else members.discard)(change["audience_id"])
    assert sorted(members) == sorted(name for name in tests)


def events_end(timed: list[tuple[int, Json]]) -> int:
    """The arrival of the one batch: its last event, or any time."""
    return max((time for time, _ in timed), default=1)


def holding(value: Json) -> Json:
    """A test that holds of this value only, as near as the language comes to it."""
    if value is MISSING:
        return {"exists": False}
    if isinstance(value, list):
        return {"includes": str(text_of(value[-1]))} if value else {"does_not_include": ""}
    return {"equals": text_of(value)}
