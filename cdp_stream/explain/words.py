"""Values, tests, windows and counts in words, each short enough for a line.

What comes from events is untrusted: it is cut, and what a terminal would obey is escaped.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from cdp_stream.core.model.criterion import Condition, Source
from cdp_stream.core.model.event import Event
from cdp_stream.core.model.operators import DATED, MISSING, Test
from cdp_stream.core.model.subject import EVENT, UNREAD
from cdp_stream.core.model.windows import DAY_MS, Window
from cdp_stream.definitions.criteria.windows import length_text

_LONGEST_VALUE: Final = 120
_LONGEST_NAME: Final = 256
_MOST_OPERANDS: Final = 8
_LAST_INSTANT: Final = 253_402_300_799_999
_TIMES_OF_DAY: Final = (
    (60_000, "%Y-%m-%dT%H:%MZ"),
    (1_000, "%Y-%m-%dT%H:%M:%SZ"),
)
_VERBS: Final = {
    "equals": "equal",
    "does_not_equal": "not equal",
    "contains": "contain",
    "does_not_contain": "not contain",
    "starts_with": "start with",
    "ends_with": "end with",
    "pattern": "match",
    "does_not_match_pattern": "not match",
    "one_of": "be one of",
    "not_one_of": "be none of",
    "greater_than": "be above",
    "at_least": "be at least",
    "less_than": "be below",
    "at_most": "be at most",
    "is": "be",
    "includes": "include",
    "does_not_include": "not include",
    "partial_match": "have an element that contains",
}
_PREFIXES: Final = {
    Source.ATTRIBUTE: "",
    Source.FIELD: "",
    Source.PRODUCT: "product ",
    Source.PRODUCT_ATTRIBUTE: "product attribute ",
    Source.APP: "app ",
    Source.DEVICE: "device ",
}


def printable(text: str) -> str:
    """The text with whatever is no visible character or space escaped."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def cut(text: str, length: int) -> str:
    """At most so many characters of a text, the last three dots when there were more."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def value_words(value: Any) -> str:
    """A value as JSON, `not set` for a missing one."""
    if value is MISSING:
        return "not set"
    if type(value) is str:
        # Before it is encoded: a long text would be escaped in vain.
        value = cut(value, _LONGEST_VALUE)
    text = json.dumps(value, ensure_ascii=False, default=str)
    return printable(cut(text, _LONGEST_VALUE + 2))


def instant_words(instant: int) -> str:
    """An instant as ISO 8601 in UTC, as exact as it must be; epoch ms where no calendar goes."""
    if not 0 <= instant <= _LAST_INSTANT:
        try:
            datetime.fromtimestamp(instant // 1000, UTC)
        except (ValueError, OverflowError, OSError):
            return f"{instant} ms"
    seconds, milliseconds = divmod(instant, 1000)
    moment = datetime.fromtimestamp(seconds, UTC)
    for unit, form in _TIMES_OF_DAY:
        if instant % unit == 0:
            return f"{moment:{form}}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def day_words(instant: int) -> str:
    """A day where the instant begins one, else the instant."""
    words = instant_words(instant)
    return words.removesuffix("T00:00Z") if instant % DAY_MS == 0 else words


def window_words(window: Window) -> str:
    """Which times count: `in the last 3d`, `before 2018-09-09, in the last 30d`; empty for all."""
    parts = []
    if window.start is not None and window.end is not None:
        if window.end - window.start == DAY_MS:
            parts.append(f"on {day_words(window.start)}")
        else:
            parts.append(f"from {day_words(window.start)} until {day_words(window.end)}")
    elif window.end is not None:
        parts.append(f"before {day_words(window.end)}")
    elif window.start is not None:
        parts.append(f"since {day_words(window.start)}")
    newest = window.newest or 0
    if window.oldest is not None and newest:
        parts.append(f"from {length_text(window.oldest)} to {length_text(newest)} ago")
    elif window.oldest is not None:
        parts.append(f"in the last {length_text(window.oldest)}")
    elif newest:
        parts.append(f"at least {length_text(newest)} ago")
    return ", ".join(parts)


def test_words(test: Test) -> str:
    """What a value must do: `equal "Premium"`, `be at least 5`, `be set`."""
    operand = test.operand
    match test.operator:
        case "exists":
            return "be set" if operand else "not be set"
        case "between":
            return f"be between {operand[0]} and {operand[1]}"
        case "one_of" | "not_one_of":
            shown = ", ".join(value_words(value) for value in operand[:_MOST_OPERANDS])
            more = len(operand) - _MOST_OPERANDS
            ending = f" and {more} more" if more > 0 else ""
            return f"{_VERBS[test.operator]} {shown}{ending}"
        case operator if operator == DATED:
            return f"be a date {window_words(operand)}"
        case operator:
            return f"{_VERBS[operator]} {value_words(operand)}"


def count_words(minimum: int, maximum: int | None) -> str:
    """A number of events: `at least 3`, `at most 2`, `exactly 1`, `2 to 4`."""
    if maximum is None:
        return f"at least {minimum}"
    if minimum == 0:
        return f"at most {maximum}"
    return f"exactly {minimum}" if minimum == maximum else f"{minimum} to {maximum}"


def place_words(source: Source, key: str) -> str:
    """Where a condition finds its value: `category`, `product id`, `app version`."""
    return printable(f"{_PREFIXES[source]}{key}")


def conditions_words(conditions: tuple[Condition, ...]) -> str:
    """What one event must meet: `category must equal "Intro"`; empty for nothing."""
    return ", ".join(
        f"{place_words(one.source, one.key)} must {test_words(one.test)}" for one in conditions
    )


def event_words(event: Event) -> str:
    """What an event is: the name of a custom event, else its kind and name."""
    name = printable(cut(event.name, _LONGEST_NAME))
    if event.kind == EVENT:
        return name
    kind = "event" if event.kind == UNREAD else event.kind
    return f"{kind}: {name}" if name else kind
