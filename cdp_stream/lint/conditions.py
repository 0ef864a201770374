"""What the conditions of a `where` mean together, and what they imply for those of another.

A custom attribute of an event has one value: its conditions are brought together, so that wheres
which mean the same mostly are the same. Whatever else a condition reads may be a list; two of its
elements may meet two conditions that no one value meets.

Source: docs/semantics.md, comparing values; docs/events.md, what is read from a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from cdp_stream.core.model.criterion import Condition, Source
from cdp_stream.core.model.subject import COMMERCE
from cdp_stream.core.model.windows import Window
from cdp_stream.lint.values import (
    Dated,
    Form,
    Interval,
    Property,
    Shape,
    excludes,
    form_excludes,
    form_implies,
    form_of,
    implies,
    intersection,
)

Where = frozenset[tuple[Source, str, Form]]

_MOST_ALTERNATIVES: Final = 300
"""Longer lists of alternatives are not compared with each other, one by one."""


def where_of(kind: str, conditions: Iterable[Condition]) -> Where | None:
    """What all the conditions mean together, None when no event of the kind meets them all."""
    places: dict[tuple[Source, str], dict[Form, None]] = {}
    for condition in conditions:
        forms = places.setdefault((condition.source, condition.key), {})
        forms[form_of(condition.test)] = None
    found: set[tuple[Source, str, Form]] = set()
    for (source, key), forms in places.items():
        known = of_one_value(forms) if _is_single(kind, source) else _of_any_value(forms)
        if known is None:
            return None
        found.update((source, key, form) for form in known)
    return frozenset(found)


def where_implies(kind: str, one: Where, other: Where) -> bool:
    """Whether every event of the kind (and product of it) that meets the one's conditions meets the
    other's.

    Product conditions are met by one and the same product, so each may be looked at alone.
    """
    return other <= one or all(wanted in one or _is_implied(kind, one, *wanted) for wanted in other)


def _is_implied(kind: str, where: Where, source: Source, key: str, wanted: Form) -> bool:
    forms = [form for own, own_key, form in where if own == source and own_key == key]
    return forms_imply(forms, wanted, _is_single(kind, source))


def _is_single(kind: str, source: Source) -> bool:
    """Whether the value surely is no list; products are looked at in commerce events alone."""
    return source is Source.ATTRIBUTE or (source is Source.PRODUCT_ATTRIBUTE and kind == COMMERCE)


def _of_any_value(forms: Iterable[Form]) -> frozenset[Form] | None:
    """The tests, None when no value passes all of them."""
    for own in forms:
        if own.shape is Shape.SOME and not own.properties:
            return None
        if any(form_excludes(own, other) for other in forms):
            return None
    return frozenset(forms)


def forms_imply(forms: Iterable[Form], wanted: Form, is_single: bool) -> bool:
    """Whether a value that passes all these tests certainly passes the wanted one."""
    parts = [wanted]
    if wanted.shape is Shape.NONE:
        parts = [Form(Shape.NONE, frozenset((unwanted,))) for unwanted in wanted.properties]
    return all(
        any(form_implies(own, part) or (is_single and _rules_out(own, part)) for own in forms)
        for part in parts
    )


def _rules_out(one: Form, other: Form) -> bool:
    """Whether the one element of a value that has one of these properties has none of those."""
    return (
        one.shape is Shape.SOME
        and other.shape is Shape.NONE
        and all(excludes(own, unwanted) for own in one.properties for unwanted in other.properties)
    )


# one value


def of_one_value(forms: Iterable[Form]) -> frozenset[Form] | None:
    """The fewest tests that a value which is no list passes exactly when it passes all of these;
    None when there is no such value.
    """
    if _of_any_value(forms) is None:
        return None
    shapes = {form.shape for form in forms}
    if Shape.ABSENT in shapes:
        return frozenset((Form(Shape.ABSENT),))
    unwanted = {one for form in forms if form.shape is Shape.NONE for one in form.properties}
    needed = _narrowest([form.properties for form in forms if form.shape is Shape.SOME], unwanted)
    if not all(needed):
        return None
    found: set[Form] = set()
    for one in (Form(Shape.SOME, alternatives) for alternatives in needed):
        if not any(form_implies(other, one) for other in found):
            found = {other for other in found if not form_implies(one, other)} | {one}
    rest = {
        one
        for one in unwanted
        if not forms_imply(found, Form(Shape.NONE, frozenset((one,))), is_single=True)
        and not any(one != other and implies(one, other) for other in unwanted)
    }
    if rest:
        found.add(Form(Shape.NONE, frozenset(rest)))
    if Shape.PRESENT in shapes and not needed:
        found.add(Form(Shape.PRESENT))
    return frozenset(found)


_Alternatives = frozenset[Property]
"""Properties of which the value has one."""


def _narrowest(needed: list[_Alternatives], unwanted: set[Property]) -> list[_Alternatives]:
    """The same alternatives without those that the others, or what is unwanted, rule out."""
    before: list[_Alternatives] | None = None
    while needed != before:
        before = needed
        numbers, dates = _intersections(needed)
        numbers = None if numbers is None else _opened(numbers, unwanted)
        cut = (
            frozenset(part for each in one for part in _cut(each, numbers, dates)) for one in needed
        )
        needed = list(dict.fromkeys(map(_shortest, cut)))
        needed = [
            frozenset(
                each
                for each in one
                if not any(implies(each, other) for other in unwanted)
                and not any(_excludes_all(each, other) for other in needed)
            )
            for one in needed
        ]
    return needed


def _intersections(needed: list[_Alternatives]) -> tuple[Interval | None, Window | None]:
    """Where the number lies, and where the date, by the properties without an alternative."""
    numbers: Interval | None = None
    dates: Window | None = None
    for one in needed:
        match list(one):
            case [Interval() as interval]:
                numbers = interval if numbers is None else intersection(numbers, interval)
            case [Dated(window)]:
                dates = window if dates is None else _common_window(dates, window)
    return numbers, dates


def _common_window(one: Window, other: Window) -> Window:
    """The times that both have."""
    starts, ends, oldest, newest = (
        [bound for bound in bounds if bound is not None]
        for bounds in (
            (one.start, other.start),
            (one.end, other.end),
            (one.oldest, other.oldest),
            (one.newest, other.newest),
        )
    )
    return Window(
        max(starts, default=None),
        min(ends, default=None),
        min(oldest, default=None),
        max(newest, default=None),
    )


def _opened(numbers: Interval, unwanted: set[Property]) -> Interval:
    """Without those of its ends that are unwanted."""
    low, high = (Interval(end, end) in unwanted for end in (numbers.low, numbers.high))
    return Interval(
        numbers.low,
        numbers.high,
        numbers.low_open or (numbers.low is not None and low),
        numbers.high_open or (numbers.high is not None and high),
    )


def _cut(one: Property, numbers: Interval | None, dates: Window | None) -> Iterator[Property]:
    """The property of a value whose number and date lie there; nothing when it has none then."""
    match one:
        case Interval() if numbers is not None:
            common = intersection(one, numbers)
            if not common.is_empty:
                yield common
        case Dated(window) if dates is not None:
            both = _common_window(window, dates)
            if not is_empty(both):
                yield Dated(both)
        case _:
            yield one


def _shortest(one: _Alternatives) -> _Alternatives:
    """Without those that another is wider than."""
    if len(one) > _MOST_ALTERNATIVES:
        return one
    return frozenset(
        each for each in one if not any(each != other and implies(each, other) for other in one)
    )


def _excludes_all(each: Property, others: _Alternatives) -> bool:
    return len(others) <= _MOST_ALTERNATIVES and all(excludes(each, other) for other in others)


def is_empty(window: Window) -> bool:
    """Whether no time ever lies in it."""
    ages = window.oldest is not None and window.newest is not None
    if ages and window.oldest < window.newest:  # type: ignore[operator]
        return True
    return window.start is not None and window.end is not None and window.start >= window.end
