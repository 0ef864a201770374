"""What each kind of criterion reads of an event, in words.

Whether an event matches is decided by the engine's own conditions (core/criteria/where.py); this
only shows which values they met.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cdp_stream.core.criteria.calculated_attribute import CalculatedMemory
from cdp_stream.core.criteria.leaf import Memory
from cdp_stream.core.criteria.where import compile_product_test, compile_values, compile_where
from cdp_stream.core.model.criterion import (
    CalculatedCriterion,
    CartCriterion,
    Condition,
    Criterion,
    EventCriterion,
    SequenceCriterion,
    Step,
)
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.subject import COMMERCE
from cdp_stream.core.model.windows import Window
from cdp_stream.explain.words import event_words, place_words, value_words

Describe = Callable[[Event, Batch], str | None]
"""An event in words; None when it is not one of those that the criterion reads."""

ADD: Final = "add_to_cart"
REMOVE: Final = "remove_from_cart"
_MOST_VALUES: Final = 5


def windows_of(criterion: Criterion) -> dict[str, Window]:
    """Workspace id -> the window in which its events count; empty for a test on the profile."""
    match criterion:
        case EventCriterion() | CartCriterion() | SequenceCriterion():
            return {reach.workspace: reach.window for reach in criterion.reaches}
        case CalculatedCriterion():
            return {criterion.attribute.workspace: criterion.attribute.window}
        case _:
            return {}


def describe_for(criterion: Criterion, memories: list[Memory]) -> Describe | None:
    """How the events of a criterion are described; None for a test on the profile.

    Args:
        memories: what keeps the criterion's state.
    """
    match criterion:
        case EventCriterion():
            return _matching(criterion.where)
        case CalculatedCriterion():
            (memory,) = memories
            assert isinstance(memory, CalculatedMemory)
            return _calculated(memory)
        case CartCriterion():
            return _cart(criterion)
        case SequenceCriterion():
            return _sequence(criterion.steps)
        case _:
            return None


def _matching(conditions: tuple[Condition, ...]) -> Describe:
    where = compile_where(conditions)
    # Several conditions on one value show it once.
    places = {(one.source, one.key): place_words(one.source, one.key) for one in conditions}
    readings = [(words, compile_values(place, conditions)) for place, words in places.items()]

    def describe(event: Event, batch: Batch) -> str | None:
        if where is not None and not where(event, batch):
            return None
        shown = [event_words(event)]
        shown += [f"{words} = {_values(read(event, batch))}" for words, read in readings]
        return ", ".join(shown)

    return describe


def _calculated(memory: CalculatedMemory) -> Describe:
    attribute = memory.attribute
    where = compile_where(attribute.where)
    read = None if attribute.value is None else compile_values(attribute.value, attribute.where)
    words = "" if attribute.value is None else place_words(*attribute.value)

    def describe(event: Event, batch: Batch) -> str | None:
        if where is not None and not where(event, batch):
            return None
        if not memory.need(event, batch):
            # It meets the conditions, and has no value that counts.
            return None
        if read is None:
            return event_words(event)
        return f"{event_words(event)}, {words} = {_values(read(event, batch))}"

    return describe


def _cart(criterion: CartCriterion) -> Describe:
    meets = compile_product_test(criterion.where)

    def describe(event: Event, _batch: Batch) -> str | None:
        action = event.data.get("product_action")
        if event.kind != COMMERCE or type(action) is not dict:
            return None
        name = event.name.casefold()
        shown = []
        if name in (ADD, REMOVE):
            products = action.get("products") or ()
            shown = [_product(one) for one in products if meets(one, event.occurred_at)]
        closes = criterion.closing is None or name in criterion.closing
        if not shown and not closes:
            return None
        ending = " (closes what was added before)" if closes else ""
        return ", ".join([event_words(event), *_few(shown)]) + ending

    return describe


def _product(product: dict[str, Any]) -> str:
    quantity = product.get("quantity")
    # A quantity that is not written is one.
    return f"{value_words(product.get('id'))} x {value_words(1 if quantity is None else quantity)}"


def _sequence(steps: tuple[Step, ...]) -> Describe:
    readings = [(step.subject, _matching(step.where)) for step in steps]

    def describe(event: Event, batch: Batch) -> str | None:
        folded = (event.kind, event.name.casefold(), event.custom_event_type.casefold())
        met = [
            (number, words)
            for number, (subject, read) in enumerate(readings, 1)
            if subject.covers(*folded) and (words := read(event, batch)) is not None
        ]
        if not met:
            return None
        numbers = " and ".join(_few([str(number) for number, _words in met]))
        return f"{met[0][1]} (step {numbers} of {len(steps)})"

    return describe


def _values(values: list[object]) -> str:
    return " | ".join(_few([value_words(value) for value in values]))


def _few(shown: list[str]) -> list[str]:
    more = len(shown) - _MOST_VALUES
    return shown if more <= 0 else [*shown[:_MOST_VALUES], f"{more} more"]
