"""The recount's reading of durations, dates, operators and values (semantics.md, Comparing values).

Shares no code with `cdp_stream`: see `recount.py`.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from typing import Any

Json = Any
MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
DAY = MILLISECONDS["d"]
MISSING = object()
COMPLEMENTS = {
    "does_not_equal": "equals",
    "does_not_contain": "contains",
    "does_not_match_pattern": "pattern",
    "not_one_of": "one_of",
    "does_not_include": "includes",
}
OPERATORS = [
    *("equals", "contains", "starts_with", "ends_with", "pattern", "one_of", "is", "exists"),
    *("greater_than", "at_least", "less_than", "at_most", "between"),
    *("last", "before", "after", "on", "includes", "partial_match", *COMPLEMENTS),
]


def duration(text: str) -> int:
    """Milliseconds of `3d`."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d|w)", text).groups()  # type: ignore[union-attr]
    return int(number) * MILLISECONDS[unit]


def is_duration(value: Json) -> bool:
    """Whether a bound is written as a duration."""
    return isinstance(value, str) and re.fullmatch(r"\d+(ms|s|m|h|d|w)", value) is not None


def day_start(text: str) -> int:
    """00:00 UTC of `2018-09-09`, epoch ms."""
    return (date.fromisoformat(text) - date(1970, 1, 1)).days * DAY


def fold(text: str) -> str:
    """Unicode case folding, and nothing else."""
    return text.casefold()


def text_of(value: Json) -> str | None:
    """A scalar as text: numbers and booleans in their JSON form; null and objects have none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        # The shortest: an exponent has no `+`, and no zeros before it.
        return re.sub(r"e([+-])0*", lambda sign: "e" + sign[1].strip("+"), repr(value))
    return value if isinstance(value, str) else None


def number_of(value: Json) -> int | float | None:
    """A JSON number, or text that is wholly one; never a boolean, an infinity or not-a-number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        stripped = value.strip()
        if re.fullmatch(r"[+-]?[0-9]+", stripped):
            return int(stripped)
        if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", stripped):
            return None
        value = float(stripped)
    if isinstance(value, int | float):
        return value if math.isfinite(value) else None
    return None


def moment_of(value: Json) -> int | None:
    """Epoch ms of a date value: a whole number, digits, or ISO 8601 text (no zone: UTC)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    if not isinstance(value, str):
        return None
    if re.fullmatch(r"[0-9]+", value):
        return int(value)
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    since = parsed - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * DAY + since.seconds * 1_000 + since.microseconds // 1_000


def same_value(operand: Json, value: Json) -> bool:
    """`equals`: as numbers if the definition has a number and the value is one; else as text."""
    if isinstance(operand, int | float) and not isinstance(operand, bool):
        number = number_of(value)
        if number is not None:
            return number == operand
    left, right = text_of(operand), text_of(value)
    return left is not None and right is not None and fold(left) == fold(right)


def pattern_matches(pattern: str, text: str) -> bool:
    """`*` any run, `?` one folded character, the whole value; by trying every split."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(pattern_matches(pattern[1:], text[i:]) for i in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and pattern_matches(pattern[1:], text[1:])


def in_dates(operator: str, operand: Json, moment: int, now: int) -> bool:
    """The window table, for any instant: of an event, or a date value."""
    match operator:
        case "last":
            return now - duration(operand) <= moment <= now
        case "before":
            return moment < day_start(operand)
        case "after":
            return moment >= day_start(operand)
        case "on":
            return day_start(operand) <= moment < day_start(operand) + DAY
        case "between" if is_duration(operand[0]):
            return now - duration(operand[0]) <= moment <= now - duration(operand[1])
        case "between":
            return day_start(operand[0]) <= moment < day_start(operand[1]) + DAY
    raise AssertionError(operator)


def element_holds(  # noqa: PLR0911  (one per operator)
    operator: str, operand: Json, value: Json, now: int
) -> bool:
    """A positive operator on one scalar."""
    text, number = text_of(value), number_of(value)
    match operator:
        case "equals" | "includes":
            return same_value(operand, value)
        case "one_of":
            return any(same_value(one, value) for one in operand)
        case "contains" | "partial_match":
            return text is not None and fold(str(text_of(operand))) in fold(text)
        case "starts_with":
            return text is not None and fold(text).startswith(fold(str(text_of(operand))))
        case "ends_with":
            return text is not None and fold(text).endswith(fold(str(text_of(operand))))
        case "pattern":
            return text is not None and pattern_matches(fold(str(text_of(operand))), fold(text))
        case "is":
            return (
                text is not None
                and not is_number(value)
                and fold(text) == ("true" if operand else "false")
            )
        case "greater_than":
            return number is not None and number > operand
        case "at_least":
            return number is not None and number >= operand
        case "less_than":
            return number is not None and number < operand
        case "at_most":
            return number is not None and number <= operand
        case "between" if is_number(operand[0]):
            return number is not None and operand[0] <= number <= operand[1]
    moment = moment_of(value)
    return moment is not None and in_dates(operator, operand, moment, now)


def is_number(value: Json) -> bool:
    """A JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def value_holds(test: Json, value: Json, now: int) -> bool:
    """The one operator of `test` on a value, which may be MISSING, null, a scalar or a list."""
    (operator,) = [key for key in test if key in OPERATORS]
    operand = test[operator]
    if operator == "exists":
        return bool((value is not MISSING) == operand)
    positive = COMPLEMENTS.get(operator, operator)
    elements = value if isinstance(value, list) else [] if value is MISSING else [value]
    held = any(element_holds(positive, operand, element, now) for element in elements)
    return held if positive == operator else not held


def positive_form(test: Json) -> tuple[Json, bool]:
    """A test with its operator's positive form, and whether that is to hold: a negative operator is
    the exact complement.
    """
    (operator,) = [key for key in test if key in OPERATORS]
    rest = {key: value for key, value in test.items() if key != operator}
    if operator == "exists":
        return {**rest, "exists": True}, test["exists"]
    positive = COMPLEMENTS.get(operator, operator)
    return {**rest, positive: test[operator]}, positive == operator


def keyed(mapping: Json, key: str) -> Json:
    """An attribute by its exact key; a key that begins with `$` ignores case."""
    found = MISSING
    for name, value in (mapping or {}).items():
        if name == key or (key.startswith("$") and fold(name) == fold(key)):
            found = value
    return found
