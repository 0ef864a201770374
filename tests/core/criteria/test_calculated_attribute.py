"""Calculated attributes over products and other values, and tests on them."""

import pytest

from cdp_stream.core.criteria.calculated_attribute import (
    CalculatedAttributeTest,
    CalculatedMemory,
)
from cdp_stream.core.criteria.where import compile_values
from cdp_stream.core.model.criterion import CalculatedAttribute, Calculation, Condition, Source
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.operators import DATED, MISSING
from cdp_stream.core.model.operators import Test as Operator
from cdp_stream.core.model.row import FOREVER, Row
from cdp_stream.core.model.subject import Subject
from cdp_stream.core.model.windows import Window

TEN = Window(oldest=10, newest=0)
DAY = 86_400_000
CART = {
    "product_action": {
        "total_amount": 30,
        "products": [
            {"id": "a", "brand": "X", "price": 10, "custom_attributes": {"$Size": "M"}},
            {"id": "b", "brand": "Y", "price": "20", "custom_attributes": {"colour": "red"}},
            {"id": "c", "brand": "x"},
        ],
    },
    "total_amount": 99,
    "custom_attributes": {"a": 1, "$R": 2},
}


def bought(data, time=100):
    event = Event(time, "commerce", "purchase", "", data, None, None, 0)
    return event, Batch(
        1, "ios", time, [event], None, None, {"os": "ios"}, {"application_version": 3}
    )


def condition(source, key, operand):
    return Condition(Source(source), key, Operator("equals", operand))


@pytest.mark.parametrize(
    ("source", "key", "conditions", "values"),
    [
        ("attribute", "a", (), [1]),
        ("attribute", "A", (), [MISSING]),
        ("attribute", "$r", (), [2]),
        ("field", "total_amount", (), [30]),
        ("app", "version", (), [3]),
        ("device", "os", (), ["ios"]),
        ("product", "price", (), [10, "20", MISSING]),
        ("product", "price", (condition("product", "brand", "x"),), [10, MISSING]),
        (
            "product",
            "price",
            (condition("product", "brand", "x"), condition("product", "id", "c")),
            [MISSING],
        ),
        ("product", "id", (condition("product_attribute", "$size", "m"),), ["a"]),
        ("product", "id", (condition("attribute", "a", 1),), ["a", "b", "c"]),
        ("product_attribute", "colour", (), [MISSING, "red", MISSING]),
        ("field", "total_amount", (condition("product", "brand", "Y"),), [30]),
    ],
)
def test_an_event_has_the_values_of_the_products_that_meet_the_product_conditions(
    source, key, conditions, values
):
    assert compile_values((Source(source), key), conditions)(*bought(CART)) == values


@pytest.mark.parametrize("data", [{}, {"product_action": 5}, {"product_action": {"products": {}}}])
def test_an_event_without_products_has_no_product_value(data):
    assert compile_values((Source.PRODUCT, "price"), ())(*bought(data)) == []


def memory_of(calculation, source, key, window=TEN, where=()):
    value = None if source is None else (Source(source), key)
    subject = Subject("commerce", "purchase", None)
    calculated = CalculatedAttribute(
        "a", "w", Calculation(calculation), subject, value, where, window
    )
    return CalculatedMemory("slot", calculated)


def with_events(memory, *timed):
    row = Row(1)
    clock = 0
    for time, data in timed:
        clock = max(clock, time)
        memory.record(row, *bought(data, time), clock)
    return row


@pytest.mark.parametrize(
    ("calculation", "value"),
    [
        ("count", 2),
        ("sum", 30),
        ("average", 15),
        ("max", 20),
        ("unique_list", [10, "20"]),
        ("first_occurrence", 10),
        ("last_occurrence", "20"),
    ],
)
def test_each_product_with_a_value_counts(calculation, value):
    memory = memory_of(calculation, "product", "price")
    assert memory.value(with_events(memory, (100, CART)), 100) == value


def test_what_a_large_event_may_need_is_known_before():
    products = [{"price": f"{'9' * n}.{n}"} for n in range(1, 300)]
    for calculation in Calculation:
        for window in (TEN, Window(newest=0)):
            memory = memory_of(calculation.value, "product", "price", window)
            row = Row(1)
            event, batch = bought({"product_action": {"products": products}})
            need = memory.need(event, batch)
            before = row.weight
            memory.record(row, event, batch, 100)
            assert 0 < row.weight - before <= need


def leaf_of(memory, operator, operand):
    leaf = CalculatedAttributeTest(memory, Operator(operator, operand))
    memory.leaves = (*memory.leaves, leaf)
    return leaf


def test_several_tests_read_one_attribute():
    memory = memory_of("count", None, None)
    many, none = leaf_of(memory, "at_least", 2), leaf_of(memory, "equals", 0)
    assert memory.leaves == (many, none)
    row = with_events(memory, (100, {}), (104, {}))
    verdicts = {at: (many.holds(row, at), none.holds(row, at)) for at in (104, 110, 111, 114, 115)}
    assert verdicts == {
        104: (True, False),
        110: (True, False),
        111: (False, False),
        114: (False, False),
        115: (False, True),
    }
    assert [many.next_due(row, at) for at in (104, 111, 115)] == [111, 115, FOREVER]


def test_a_value_that_is_missing_passes_negative_tests_alone():
    memory = memory_of("last_occurrence", "attribute", "a")
    row = Row(1)
    assert leaf_of(memory, "does_not_equal", "x").holds(row, 5)
    assert leaf_of(memory, "exists", False).holds(row, 5)
    assert not leaf_of(memory, "equals", "x").holds(row, 5)


def test_a_list_is_tested_element_by_element():
    memory = memory_of("unique_list", "attribute", "a")
    row = with_events(
        memory,
        (100, {"custom_attributes": {"a": "Red"}}),
        (103, {"custom_attributes": {"a": "blue"}}),
    )
    includes = leaf_of(memory, "includes", "red")
    assert (includes.holds(row, 110), includes.holds(row, 111)) == (True, False)


def test_a_timestamp_ages_by_passing_time():
    memory = memory_of("last_occurrence_timestamp", None, None, Window(newest=0))
    leaf = leaf_of(memory, DATED, Window(oldest=3, newest=0))
    row = with_events(memory, (100, {}))
    assert [leaf.holds(row, at) for at in (100, 103, 104)] == [True, True, False]
    assert leaf.next_due(row, 100) == 104
    assert leaf.next_due(row, 104) == FOREVER


def test_a_timestamp_that_leaves_its_window_before_it_is_old_enough_is_due_then():
    memory = memory_of("first_occurrence_timestamp", None, None)
    leaf = leaf_of(memory, DATED, Window(oldest=15, newest=5))
    row = with_events(memory, (100, {}))
    verdicts = [leaf.holds(row, at) for at in (104, 105, 110, 111)]
    assert verdicts == [False, True, True, False]
    assert [leaf.next_due(row, at) for at in (100, 105, 111)] == [105, 111, FOREVER]


def test_a_date_in_a_value_ages_too():
    memory = memory_of("last_occurrence", "attribute", "a", Window(newest=0))
    leaf = leaf_of(memory, DATED, Window(oldest=DAY, newest=0))
    row = with_events(memory, (100, {"custom_attributes": {"a": "1970-01-02"}}))
    assert [leaf.holds(row, at) for at in (DAY - 1, DAY, 2 * DAY, 2 * DAY + 1)] == [
        False,
        True,
        True,
        False,
    ]
    assert [leaf.next_due(row, at) for at in (100, DAY)] == [DAY, 2 * DAY + 1]
