"""The recount's reading of calculated attributes (semantics.md, Calculated attributes).

Shares no code with `cdp_stream`: see `recount.py`.
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

from tests.properties.recount_events import (
    Occurrence,
    condition_value,
    product_value,
    products_of,
    where_holds,
)
from tests.properties.recount_values import MISSING, is_number, number_of, text_of, value_holds

Json = Any
VALUE_KEYS = ("attribute", "field", "product", "product_attribute", "app", "device")


def values_of(of: Json, counted: list[Occurrence]) -> list[tuple[int, Json]]:
    """(time, value) of every value, in order of time, of equal times as read.

    Without a value to look at, each event is one.
    """
    found = []
    for occurrence in sorted(counted, key=lambda one: one.time):
        if not any(key in of for key in VALUE_KEYS):
            found.append((occurrence.time, True))
        else:
            values = _values_of_event(of, occurrence)
            found += [(occurrence.time, v) for v in values if v is not MISSING and v is not None]
    return found


def _values_of_event(of: Json, occurrence: Occurrence) -> list[Json]:
    """One value; of a product, one for each product that meets the product conditions."""
    if "product" not in of and "product_attribute" not in of:
        return [condition_value(of, occurrence)]
    conditions = [c for c in of.get("where", []) if "product" in c or "product_attribute" in c]
    return [
        product_value(of, product)
        for product in products_of(occurrence.event["data"])
        if all(value_holds(c, product_value(c, product), occurrence.time) for c in conditions)
    ]


def counts(of: Json, occurrence: Occurrence) -> bool:
    """Whether the event meets the conditions of the attribute."""
    return where_holds(of.get("where", []), occurrence)


def exact(value: Json) -> Fraction | None:
    """A number, or numeric text, as the decimal that is written."""
    if number_of(value) is None:
        return None
    return Fraction(value.strip() if isinstance(value, str) else repr(value))


def plain(number: Fraction) -> int | float:
    """An integer when whole, else the nearest float."""
    return number.numerator if number.denominator == 1 else float(number)


def calculate(calculation: str, timed: list[tuple[int, Json]]) -> Json:  # noqa: PLR0911, PLR0912
    """The attribute's value; MISSING over nothing, save for counts, sums and lists."""
    values = [value for _, value in timed]
    numbers = [number for number in map(exact, values) if number is not None]
    match calculation:
        case "count":
            return len(values)
        case "sum":
            return plain(sum(numbers, Fraction(0)))
        case "unique_values_count":
            return len(distinct(values))
        case "unique_list":
            return sorted(distinct(values).values(), key=alphabetical)[:100]
        case "min" | "max" | "average" if not numbers:
            return MISSING
        case "min":
            return plain(min(numbers))
        case "max":
            return plain(max(numbers))
        case "average":
            return plain(sum(numbers, Fraction(0)) / len(numbers))
        case _ if not timed:
            return MISSING
        case "most_frequent":
            texts = [json_text(value) for value in values]
            often = max(texts.count(text) for text in texts)
            return min((v for v in values if texts.count(json_text(v)) == often), key=alphabetical)
        case "first_occurrence":
            return timed[0][1]
        case "last_occurrence":
            return timed[-1][1]
        case "first_occurrence_timestamp":
            return timed[0][0]
        case "last_occurrence_timestamp":
            return timed[-1][0]
    raise AssertionError(calculation)


def distinct(values: list[Json]) -> dict[str, Json]:
    """Values by their exact JSON text, by which they are told apart."""
    return {json_text(value): value for value in values}


def json_text(value: Json) -> str:
    """The exact JSON text of a scalar."""
    return str(text_of(value)) if is_number(value) else json.dumps(value)


def alphabetical(value: Json) -> tuple[str, str]:
    """By text; of equal texts by the JSON text."""
    return str(text_of(value)), json_text(value)
