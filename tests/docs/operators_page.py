"""Writes docs/operators.md, the reference of operators, counts and windows, from the code itself.

Whether an example holds is found by running it. `python -m tests.docs.operators_page` prints
the page.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cdp_stream.core.model.operators import (
    DATED,
    MISSING,
    Test,
    dated_test,
    utc_instant,
    value_test,
)
from cdp_stream.core.model.windows import DAY_MS, Window
from cdp_stream.definitions.criteria.counts import read_count
from cdp_stream.definitions.criteria.criterion_keys import SEEN, TAKES
from cdp_stream.definitions.criteria.tests_on_values import (
    NAME_OPERATORS,
    VALUE_OPERATORS,
    read_test,
)
from cdp_stream.definitions.criteria.windows import DATE_OPERATORS, read_when
from cdp_stream.definitions.source.durations import UNITS_MS
from cdp_stream.definitions.source.nodes import Mapping, Node
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.definitions.source.yaml_reader import parse

NOW: Final = utc_instant(2026, 3, 15) + DAY_MS // 2
LOOKBACK_MS: Final = 30 * DAY_MS
ABSENT: Final = "missing"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

OPERATOR_EXAMPLES: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("equals", "Premium", ('"PREMIUM"', '["basic", "premium"]', '"Premium plus"', "null", ABSENT)),
    ("equals", "42", ("42", "42.0", '"42"', '"042"', "true", ABSENT)),
    ("equals", '"42"', ("42", '"42"', "42.0")),
    ("does_not_equal", "Premium", ('"basic"', "null", ABSENT, '"premium"')),
    ("contains", "ari", ('"Paris"', '["Lyon", "Bari"]', '"Lyon"', "null", ABSENT)),
    ("does_not_contain", "ari", ('"Lyon"', ABSENT, '"Paris"')),
    ("starts_with", "pa", ('"Paris"', '"Lyon"', ABSENT)),
    ("ends_with", "4", ("1234", '"a4"', "4.0")),
    ("pattern", '"p?r*"', ('"Paris"', '"per"', '"pr"', '"Spar"', ABSENT)),
    ("does_not_match_pattern", '"p?r*"', ('"Lyon"', ABSENT, '"Paris"')),
    ("one_of", "[FR, 49]", ('"fr"', "49", '"49"', '"DE"', ABSENT)),
    ("not_one_of", "[FR, 49]", ('"DE"', ABSENT, '"fr"')),
    ("greater_than", "3", ("4", '" 3.5 "', "3", '"three"', "true", ABSENT)),
    ("at_least", "3", ("3", "[1, 5]", "2.9", ABSENT)),
    ("less_than", "3", ("2", '"-1e2"', "3", "null")),
    ("at_most", "3", ("3", "4")),
    ("between", "[2, 5]", ("2", "5", "5.01", '"b"')),
    ("between", "[6d, 4d]", ('"2026-03-10T00:00:00Z"', '"2026-03-14"')),
    ("between", "[2026-03-01, 2026-03-10]", ('"2026-03-10T23:59:59.999Z"', '"2026-03-11"')),
    ("last", "3d", ('"2026-03-12T12:00:00Z"', '"2026-03-12"', '"2026-03-16"', '"soon"')),
    ("before", "2026-03-01", ('"2026-02-28T23:59:59"', "1772323199999", '"2026-03-01"')),
    ("after", "2026-03-01", ('"2026-03-01"', '"2030-01-01"', '"2026-02-28"')),
    ("on", "2026-03-01", ('"2026-03-01T23:00:00Z"', '"2026-03-02T00:30:00+02:00"', '"2026-03-02"')),
    ("is", "true", ("true", '"TRUE"', "1", "false", ABSENT)),
    ("exists", "true", ('""', "null", ABSENT)),
    ("exists", "false", (ABSENT, "null")),
    ("includes", "red", ('["Red", "blue"]', '"red"', '["dark red"]', ABSENT)),
    ("does_not_include", "red", ('["blue"]', ABSENT, '["red"]')),
    ("partial_match", "red", ('["dark red"]', '["blue"]', ABSENT)),
)
"""Operator, operand as written, and values as JSON."""

COUNT_EXAMPLES: Final = (
    "{greater_than: 2}",
    "{at_least: 3}",
    "{less_than: 1}",
    "{at_most: 2}",
    "{equals: 2}",
    "{between: [2, 5]}",
)
WINDOW_EXAMPLES: Final = (
    "{last: 3d}",
    "{last: 60d}",
    "{between: [6d, 4d]}",
    "{between: [6d, 0d]}",
    "{before: 2026-03-01}",
    "{after: 2026-03-01}",
    "{on: 2026-03-01}",
    "{between: [2026-03-01, 2026-03-10]}",
    "any_time",
)


def operators_page() -> str:
    """The whole page."""
    now = _spoken_instant(NOW)
    lines = [
        "# Operators, counts and windows",
        "",
        "`python -m tests.docs.operators_page` writes this page: the engine itself evaluates the",
        "examples. [semantics.md](semantics.md#comparing-values) has the rules in words.",
        "",
        "## Operators of each subject",
        "Every subject accepts `exclude`. *Text operators* are "
        f"{_listed(NAME_OPERATORS)}; *any operator* is any one in the next table.",
        "",
        "| subject | operators | other keys |",
        "|---|---|---|",
        *_subject_rows(),
        "",
        "## Operators on values",
        f"Dates are compared at {now}. `{ABSENT}` is a missing key.",
        "",
        "| operator | holds for | does not hold for |",
        "|---|---|---|",
        *_operator_rows(),
        "",
        "## Counts",
        "The default of `count` is `{greater_than: 0}`.",
        "",
        "| `count` | number of events |",
        "|---|---|",
        *(f"| `{text}` | {_count(text)} |" for text in COUNT_EXAMPLES),
        "",
        "## Windows",
        f"The events that count at {now}, both ends included, without a lookback and with one of",
        f"{LOOKBACK_MS // DAY_MS} days. The default of `when` is `{{last: 30d}}`.",
        "",
        "| `when` | from | to | from, with the lookback |",
        "|---|---|---|---|",
        *_window_rows(),
        "",
        "## Durations",
        "A whole number and a unit:",
        "",
        "| unit | milliseconds |",
        "|---|---|",
        *(f"| `{unit}` | {length:,} |" for unit, length in UNITS_MS.items()),
        "",
    ]
    return "\n".join(lines)


def _subject_rows() -> list[str]:
    rows = []
    for subject, takes in TAKES.items():
        operators = "none"
        if set(VALUE_OPERATORS) <= set(takes):
            operators = "any operator"
        elif set(NAME_OPERATORS) <= set(takes):
            operators = "text operators"
        elif subject in SEEN:
            operators = f"inside: {_listed(DATE_OPERATORS)}"
        keys = [key for key in takes if key not in VALUE_OPERATORS]
        rows.append(f"| `{subject}` | {operators} | {_listed(keys) or 'none'} |")
    return rows


def _operator_rows() -> list[str]:
    rows = []
    for operator, operand, values in OPERATOR_EXAMPLES:
        test = read_test(_mapping(f"{operator}: {operand}"), "", Problems())
        assert test is not None, operator
        holding = [value for value in values if _holds(test, value)]
        failing = [value for value in values if value not in holding]
        rows.append(f"| `{operator}: {operand}` | {_listed(holding)} | {_listed(failing)} |")
    return rows


def _holds(test: Test, value: str) -> bool:
    decoded: Any = MISSING if value == ABSENT else json.loads(value)
    if test.operator == DATED:
        return dated_test(test.operand)(decoded, NOW)
    return value_test(test)(decoded)


def _count(text: str) -> str:
    count = read_count(_value(text), "", Problems())
    assert count is not None, text
    least, greatest = count
    if greatest is None:
        return f"{least} or more"
    if least == greatest:
        return f"{least}"
    return f"{least} to {greatest}"


def _window_rows() -> list[str]:
    rows = []
    for text in WINDOW_EXAMPLES:
        window = read_when(_value(text), "", (None,), Problems())
        assert window is not None, text
        newest = [] if window.newest is None else [NOW - window.newest]
        last = min([*newest, *([] if window.end is None else [window.end - 1])])
        cells = (_first(window), _spoken_instant(last), _first(window.cut_to(LOOKBACK_MS)))
        rows.append(f"| `{text}` | {' | '.join(cells)} |")
    return rows


def _first(window: Window) -> str:
    bounds = [] if window.start is None else [window.start]
    if window.oldest is not None:
        bounds.append(NOW - window.oldest)
    return _spoken_instant(max(bounds)) if bounds else "ever"


def _mapping(text: str) -> Mapping:
    node = parse(text.encode(), "", Problems())
    assert node is not None, text
    return node


def _value(text: str) -> Node:
    return _mapping(f"key: {text}").entries["key"].value


def _listed(words: Any) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _spoken_instant(instant: int) -> str:
    text = (_EPOCH + timedelta(milliseconds=instant)).isoformat(" ", "milliseconds")
    return text.removesuffix("+00:00").removesuffix(".000")


if __name__ == "__main__":
    sys.stdout.write(operators_page())
