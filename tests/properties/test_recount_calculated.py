"""The recount's calculated attributes, worked out by hand from semantics.md."""

from __future__ import annotations

from typing import Any

import pytest

from tests.properties.builders import batch, custom, defined, purchase, recounted
from tests.properties.recount_calculated import calculate
from tests.properties.recount_values import MISSING

Json = Any


@pytest.mark.parametrize(
    ("calculation", "values", "expected"),
    [
        ("count", [], 0),
        ("count", ["a", "a"], 2),
        ("sum", [], 0),
        ("sum", ["x", True], 0),
        ("sum", [0.1, "0.2"], 0.3),
        ("sum", [1e16, 1, -1e16], 1),
        ("sum", [9_223_372_036_854_775_807, 1], 9_223_372_036_854_775_808),
        ("sum", ["1e2", " -.5 ", "+0.5"], 100),
        ("min", [], MISSING),
        ("min", ["x"], MISSING),
        ("min", [2, "-3", 2.5], -3),
        ("max", [2, "2.50"], 2.5),
        ("max", ["7.0", 3], 7),
        ("average", [], MISSING),
        ("average", [1, 2], 1.5),
        ("average", [1, "x", 3], 2),
        ("average", [1, 0, 0], 1 / 3),
        ("most_frequent", [], MISSING),
        ("most_frequent", ["b", "a", "b"], "b"),
        ("most_frequent", ["b", "a"], "a"),
        ("most_frequent", ["a", "B"], "B"),
        ("most_frequent", ["a", "A", "a", "B", "B"], "B"),
        ("unique_values_count", [], 0),
        ("unique_values_count", ["a", "A", "a", 1, 1.0, "1", True, "true"], 7),
        ("unique_list", [], []),
        ("unique_list", ["b", "a", "b", "ä", "B"], ["B", "a", "b", "ä"]),
        ("unique_list", [10, 9, "8"], [10, "8", 9]),
        ("first_occurrence", [], MISSING),
        ("first_occurrence", ["b", "a"], "b"),
        ("last_occurrence", [], MISSING),
        ("last_occurrence", ["b", 42.0], 42.0),
        ("first_occurrence_timestamp", [], MISSING),
        ("first_occurrence_timestamp", ["b", "a"], 0),
        ("last_occurrence_timestamp", [], MISSING),
        ("last_occurrence_timestamp", ["b", "a"], 1),
    ],
)
def test_a_calculation_over_values_in_order_of_time(
    calculation: str, values: list[Json], expected: Json
) -> None:
    found = calculate(calculation, list(enumerate(values)))
    assert found == expected
    assert type(found) is type(expected)


def test_a_unique_list_is_the_first_hundred_in_order_of_text() -> None:
    values = [f"{number:03}" for number in range(150)]
    expected = values[:100]
    assert calculate("unique_list", list(enumerate(values[::-1]))) == expected


def with_attribute(criteria: Json, **attribute: Json) -> Json:
    """An audience `x` on the calculated attribute `v`."""
    return {
        **defined({"calculated_attribute": "v", **criteria}),
        "calculated_attributes": [{"id": "v", "workspace": "w", **attribute}],
    }


def test_each_product_that_meets_the_product_conditions_is_a_value() -> None:
    of = {
        "commerce": "purchase",
        "product": "price",
        "where": [{"product": "brand", "equals": "acme"}, {"field": "currency", "exists": False}],
    }
    rules = with_attribute({"equals": 30}, calculation="sum", of=of)
    products = [
        *({"brand": "ACME", "price": 10}, {"brand": "b", "price": 1}),
        {"brand": "acme", "price": 20},
    ]
    assert recounted(rules, batch(purchase(0, *products))) == [("add", "x", 0, 0)]


def test_of_values_at_one_instant_the_one_read_first_is_the_first() -> None:
    of = {"event": "E", "attribute": "k"}
    stream = [
        batch(custom("E", 5, custom_attributes={"k": "b"})),
        batch(custom("E", 5, custom_attributes={"k": "a"})),
    ]
    first = with_attribute({"equals": "b"}, calculation="first_occurrence", of=of)
    last = with_attribute({"equals": "a"}, calculation="last_occurrence", of=of)
    assert recounted(first, *stream) == [("add", "x", 5, 0)]
    assert recounted(last, *stream) == [("add", "x", 5, 0)]


def test_a_value_that_reads_as_a_date_enters_and_leaves_its_window_by_time() -> None:
    rules = with_attribute(
        {"last": "10ms"}, calculation="max", of={"event": "E", "attribute": "k"}, within="1s"
    )
    noon = 1_705_320_000_000
    stream = batch(custom("E", 0, custom_attributes={"k": noon + 500}))
    assert recounted(rules, stream, until=5_000) == [("add", "x", 500, 0), ("delete", "x", 511, 0)]
