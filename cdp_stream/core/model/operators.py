"""The tests on a value: one table, operator -> meaning.

A value is what JSON gives: text, number, boolean, null, a list of those, or `MISSING` where the key
is absent. A test is built once, when definitions are compiled, and then called per value. Nothing
here raises on a value: input is untrusted.

Source: docs/semantics.md, comparing values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cdp_stream.core.model.windows import Window


class _Missing:
    """The value of a key that is not there; differs from null, which is there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()

ValueTest = Callable[[Any], bool]

_NUMBER = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_INTEGER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_DIGITS = re.compile(r"\d+", re.ASCII)
_LONGEST_INTEGER = 4_300
_FAR = 2**62
"""Represents every instant beyond it: no clock comes near it, and a due instant made from it still
fits in 64 bits.
"""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive on purpose: offsets are subtracted by hand, so no year overflows


@dataclass(frozen=True, slots=True)
class Test:
    """One operator and what it compares with, as a definition gives it.

    Attributes:
        operator: a key of `OPERATORS`, or `DATED` for the date operators.
        operand: text, number, boolean, a tuple of those, or a `Window` for `DATED`.
    """

    operator: str
    operand: Any


DATED: Final = "dated"
"""The operator of every date test; its operand is the `Window` that `last`, `between`, `before`,
`after` or `on` mean.
"""


def text_of(value: Any) -> str | None:
    """The case-folded text of a scalar in its JSON form, None for null, infinities, lists and
    whatever else has no text.
    """
    if type(value) is str:
        return value.casefold()
    if value is True:
        return "true"
    if value is False:
        return "false"
    if type(value) is int:
        return repr(value)
    return float_text(value) if type(value) is float else None


def float_text(number: float) -> str | None:
    """The shortest JSON form that reads back as the same float; None for what JSON has not."""
    text = repr(number)
    if "e" in text:
        # Python writes `1e-07` and `1e+16`.
        mantissa, _, exponent = text.partition("e")
        return f"{mantissa}e{int(exponent)}"
    return text if number - number == 0 else None


def number_of(value: Any) -> int | float | None:
    """The number that a JSON number or wholly numeric text is; None for anything else, infinities
    included.
    """
    kind = type(value)
    if kind is int:
        return int(value)
    if kind is str:
        # Python refuses to read integers of more than 4,300 digits; as floats those are infinite,
        # or begin with zeros.
        if len(value) <= _LONGEST_INTEGER and _INTEGER.fullmatch(value):
            return int(value)
        if not _NUMBER.fullmatch(value):
            return None
        value = float(value)
    elif kind is not float:
        return None
    return float(value) if value - value == 0 else None


def instant_of(value: Any) -> int | None:
    """The instant, epoch ms, that ISO 8601 text (no zone: UTC), digits-only text or an integer
    number means.

    What is too far away for any clock is 2**62 ms before or after the epoch.
    """
    kind = type(value)
    if kind is str and _DIGITS.fullmatch(value):
        value = int(value) if len(value) <= _LONGEST_INTEGER else float(value)
        return int(min(value, _FAR))
    if kind is int or kind is float:
        return int(max(min(value, _FAR), -_FAR)) if value % 1 == 0 else None
    if kind is not str:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    offset = moment.utcoffset()
    elapsed = moment.replace(tzinfo=None) - _EPOCH
    if offset is not None:
        elapsed -= offset
    return (elapsed.days * 86_400_000) + (elapsed.seconds * 1000) + (elapsed.microseconds // 1000)


def utc_instant(year: int, month: int, day: int) -> int:
    """Midnight UTC of a calendar day, epoch ms."""
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1000


def _elements(value: Any) -> list[Any] | tuple[Any, ...]:
    """The scalars of a value: a list's own, a scalar as a list of one, none for a missing key."""
    if type(value) is list:
        return value
    return () if value is MISSING else (value,)


def _for_some_element(test: ValueTest) -> ValueTest:
    def holds(value: Any) -> bool:
        if type(value) is list:
            return any(map(test, value))
        return value is not MISSING and test(value)

    return holds


def _complement(build: Callable[[Any], ValueTest]) -> Callable[[Any], ValueTest]:
    def build_complement(operand: Any) -> ValueTest:
        test = build(operand)
        return lambda value: not test(value)

    return build_complement


def _equality(operand: Any) -> ValueTest:
    """Compare as numbers where the definition wrote a number and the value is one, else as folded
    text.
    """
    if type(operand) is int or type(operand) is float:

        def same_number(value: Any) -> bool:
            number = number_of(value)
            return number is not None and number == operand

        return same_number
    wanted = text_of(operand)

    def same_text(value: Any) -> bool:
        return (value.casefold() if type(value) is str else text_of(value)) == wanted

    return same_text


def _equals(operand: Any) -> ValueTest:
    general = _for_some_element(_equality(operand))
    if type(operand) is not str:
        return general
    wanted = operand.casefold()

    def holds(value: Any) -> bool:
        # Text compared with text is what most tests of most events come to.
        return value.casefold() == wanted if type(value) is str else general(value)

    return holds


def _one_of(operands: Any) -> ValueTest:
    tests = [_equality(operand) for operand in operands]
    return _for_some_element(lambda value: any(test(value) for test in tests))


def _text_test(relation: Callable[[str, str], bool]) -> Callable[[Any], ValueTest]:
    def build(operand: Any) -> ValueTest:
        wanted = text_of(operand) or ""

        def holds(value: Any) -> bool:
            text = text_of(value)
            return text is not None and relation(text, wanted)

        return _for_some_element(holds)

    return build


def _pattern(operand: Any) -> ValueTest:
    """`*` any run, `?` one character of the folded text, the whole value.

    Each run between two stars is matched at its first place and never given up again (an atomic
    group), which is right for such patterns and keeps a hostile value from taking more than
    quadratic time.
    """
    pieces = (text_of(operand) or "").split("*")
    escaped = [
        "".join("." if char == "?" else re.escape(char) for char in piece) for piece in pieces
    ]
    if len(escaped) == 1:
        source = escaped[0]
    else:
        middle = "".join(f"(?>.*?{piece})" for piece in escaped[1:-1] if piece)
        source = f"{escaped[0]}{middle}.*{escaped[-1]}"
    fullmatch = re.compile(source, re.DOTALL).fullmatch

    def holds(value: Any) -> bool:
        text = text_of(value)
        return text is not None and fullmatch(text) is not None

    return _for_some_element(holds)


def _number_test(relation: Callable[[Any, Any], bool]) -> Callable[[Any], ValueTest]:
    def build(operand: Any) -> ValueTest:
        def holds(value: Any) -> bool:
            number = number_of(value)
            return number is not None and relation(number, operand)

        return _for_some_element(holds)

    return build


def _is(operand: Any) -> ValueTest:
    wanted = "true" if operand else "false"

    def holds(value: Any) -> bool:
        if type(value) is bool:
            return value is operand
        return type(value) is str and value.casefold() == wanted

    return _for_some_element(holds)


def _exists(operand: Any) -> ValueTest:
    if operand:
        return lambda value: value is not MISSING
    return lambda value: value is MISSING


_contains = _text_test(lambda text, wanted: wanted in text)

OPERATORS: Final[dict[str, Callable[[Any], ValueTest]]] = {
    "equals": _equals,
    "does_not_equal": _complement(_equals),
    "contains": _contains,
    "does_not_contain": _complement(_contains),
    "starts_with": _text_test(str.startswith),
    "ends_with": _text_test(str.endswith),
    "pattern": _pattern,
    "does_not_match_pattern": _complement(_pattern),
    "one_of": _one_of,
    "not_one_of": _complement(_one_of),
    "greater_than": _number_test(lambda number, bound: number > bound),
    "at_least": _number_test(lambda number, bound: number >= bound),
    "less_than": _number_test(lambda number, bound: number < bound),
    "at_most": _number_test(lambda number, bound: number <= bound),
    "between": _number_test(lambda number, bounds: bounds[0] <= number <= bounds[1]),
    "is": _is,
    "exists": _exists,
    "includes": _equals,
    "does_not_include": _complement(_equals),
    "partial_match": _contains,
}
"""Every operator but the date ones: a function from the operand of the definition to the test on a
value.
"""


NEGATIVE: Final = {
    "does_not_equal": "equals",
    "does_not_contain": "contains",
    "does_not_match_pattern": "pattern",
    "not_one_of": "one_of",
    "does_not_include": "includes",
}
"""Operators that are the exact complement of another, and that other."""


def positive_of(test: Test) -> Test | None:
    """The test of which this one is the complement; None for one that is no complement."""
    if test.operator == "exists":
        return None if test.operand else Test("exists", True)
    positive = NEGATIVE.get(test.operator)
    return None if positive is None else Test(positive, test.operand)


def value_test(test: Test) -> ValueTest:
    """The test on a value that an operator (not a date operator) and its operand mean.

    Raises:
        KeyError: the operator is not in `OPERATORS`; definitions are checked before.
    """
    return OPERATORS[test.operator](test.operand)


def dated_test(window: Window) -> Callable[[Any, int], bool]:
    """The date test on a value at an instant: some element is a date that the window has then."""

    def holds(value: Any, at: int) -> bool:
        for element in _elements(value):
            instant = instant_of(element)
            if instant is not None and window.contains(instant, at):
                return True
        return False

    return holds


def dated_change(window: Window, value: Any, after: int) -> int | None:
    """An instant later than `after` before which a date test on `value` cannot change, None if it
    never will.

    While some element is in the window only the last of those to leave it matters: a long list of
    dates costs no more due instants than it makes changes.
    """
    entering: list[int] = []
    leaving: list[int] = []
    for element in _elements(value):
        instant = instant_of(element)
        if instant is None:
            continue
        change = window.next_change(instant, after)
        if window.contains(instant, after):
            if change is None:
                return None
            leaving.append(change)
        elif change is not None:
            entering.append(change)
    return max(leaving) if leaving else min(entering, default=None)
