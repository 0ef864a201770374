"""The recount on subjects, conditions and values, worked out by hand from semantics.md."""

from __future__ import annotations

from typing import Any

import pytest

from tests.properties.builders import (
    DAY,
    NOON,
    batch,
    custom,
    defined,
    profile_only,
    purchase,
    recounted,
)

Json = Any


# --- where ---


def test_product_conditions_hold_for_one_and_the_same_product() -> None:
    rules = defined(
        {
            "commerce": "purchase",
            "where": [{"product": "brand", "equals": "acme"}, {"product": "price", "at_least": 10}],
        }
    )
    apart = purchase(0, {"brand": "Acme", "price": 1}, {"brand": "b", "price": 99})
    together = purchase(1, {"brand": "b"}, {"brand": "ACME", "price": "10"})
    assert recounted(rules, batch(apart), batch(together)) == [("add", "x", 1, 0)]


def test_an_event_without_product_fails_even_a_negative_product_condition() -> None:
    rules = defined(
        {"commerce": "purchase", "where": [{"product": "brand", "does_not_equal": "acme"}]}
    )
    assert recounted(rules, batch(purchase(0)), batch(purchase(1, {"price": 3}))) == [
        ("add", "x", 1, 0)
    ]


def test_a_field_is_looked_for_in_the_product_action_first() -> None:
    rules = defined({"commerce": "any", "where": [{"field": "total_amount", "greater_than": 5}]})
    inside, beside = purchase(0, total_amount=5), purchase(1)
    inside["data"]["total_amount"] = beside["data"]["total_amount"] = 6
    assert recounted(rules, batch(inside), batch(beside)) == [("add", "x", 1, 0)]


def test_a_date_in_where_is_relative_to_the_event() -> None:
    rules = defined({"event": "E", "where": [{"attribute": "d", "last": "1d"}], "when": "any_time"})
    at_noon = custom("E", 0, custom_attributes={"d": "2024-01-14T12:00:00Z"})
    later = custom("E", 1, custom_attributes={"d": "2024-01-14T12:00:00Z"})
    assert recounted(rules, batch(later)) == []
    assert recounted(rules, batch(at_noon), until=900 * DAY) == [("add", "x", 0, 0)]


def test_a_date_attribute_enters_and_leaves_by_time() -> None:
    rules = defined({"user_attribute": "d", "last": "2d"})
    stream = profile_only(0, user_attributes={"d": "2024-01-16"})
    assert recounted(rules, stream, until=9 * DAY) == [
        ("add", "x", DAY // 2, 0),
        ("delete", "x", 5 * DAY // 2 + 1, 0),
    ]


# --- values ---

ABSENT = object()


@pytest.mark.parametrize(
    ("test", "value", "holds"),
    [
        ({"equals": "Straße"}, "STRASSE", True),
        ({"equals": "İ"}, "i̇", True),
        ({"equals": 42}, "42.0", True),
        ({"equals": 42}, " 42 ", True),
        ({"equals": "42"}, 42, True),
        ({"equals": "42"}, 42.0, False),
        ({"equals": "true"}, True, True),
        ({"equals": 1}, True, False),
        ({"equals": "x"}, None, False),
        ({"does_not_equal": "x"}, None, True),
        ({"does_not_equal": "x"}, ABSENT, True),
        ({"does_not_equal": "x"}, ["y", "X"], False),
        ({"contains": "4"}, 142, True),
        ({"does_not_contain": "a"}, "bAb", False),
        ({"starts_with": "SS"}, "ßa", True),
        ({"ends_with": ""}, "a", True),
        ({"pattern": "a?c*"}, "ABCdef", True),
        ({"pattern": "?"}, "ß", False),
        ({"pattern": "??"}, "ß", True),
        ({"pattern": "b"}, "abc", False),
        ({"does_not_match_pattern": "*"}, ABSENT, True),
        ({"one_of": ["a", 2]}, "2.0", True),
        ({"not_one_of": ["a", 2]}, "b", True),
        ({"greater_than": 5}, " +5.5e0 ", True),
        ({"greater_than": 5}, "6 apples", False),
        ({"greater_than": 5}, "1e999", False),
        ({"at_most": 5}, False, False),
        ({"between": [1, 2]}, 2, True),
        ({"between": [1, 2]}, [0, 3], False),
        ({"is": True}, "TRUE", True),
        ({"is": False}, ABSENT, False),
        ({"is": False}, 0, False),
        ({"exists": True}, None, True),
        ({"exists": True}, "", True),
        ({"exists": False}, ABSENT, True),
        ({"includes": "a"}, ["b", "A"], True),
        ({"includes": "a"}, "A", True),
        ({"includes": "a"}, ["ab"], False),
        ({"does_not_include": "a"}, [], True),
        ({"partial_match": "A"}, ["xaz"], True),
        ({"before": "2024-01-15"}, "2024-01-14T23:59:59.999", True),
        ({"before": "2024-01-15"}, "2024-01-15T00:30:00+01:00", True),
        ({"after": "2024-01-15"}, "1705276800000", True),
        ({"after": "2024-01-15"}, 1_705_276_799_999, False),
        ({"on": "2024-01-15"}, "soon", False),
    ],
)
def test_a_value_is_compared_as_the_page_says(test: Json, value: Json, holds: bool) -> None:
    attributes = {} if value is ABSENT else {"k": value}
    rules = defined({"user_attribute": "k", **test})
    assert bool(recounted(rules, profile_only(0, user_attributes=attributes))) is holds


def test_attribute_keys_are_exact_save_those_with_a_dollar() -> None:
    rules = defined(
        {"id": "exact", "criteria": {"user_attribute": "key", "exists": True}},
        {"id": "reserved", "criteria": {"user_attribute": "$AGE", "at_least": 18}},
    )
    stream = profile_only(0, user_attributes={"KEY": 1, "$Age": "18"})
    assert recounted(rules, stream) == [("add", "reserved", 0, 0)]


# --- subjects ---


@pytest.mark.parametrize(
    ("criterion", "kind", "data"),
    [
        ({"event": "buy"}, "custom_event", {"event_name": "BUY", "custom_event_type": "other"}),
        ({"event": "any"}, "custom_event", {"event_name": "z", "custom_event_type": "other"}),
        (
            {"event": {"name": "buy", "custom_event_type": "navigation"}},
            "custom_event",
            {"event_name": "Buy", "custom_event_type": "navigation"},
        ),
        (
            {"attribution": "A"},
            "custom_event",
            {"event_name": "a", "custom_event_type": "attribution"},
        ),
        ({"screen_view": "home"}, "screen_view", {"screen_name": "Home"}),
        ({"commerce": "refund"}, "commerce_event", {"product_action": {"action": "refund"}}),
        (
            {"commerce": "promotion_click"},
            "commerce_event",
            {"promotion_action": {"action": "click"}},
        ),
        ({"commerce": "impression"}, "commerce_event", {"product_impressions": [{"products": []}]}),
        ({"session": "start"}, "session_start", {}),
        ({"session": "end"}, "session_end", {"session_duration_ms": 1}),
        ({"install": "any"}, "first_run", {}),
        (
            {"install": "any"},
            "application_state_transition",
            {"application_transition_type": "application_initialized", "is_first_run": True},
        ),
        (
            {"upgrade": "any"},
            "application_state_transition",
            {"application_transition_type": "application_initialized", "is_upgrade": True},
        ),
        ({"uninstall": "any"}, "uninstall", {}),
        ({"crash": "any"}, "crash_report", {"severity": "fatal", "message": "m"}),
    ],
)
def test_each_subject_reads_its_events_and_no_others(
    criterion: Json, kind: str, data: Json
) -> None:
    event = {"event_type": kind, "data": {"timestamp_unixtime_ms": NOON, **data}}
    other = {
        "event_type": "breadcrumb",
        "data": {"timestamp_unixtime_ms": NOON, **data, "label": "l"},
    }
    assert recounted(defined(criterion), batch(event)) == [("add", "x", 0, 0)]
    assert recounted(defined(criterion), batch(other)) == []
