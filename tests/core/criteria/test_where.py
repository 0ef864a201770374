"""The conditions of one criterion on the event's own values."""

import pytest

from cdp_stream.core.criteria.where import compile_where, products_of
from cdp_stream.core.model.criterion import Condition, Source
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.operators import DATED
from cdp_stream.core.model.operators import Test as Operator
from cdp_stream.core.model.windows import Window

AT = 1_700_000_000_000


def matches(conditions, data, device=None, application=None):
    event = Event(AT, "commerce", "purchase", "", data, None, None, 0)
    batch = Batch(1, "ios", AT, [event], None, None, device or {}, application or {})
    where = compile_where(conditions)
    assert where is not None
    return where(event, batch)


def condition(source, key, operator="equals", operand="x"):
    return Condition(Source(source), key, Operator(operator, operand))


def test_no_condition_is_no_function():
    assert compile_where(()) is None


@pytest.mark.parametrize(
    ("source", "key", "data", "holds"),
    [
        ("attribute", "a", {"custom_attributes": {"a": "X"}}, True),
        ("attribute", "a", {"custom_attributes": {"A": "x"}}, False),
        ("attribute", "a", {"custom_attributes": None}, False),
        ("attribute", "a", {}, False),
        ("attribute", "$a", {"custom_attributes": {"$A": "x"}}, True),
        ("attribute", "$a", {"custom_attributes": {"$A": "x", "$a": "y"}}, False),
        ("attribute", "$a", {"custom_attributes": {"a": "x"}}, False),
        ("attribute", "$a", {}, False),
        ("field", "total", {"total": "x"}, True),
        ("field", "total", {"product_action": {"total": "x"}, "total": "y"}, True),
        ("field", "total", {"product_action": {"other": 1}, "total": "x"}, True),
        ("field", "total", {"product_action": "total"}, False),
        ("field", "total", {"product_action": 5}, False),
        ("field", "total", {"product_action": ["total"]}, False),
        ("product", "id", {"product_action": {"products": [{"id": "x"}]}}, True),
        ("product", "id", {"product_impressions": [{"products": [{"id": "x"}]}]}, True),
        ("product", "id", {"product_action": {"products": [{"id": "y"}]}}, False),
        ("product", "id", {"product_action": {"products": None}}, False),
        ("product", "id", {"product_action": {"products": [5, None, {"id": "x"}]}}, True),
        ("product", "id", {"product_action": "id", "product_impressions": "id"}, False),
        ("product", "id", {"product_impressions": [5, {"products": 5}]}, False),
        (
            "product_attribute",
            "c",
            {"product_action": {"products": [{"custom_attributes": {"c": "x"}}]}},
            True,
        ),
        ("product_attribute", "c", {"product_action": {"products": [{"c": "x"}]}}, False),
        (
            "product_attribute",
            "c",
            {"product_action": {"products": [{"custom_attributes": "c"}]}},
            False,
        ),
        (
            "product_attribute",
            "$c",
            {"product_action": {"products": [{"custom_attributes": {"$C": "x"}}]}},
            True,
        ),
    ],
)
def test_a_condition_finds_its_value(source, key, data, holds):
    assert matches((condition(source, key),), data) is holds


def test_app_and_device_are_the_batchs():
    application = {"application_version": "x", "application_build_number": "y"}
    assert matches((condition("app", "version"),), {}, application=application)
    assert not matches((condition("app", "build"),), {}, application=application)
    assert matches((condition("device", "platform"),), {}, device={"platform": "X"})
    assert not matches((condition("device", "platform"),), {})


def test_all_conditions_hold_for_the_same_product():
    conditions = (condition("product", "id"), condition("product", "brand", operand="b"))
    apart = [{"id": "x", "brand": "c"}, {"id": "y", "brand": "b"}]
    assert not matches(conditions, {"product_action": {"products": apart}})
    together = [*apart, {"id": "x", "brand": "b"}]
    assert matches(conditions, {"product_action": {"products": together}})


def test_all_conditions_hold_for_the_same_event():
    conditions = (condition("attribute", "a"), condition("field", "total"))
    assert matches(conditions, {"custom_attributes": {"a": "x"}, "total": "x"})
    assert not matches(conditions, {"custom_attributes": {"a": "x"}, "total": "y"})
    assert not matches(conditions, {"total": "x"})


def test_an_event_without_a_product_fails_negative_conditions_too():
    negative = (condition("product", "id", "does_not_equal"),)
    assert not matches(negative, {"product_action": {"products": []}})
    assert matches(negative, {"product_action": {"products": [{}]}})


def test_a_date_is_relative_to_the_events_own_time():
    window = Window(oldest=1000, newest=0)
    attribute = Condition(Source.ATTRIBUTE, "at", Operator(DATED, window))
    assert matches((attribute,), {"custom_attributes": {"at": AT - 1000}})
    assert not matches((attribute,), {"custom_attributes": {"at": AT - 1001}})
    product = Condition(Source.PRODUCT, "at", Operator(DATED, window))
    assert matches((product,), {"product_action": {"products": [{"at": AT}]}})
    assert not matches((product,), {"product_action": {"products": [{"at": AT + 1}]}})


def test_products_of_an_action_come_before_those_of_impressions():
    data = {
        "product_action": {"products": [{"id": 1}]},
        "product_impressions": [{"products": [{"id": 2}]}, {}],
    }
    assert list(products_of(data)) == [{"id": 1}, {"id": 2}]
