"""What one test on a value implies for another: it holds, it cannot hold, or nothing.

A value is missing, or it has elements: a list its own, a scalar one. A test is brought into one of
four forms: some element has one of several properties, no element has any of them, the key is
present, the key is absent. Everything here holds for every value there could be; where that is not
certain, nothing is concluded.

Source: docs/semantics.md, comparing values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from cdp_stream.core.model.operators import DATED, Test, number_of, positive_of, text_of, value_test
from cdp_stream.core.model.windows import Window


@dataclass(frozen=True, slots=True)
class Equal:
    """The element's text, case-folded, is this."""

    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """The element's text has this in it; with the empty text: the element has a text."""

    text: str


@dataclass(frozen=True, slots=True)
class Prefix:
    """The element's text begins with this."""

    text: str


@dataclass(frozen=True, slots=True)
class Suffix:
    """The element's text ends with this."""

    text: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """The element's text as a whole matches this; `*` is any run, `?` one character."""

    text: str


@dataclass(frozen=True, slots=True)
class Interval:
    """The element is a number from `low` to `high`, both included unless open; None is no bound."""

    low: int | float | None = None
    high: int | float | None = None
    low_open: bool = False
    high_open: bool = False

    def has(self, number: int | float) -> bool:
        """Whether a number lies in it."""
        if self.low is not None and (number < self.low or (self.low_open and number == self.low)):
            return False
        return self.high is None or not (
            number > self.high or (self.high_open and number == self.high)
        )

    @property
    def is_empty(self) -> bool:
        """Whether it has no number."""
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))


@dataclass(frozen=True, slots=True)
class Dated:
    """The element is a date in this window."""

    window: Window


Property = Equal | Part | Prefix | Suffix | Pattern | Interval | Dated
ANY_TEXT: Final = Part("")
ANY_NUMBER: Final = Interval()
ANY_DATE: Final = Dated(Window())


class Shape(Enum):
    """What a form requires of the elements."""

    SOME = "some element has one of the properties"
    NONE = "no element has any of the properties"
    PRESENT = "the key is there"
    ABSENT = "the key is missing"


@dataclass(frozen=True, slots=True)
class Form:
    """A test on a value; PRESENT and ABSENT have no properties."""

    shape: Shape
    properties: frozenset[Property] = frozenset()


def form_of(test: Test) -> Form:
    """The form of a test; tests that mean the same mostly have the same."""
    positive = positive_of(test)
    if positive is not None:
        return complement_of(form_of(positive))
    if test.operator == "exists":
        return Form(Shape.PRESENT)
    return Form(Shape.SOME, _properties(test.operator, test.operand))


def _properties(operator: str, operand: Any) -> frozenset[Property]:
    if operator == "one_of":
        return frozenset(_equality(item) for item in operand)
    found = _property(operator, operand)
    if isinstance(found, Interval) and found.is_empty:
        return frozenset()
    return frozenset((found,))


def _property(operator: str, operand: Any) -> Property:
    match operator:
        case "equals" | "includes" | "is":
            return _equality(operand)
        case "contains" | "partial_match":
            return Part(_text(operand))
        case "starts_with":
            return Prefix(_text(operand)) if _text(operand) else ANY_TEXT
        case "ends_with":
            return Suffix(_text(operand)) if _text(operand) else ANY_TEXT
        case "pattern":
            return _pattern(_text(operand))
        case "between":
            return Interval(operand[0], operand[1])
        case "greater_than" | "at_least":
            return Interval(low=operand, low_open=operator == "greater_than")
        case "less_than" | "at_most":
            return Interval(high=operand, high_open=operator == "less_than")
        case _:
            assert operator == DATED, operator
            return Dated(operand)


def _text(operand: Any) -> str:
    return text_of(operand) or ""


def _equality(operand: Any) -> Property:
    if type(operand) is int or type(operand) is float:
        return Interval(operand, operand)
    return Equal(_text(operand))


def _pattern(text: str) -> Property:
    """The simplest property that matches the same."""
    inner = text.strip("*")
    if "*" in inner or "?" in inner:
        return Pattern(text)
    if not inner:
        return ANY_TEXT if text else Equal("")
    if not text.startswith("*"):
        return Prefix(inner) if text.endswith("*") else Equal(inner)
    return Part(inner) if text.endswith("*") else Suffix(inner)


def implies(one: Property, other: Property) -> bool:
    """Whether every element that has the one property certainly has the other."""
    if one == other:
        return True
    match one, other:
        case Interval(), Interval():
            return _low_within(one, other) and _high_within(one, other)
        case Dated(), Dated():
            return window_within(one.window, other.window)
        case ((Dated() | Interval()), _):
            # What is a date or a number has a text.
            return other == ANY_TEXT
        case _, Dated():
            return False
        case Equal(), _:
            return _text_has(one.text, other)
        case _, Interval():
            return False
        case _:
            return _text_implies(one, other)


def _text_implies(one: Property, other: Property) -> bool:
    match one, other:
        case Prefix(text), Prefix(other_text):
            return text.startswith(other_text)
        case Suffix(text), Suffix(other_text):
            return text.endswith(other_text)
        case ((Prefix(text) | Suffix(text) | Part(text)), Part(other_text)):
            return other_text in text
        case Pattern(text), Prefix(other_text):
            return _pieces(text)[0].startswith(other_text)
        case Pattern(text), Suffix(other_text):
            return _pieces(text)[-1].endswith(other_text)
        case Pattern(text), Part(other_text):
            return any(other_text in piece for piece in _pieces(text))
        case _:
            return False


def _pieces(pattern: str) -> list[str]:
    """The literal runs between its wildcards, the empty ones too."""
    return pattern.replace("?", "*").split("*")


def _text_has(text: str, wanted: Property) -> bool:
    """Whether every element with this folded text has the property (not a date: those are read
    before folding).

    Folding makes and changes no number: no other character folds to one that numbers are written
    with.
    """
    match wanted:
        case Equal(other):
            return text == other
        case Part(other):
            return other in text
        case Prefix(other):
            return text.startswith(other)
        case Suffix(other):
            return text.endswith(other)
        case Pattern(pattern):
            return value_test(Test("pattern", pattern))(text)
        case Interval():
            number = number_of(text)
            return number is not None and wanted.has(number)
        case Dated():
            return False


def _low_within(one: Interval, other: Interval) -> bool:
    if other.low is None:
        return True
    return one.low is not None and (
        one.low > other.low or (one.low == other.low and (one.low_open or not other.low_open))
    )


def _high_within(one: Interval, other: Interval) -> bool:
    if other.high is None:
        return True
    return one.high is not None and (
        one.high < other.high or (one.high == other.high and (one.high_open or not other.high_open))
    )


def window_within(one: Window, other: Window) -> bool:
    """Whether, at every instant, each time in the one window lies in the other."""
    return (
        (other.start is None or (one.start is not None and one.start >= other.start))
        and (other.end is None or (one.end is not None and one.end <= other.end))
        and (other.oldest is None or (one.oldest is not None and one.oldest <= other.oldest))
        and (other.newest is None or (one.newest is not None and one.newest >= other.newest))
    )


def excludes(one: Property, other: Property) -> bool:
    """Whether no element certainly has both properties."""
    match one, other:
        case (Equal(text), Equal() | Part() | Prefix() | Suffix() | Pattern() | Interval()):
            return not _text_has(text, other)
        case (Part() | Prefix() | Suffix() | Pattern() | Interval(), Equal(text)):
            return not _text_has(text, one)
        case Interval(), Interval():
            return intersection(one, other).is_empty
        case Prefix(text), Prefix(other_text):
            return not (text.startswith(other_text) or other_text.startswith(text))
        case Suffix(text), Suffix(other_text):
            return not (text.endswith(other_text) or other_text.endswith(text))
        case _:
            return False


def intersection(one: Interval, other: Interval) -> Interval:
    """The numbers that both have."""
    low, high = (
        (one if _low_within(one, other) else other),
        (one if _high_within(one, other) else other),
    )
    return Interval(low.low, high.high, low.low_open, high.high_open)


def form_implies(one: Form, other: Form) -> bool:
    """Whether every value that passes the one test certainly passes the other."""
    if one == other or (one.shape is Shape.SOME and not one.properties):
        return True
    match one.shape, other.shape:
        case Shape.SOME, Shape.SOME:
            return all(
                any(implies(own, wanted) for wanted in other.properties) for own in one.properties
            )
        case Shape.NONE, Shape.NONE:
            return all(
                any(implies(unwanted, own) for own in one.properties)
                for unwanted in other.properties
            )
        case (Shape.SOME, Shape.PRESENT) | (Shape.ABSENT, Shape.NONE):
            return True
        case _:
            return False


def form_excludes(one: Form, other: Form) -> bool:
    """Whether no value certainly passes both tests."""
    return form_implies(one, complement_of(other)) or form_implies(other, complement_of(one))


def complement_of(form: Form) -> Form:
    """The test that holds exactly where this one does not."""
    return Form(_COMPLEMENT[form.shape], form.properties)


_COMPLEMENT: Final = {
    Shape.SOME: Shape.NONE,
    Shape.NONE: Shape.SOME,
    Shape.PRESENT: Shape.ABSENT,
    Shape.ABSENT: Shape.PRESENT,
}
