"""Does an event match: the conditions of one criterion on the event's own values.

All conditions hold for the same event, all product conditions for the same product; an event with
no product fails every product condition, negative ones too. Dates are relative to the event's own
time.

Source: docs/semantics.md, comparing values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from cdp_stream.core.model.criterion import Condition, Source
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.operators import DATED, MISSING, Test, dated_test, value_test

Where = Callable[[Event, Batch], bool]
_Reading = Callable[[Event, Batch], Any]
_NOTHING: dict[str, Any] = {}
PRODUCT_SOURCES: Final = frozenset({Source.PRODUCT, Source.PRODUCT_ATTRIBUTE})
"""Sources whose values are those of products."""

_APPLICATION_KEYS = {"version": "application_version", "build": "application_build_number"}


def compile_where(conditions: tuple[Condition, ...]) -> Where | None:
    """One function of an event and its batch for all the conditions; None when there are none."""
    of_event = [_condition(c) for c in conditions if c.source not in PRODUCT_SOURCES]
    of_product = [_product_condition(c) for c in conditions if c.source in PRODUCT_SOURCES]
    if of_product:
        of_event.append(_some_product(of_product))
    if not of_event:
        return None
    if len(of_event) == 1:
        return of_event[0]
    tests = tuple(of_event)

    def matches(event: Event, batch: Batch) -> bool:
        for test in tests:  # noqa: SIM110 - a generator costs more than the tests
            if not test(event, batch):
                return False
        return True

    return matches


def _timed(test: Test) -> Callable[[Any, int], bool]:
    if test.operator == DATED:
        return dated_test(test.operand)
    holds = value_test(test)
    return lambda value, _at: holds(value)


def _condition(condition: Condition) -> Where:
    read = _reading(condition.source, condition.key)
    if condition.test.operator == DATED:
        dated = dated_test(condition.test.operand)
        return lambda event, batch: dated(read(event, batch), event.occurred_at)
    holds = value_test(condition.test)
    if condition.source is Source.ATTRIBUTE and not condition.key.startswith("$"):
        key = condition.key

        def attribute_holds(event: Event, _batch: Batch) -> bool:
            # Most conditions are of this kind: it reads by itself and saves a call.
            return holds((event.data.get("custom_attributes") or _NOTHING).get(key, MISSING))

        return attribute_holds
    return lambda event, batch: holds(read(event, batch))


def _reading(source: Source, key: str) -> _Reading:
    match source:
        case Source.ATTRIBUTE if key.startswith("$"):
            return lambda event, _batch: _reserved(
                event.data.get("custom_attributes") or _NOTHING, key
            )
        case Source.ATTRIBUTE:
            return lambda event, _batch: (event.data.get("custom_attributes") or _NOTHING).get(
                key, MISSING
            )
        case Source.FIELD:
            return lambda event, _batch: _field(event.data, key)
        case Source.APP:
            name = _APPLICATION_KEYS[key]
            return lambda _event, batch: batch.application.get(name, MISSING)
        case _:
            return lambda _event, batch: batch.device.get(key, MISSING)


def _field(data: dict[str, Any], key: str) -> Any:
    # Only a commerce event's product action was checked to be an object.
    action = data.get("product_action")
    if type(action) is dict and key in action:
        return action[key]
    return data.get(key, MISSING)


def _reserved(values: dict[str, Any], key: str) -> Any:
    """The value of a `$` key, which ignores case; of several spellings the last."""
    found: Any = MISSING
    for name, value in values.items():
        if name.startswith("$") and name.casefold() == key:
            found = value
    return found


def _product_condition(condition: Condition) -> Callable[[dict[str, Any], int], bool]:
    holds = _timed(condition.test)
    read = product_reading(condition.source, condition.key)
    return lambda product, at: holds(read(product), at)


def product_reading(source: Source, key: str) -> Callable[[dict[str, Any]], Any]:
    """What finds the value of a product source in a product."""
    if source is Source.PRODUCT:
        return lambda product: product.get(key, MISSING)
    if key.startswith("$"):
        return lambda product: _reserved(_attributes_of(product), key)
    return lambda product: _attributes_of(product).get(key, MISSING)


def compile_values(
    value: tuple[Source, str], conditions: tuple[Condition, ...]
) -> Callable[[Event, Batch], list[Any]]:
    """One function of an event that meets the conditions, and its batch, for the values it has;
    MISSING may be among them.

    A product source has one value for each product that meets all the product conditions; any other
    has one.
    """
    source, key = value
    if source not in PRODUCT_SOURCES:
        read = _reading(source, key)
        return lambda event, batch: [read(event, batch)]
    of_product = product_reading(source, key)
    tests = [_product_condition(c) for c in conditions if c.source in PRODUCT_SOURCES]

    def values(event: Event, _batch: Batch) -> list[Any]:
        at = event.occurred_at
        return [
            of_product(product)
            for product in products_of(event.data)
            if all(test(product, at) for test in tests)
        ]

    return values


def compile_product_test(
    conditions: tuple[Condition, ...],
) -> Callable[[dict[str, Any], int], bool]:
    """One function of a product and the time of its event for all of these product conditions."""
    tests = [_product_condition(condition) for condition in conditions]
    return lambda product, at: all(test(product, at) for test in tests)


def _some_product(tests: list[Callable[[dict[str, Any], int], bool]]) -> Where:
    def matches(event: Event, _batch: Batch) -> bool:
        at = event.occurred_at
        return any(all(test(product, at) for test in tests) for product in products_of(event.data))

    return matches


def products_of(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The products of a commerce event: those of its product action, and of its impressions."""
    for holder in (data.get("product_action"), *_listed(data.get("product_impressions"))):
        if type(holder) is dict:
            for product in _listed(holder.get("products")):
                if type(product) is dict:
                    yield product


def _listed(value: Any) -> list[Any] | tuple[()]:
    """Only a commerce event's members were checked: in another's they may be anything."""
    return value if type(value) is list else ()


def _attributes_of(product: dict[str, Any]) -> dict[str, Any]:
    attributes = product.get("custom_attributes")
    return attributes if type(attributes) is dict else _NOTHING
