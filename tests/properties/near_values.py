"""Values that lie on, just before and just after the edge of a test, so that a small sample meets
every edge.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.properties.recount_values import duration, is_duration

Json = Any
_DATE_OPERATORS = ("last", "before", "after", "on")
_COMPARING = (
    *("equals", "does_not_equal", "includes", "does_not_include", "partial_match"),
    *("contains", "does_not_contain", "starts_with", "ends_with", "one_of", "not_one_of"),
    *("greater_than", "at_least", "less_than", "at_most", "between"),
)


def near(test: Json, at: int) -> list[Json]:
    """Scalars near the edges of a test, given as the one operator among the keys of a criterion or
    a condition, for an event or a batch of the instant `at`.
    """
    found: list[Json] = []
    for operator, operand in test.items():
        if operator in _DATE_OPERATORS or (operator == "between" and type(operand[0]) is str):
            found += _instants(operand, at)
        elif operator in ("is", "exists"):
            found += [True, False, "TRUE", "false", None, 1]
        elif operator in ("pattern", "does_not_match_pattern"):
            for run in ("", "ss", "-01-"):
                found += _texts(operand.replace("*", run).replace("?", "a"))
        elif operator in _COMPARING:
            for one in operand if isinstance(operand, list) else [operand]:
                found += _texts(one) if isinstance(one, str) else _numbers(one)
    return found or ["a"]


def midnights(node: Json) -> list[int]:
    """The midnights that begin and end the days named anywhere in definitions."""
    if isinstance(node, dict):
        return [instant for value in node.values() for instant in midnights(value)]
    if isinstance(node, list):
        return [instant for value in node for instant in midnights(value)]
    return _days(node) if isinstance(node, str) else []


def _texts(text: str) -> list[Json]:
    return [text, text, text.upper(), text.lower(), text.casefold(), f"{text}a", f"a{text}", ""]


def _numbers(number: float) -> list[Json]:
    return [
        *(number, int(number), float(number), str(number), f" {float(number)} ", f"{number}e0"),
        *(number + 1, number - 1, number + 0.5, str(number - 1)),
    ]


def _instants(operand: Json, at: int) -> list[Json]:
    found: list[int] = []
    for one in operand if isinstance(operand, list) else [operand]:
        edges = [at - duration(one)] if is_duration(one) else _days(one)
        found += [edge + by for edge in edges for by in (-1, 0, 1)]
    return [*found, *map(str, found), *map(_iso, found)]


def _iso(instant: int) -> str:
    moment = datetime.fromtimestamp(instant / 1000, UTC)
    return moment.isoformat(timespec="milliseconds")


def _days(text: str) -> list[int]:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return []
    midnight = int(day.timestamp()) * 1000
    return [midnight, midnight + 86_400_000]
