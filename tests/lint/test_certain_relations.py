"""What is found of two audiences, and what must not be: each row is a certain fact or a trap."""

import pytest

from tests.lint.accounts import about, warnings_in

EQUAL = [("equal", "a", "b")]
CONTAINS = [("contains", "a", "b")]
NEVER = [("never-true", "a")]
ALWAYS = [("always-true", "a")]

RELATED = [
    # counts
    ("{event: X}", "{event: x, when: {last: 30d}, count: {at_least: 1}}", EQUAL),
    ("{event: X}", "{event: X, count: {at_least: 3}}", CONTAINS),
    ("{event: X}", "{event: X, count: {between: [2, 4]}}", CONTAINS),
    ("{event: X, count: {at_most: 3}}", "{event: X, count: {less_than: 3}}", CONTAINS),
    ("{not: {event: X}}", "{event: X, count: {less_than: 1}}", EQUAL),
    ("{event: X, count: {at_most: 2}, when: {last: 1d}}", "{not: {event: X}}", CONTAINS),
    # windows
    ("{event: X, when: {last: 7d}}", "{event: X, when: {last: 3d}}", CONTAINS),
    ("{event: X, when: {last: 7d}}", "{event: X, when: {between: [6d, 4d]}}", CONTAINS),
    ("{event: X, when: {last: 7d}}", "{event: X, when: {between: [7d, 0d]}}", EQUAL),
    ("{event: X}", "{event: X, when: {after: 2020-01-01}}", CONTAINS),
    # subjects, conditions, inputs
    ("{event: any}", "{event: X}", CONTAINS),
    ("{event: X}", "{event: {name: X, custom_event_type: other}}", CONTAINS),
    ("{event: X}", "{attribution: X}", CONTAINS),
    ("{commerce: any}", "{commerce: purchase}", CONTAINS),
    ("{event: X}", "{event: X, where: [{attribute: k, exists: true}]}", CONTAINS),
    (
        "{event: X, where: [{attribute: k, contains: a}]}",
        "{event: X, where: [{attribute: k, equals: bar}, {attribute: l, equals: b}]}",
        CONTAINS,
    ),
    (
        "{commerce: any, where: [{product: id, starts_with: a}]}",
        "{commerce: purchase, where: [{product: id, equals: Ab}, {product: price, at_least: 5}]}",
        CONTAINS,
    ),
    ("{event: X}", "{event: X, inputs: [web]}", CONTAINS),
    ("{event: X}", "{event: X, inputs: [web, app]}", EQUAL),
    # conditions on a custom attribute, which has one value
    (
        "{event: X, where: [{attribute: k, does_not_equal: b}]}",
        "{event: X, where: [{attribute: k, equals: a}]}",
        CONTAINS,
    ),
    (
        "{event: X, where: [{attribute: k, not_one_of: [b, c]}]}",
        "{event: X, where: [{attribute: k, does_not_equal: b}, {attribute: k, starts_with: d}]}",
        CONTAINS,
    ),
    (
        "{event: X, where: [{attribute: k, between: [1, 5]}]}",
        "{event: X, where: [{attribute: k, at_least: 1}, {attribute: k, at_most: 5}]}",
        EQUAL,
    ),
    (
        "{event: X, where: [{attribute: k, greater_than: 1}]}",
        "{event: X, where: [{attribute: k, at_least: 1}, {attribute: k, does_not_equal: 1}]}",
        EQUAL,
    ),
    (
        "{event: X, where: [{attribute: k, does_not_equal: a}, {attribute: k, exists: true},"
        " {attribute: k, does_not_equal: b}]}",
        "{event: X, where: [{attribute: k, not_one_of: [B, A]}, {attribute: k, exists: true}]}",
        EQUAL,
    ),
    (
        "{event: X, where: [{attribute: k, one_of: [a, b]}, {attribute: k, does_not_contain: b}]}",
        "{event: X, where: [{attribute: k, one_of: [c, a]}, {attribute: k, one_of: [a, b]}]}",
        EQUAL,
    ),
    (
        "{event: X, where: [{attribute: k, after: 2020-01-01}, {attribute: k, last: 30d}]}",
        "{event: X, where: [{attribute: k, last: 7d}, {attribute: k, on: 2020-01-01}]}",
        CONTAINS,
    ),
    (
        "{commerce: any, where: [{product_attribute: k, between: [1, 5]}]}",
        "{commerce: any, where: [{product_attribute: k, less_than: 4},"
        " {product_attribute: k, at_least: 2}]}",
        CONTAINS,
    ),
    # values
    ("{user_attribute: k, exists: true}", "{user_attribute: k, equals: a}", CONTAINS),
    ("{user_attribute: k, one_of: [a, b]}", "{user_attribute: k, equals: A}", CONTAINS),
    ("{user_attribute: k, at_least: 3}", "{user_attribute: k, greater_than: 5}", CONTAINS),
    ("{user_attribute: k, between: [1, 9]}", "{user_attribute: k, equals: 4}", CONTAINS),
    ("{user_attribute: k, at_least: 3}", '{user_attribute: k, equals: "4.5"}', CONTAINS),
    ("{user_attribute: k, is: true}", '{user_attribute: k, equals: "TRUE"}', EQUAL),
    ("{user_attribute: k, contains: a}", "{user_attribute: k, pattern: '?ba*c'}", CONTAINS),
    ("{user_attribute: k, starts_with: a}", "{user_attribute: k, pattern: a*}", EQUAL),
    ("{user_attribute: k, does_not_equal: a}", "{user_attribute: k, exists: false}", CONTAINS),
    ("{user_attribute: k, last: 7d}", "{user_attribute: k, last: 3d}", CONTAINS),
    (
        "{user_attribute: k, does_not_contain: a}",
        "{not: {user_attribute: k, partial_match: A}}",
        EQUAL,
    ),
    # groups
    (
        "{all: [{event: X}, {event: Y}]}",
        "{not: {any: [{not: {event: Y}}, {event: X, count: {at_most: 0}}]}}",
        EQUAL,
    ),
    ("{event: X}", "{all: [{event: X}], exclude: [{event: Y}]}", CONTAINS),
    ("{any: [{event: X}, {event: Y}]}", "{event: Y, count: {at_least: 2}}", CONTAINS),
    ("{event: X}", "{audience: a}", EQUAL),
    # the profile
    ("{first_seen: {last: 7d}}", "{first_seen: {last: 3d}}", CONTAINS),
    ("{last_seen: {last: 7d}}", "{first_seen: {last: 3d}}", CONTAINS),
    ("{last_seen: {last: 7d}}", "{event: X, when: {last: 7d}}", CONTAINS),
    ("{device: platform, exists: true}", "{device: platform, equals: iOS}", CONTAINS),
    ("{device: platform, does_not_equal: iOS}", "{device: platform, exists: false}", CONTAINS),
    (
        "{device: platform, does_not_contain: a}",
        "{not: {device: platform, contains: A}}",
        EQUAL,
    ),
    (
        "{location: {within: 50km, of: [48.85, 2.35]}}",
        "{location: {within: 10km, of: [48.9, 2.4]}}",
        CONTAINS,
    ),
    (
        "{sequence: [{event: X}, {event: Y}], within: 2h}",
        "{sequence: [{event: X}, {event: Z}, {event: Y}], within: 1h}",
        CONTAINS,
    ),
    ("{event: Y}", "{sequence: [{event: X}, {event: Y}], within: 2h}", CONTAINS),
    (
        "{event: X, count: {at_least: 2}}",
        "{sequence: [{event: X}, {event: X}], within: 2h}",
        CONTAINS,
    ),
    ("{commerce: add_to_cart}", "{cart_abandonment: {wait: 2h}}", CONTAINS),
    ("{cart_abandonment: {wait: 2h}}", "{cart_abandonment: {wait: 4h}}", CONTAINS),
]


@pytest.mark.parametrize(("first", "second", "expected"), RELATED)
def test_what_is_certain_is_found(first: str, second: str, expected: list[tuple[str, ...]]) -> None:
    assert about(first, second) == expected


UNRELATED = [
    ("{event: X}", "{event: Y}"),
    ("{event: X, when: {last: 3d}}", "{event: X, when: {between: [6d, 2d]}}"),
    ("{event: X, when: {last: 7d}}", "{event: X, when: {last: 3d}, count: {at_most: 1}}"),
    ("{event: X, when: {after: 2020-01-01}}", "{event: X, when: {last: 29d}}"),
    ("{event: X, inputs: [web]}", "{event: X, inputs: [app]}"),
    ("{event: X}", "{screen_view: X}"),
    ("{install: any}", "{upgrade: any}"),
    ("{user_attribute: k, equals: a}", "{user_attribute: l, equals: a}"),
    ("{user_attribute: k, equals: 42}", '{user_attribute: k, equals: "42.0x"}'),
    ("{user_attribute: k, between: [1, 5]}", "{user_attribute: k, between: [4, 9]}"),
    ("{device: platform, equals: iOS}", "{device: platform, does_not_equal: Android}"),
    ("{location: city, equals: Paris}", "{location: country, equals: FR}"),
    ("{location: {within: 50km, of: [48.85, 2.35]}}",
     "{location: {within: 49km, of: [48.9, 2.4]}}"),
    ("{sequence: [{event: X}, {event: Y}], within: 2h}",
     "{sequence: [{event: Y}, {event: X}], within: 1h}"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), UNRELATED)
def test_what_only_looks_related_is_not_reported(first: str, second: str) -> None:
    assert about(first, second) == []


def test_what_holds_one_way_is_not_reported_as_equal() -> None:
    assert about("{user_attribute: k, equals: 42}", '{user_attribute: k, equals: "42"}') == CONTAINS
    separate = (
        "{all: [{commerce: purchase, where: [{product: id, equals: a}]},"
        " {commerce: purchase, where: [{product: brand, equals: b}]}]}"
    )
    of_one_product = (
        "{commerce: purchase, where: [{product: id, equals: a}, {product: brand, equals: b}]}"
    )
    assert about(separate, of_one_product) == CONTAINS


@pytest.mark.parametrize(
    "criteria",
    [
        "{all: [{event: X}, {not: {event: X}}]}",
        "{all: [{event: X, count: {equals: 2}}, {event: x, count: {at_least: 3}}]}",
        "{all: [{event: X, when: {last: 3d}, count: {at_least: 3}},"
        " {event: any, count: {at_most: 2}}]}",
        "{all: [{user_attribute: k, equals: a}, {user_attribute: k, does_not_contain: A}]}",
        "{all: [{user_attribute: k, equals: a}, {user_attribute: k, exists: false}]}",
        "{user_attribute: k, between: [5, 2]}",
        "{event: X, where: [{attribute: k, equals: a}, {attribute: k, not_one_of: [a, b]}]}",
        "{event: X, where: [{attribute: k, greater_than: 10}, {attribute: k, less_than: 5}]}",
        "{event: X, where: [{attribute: k, equals: x}, {attribute: k, equals: y}]}",
        "{event: X, where: [{attribute: k, starts_with: x}, {attribute: k, equals: y}]}",
        "{event: X, where: [{attribute: k, is: true}, {attribute: k, is: false}]}",
        "{event: X, where: [{attribute: k, is: true}, {attribute: k, at_least: 0}]}",
        "{event: X, where: [{attribute: k, between: [1, 2]}, {attribute: k, greater_than: 1},"
        " {attribute: k, at_most: 2}, {attribute: k, not_one_of: [2, 3]},"
        " {attribute: k, one_of: [1, 2, x]}]}",
        "{event: X, where: [{attribute: k, before: 2020-01-01}, {attribute: k, on: 2020-01-01}]}",
        "{commerce: purchase, where: [{product_attribute: k, equals: x},"
        " {product_attribute: k, equals: y}]}",
        "{all: [{identity: email, equals: a}, {identity: email, equals: b}]}",
        "{all: [{location: city, equals: Paris}, {location: city, starts_with: Ro}]}",
        "{all: [{location: {within: 50km, of: [48.85, 2.35]}},"
        " {location: {within: 50km, of: [40.7, -74.0]}}]}",
        "{all: [{consent: {regulation: gdpr, purpose: p}, state: given},"
        " {consent: {regulation: gdpr, purpose: P}, state: unset}]}",
        "{all: [{first_seen: {last: 3d}}, {last_seen: {before: 2020-01-01}},"
        " {first_seen: {after: 2020-01-01}}]}",
        "{all: [{event: X, when: {last: 3d}}, {not: {last_seen: {last: 4d}}}]}",
        "{all: [{device: platform, equals: iOS}, {device: platform, does_not_equal: IOS}]}",
    ],
)
def test_criteria_that_contradict_each_other_are_never_true(criteria: str) -> None:
    assert about(criteria) == NEVER


@pytest.mark.parametrize(
    "criteria",
    [
        "{all: [{user_attribute: k, equals: a}, {user_attribute: k, equals: b}]}",
        "{all: [{user_attribute: k, greater_than: 5}, {user_attribute: k, less_than: 3}]}",
        "{all: [{device: platform, equals: iOS}, {device: platform, equals: Android}]}",
        "{all: [{device: platform, exists: true}, {device: platform, does_not_equal: iOS}]}",
        "{any: [{user_attribute: k, at_least: 5}, {user_attribute: k, less_than: 5}]}",
        "{any: [{device: platform, equals: iOS}, {device: brand, does_not_equal: iOS}]}",
        "{all: [{commerce: purchase, where: [{product: id, equals: a}]},"
        " {commerce: purchase, where: [{product: id, equals: b}]}]}",
        "{event: X, where: [{field: k, equals: a}, {field: k, equals: b}]}",
        "{event: X, where: [{product_attribute: k, equals: a}, {product_attribute: k, equals: b}]}",
        "{event: X, where: [{device: brand, at_least: 5}, {device: brand, at_most: 4}]}",
        "{event: X, where: [{attribute: k, starts_with: a}, {attribute: k, ends_with: b}]}",
        "{event: X, where: [{attribute: k, equals: 42}, {attribute: k, equals: '42'}]}",
        "{event: X, where: [{attribute: k, equals: '2020-01-01'}, {attribute: k, last: 1d}]}",
        "{any: [{event: X}, {event: any, count: {at_most: 0}}]}",
        "{all: [{event: X, count: {at_least: 2}}, {event: X, when: {last: 1d},"
        " count: {at_most: 1}}]}",
    ],
)
def test_what_some_history_makes_true_and_another_false_is_neither(criteria: str) -> None:
    assert about(criteria) == []


@pytest.mark.parametrize(
    "criteria",
    [
        "{any: [{event: X}, {not: {event: X}}]}",
        "{any: [{user_attribute: k, exists: false}, {user_attribute: k, exists: true}]}",
        "{last_seen: {last: 30d}}",
        "{not: {all: [{event: X, count: {at_least: 4}}, {event: X, count: {at_most: 2}}]}}",
        "{any: [{consent: {regulation: ccpa}, state: unset},"
        " {consent: {regulation: ccpa}, state: opted_out},"
        " {consent: {regulation: ccpa}, state: not_opted_out}]}",
    ],
)
def test_what_every_active_profile_meets_is_always_true(criteria: str) -> None:
    assert about(criteria) == ALWAYS


def test_lookbacks_of_audiences_are_considered() -> None:
    body = """audiences:
  - {id: a, lookback: 14d, criteria: {event: X}}
  - {id: b, criteria: {event: X, when: {last: 14d}}}
  - {id: c, lookback: 7d, criteria: {event: X}}
"""
    found = [(w.code, *w.related) for w in warnings_in(body)]
    assert found == [("contains", "a", "c"), ("equal", "a", "b")]


def test_inputs_whose_events_never_reach_criteria_make_no_difference() -> None:
    body = """audiences:
  - {id: a, inputs: [web, crm], criteria: {event: X}}
  - {id: b, inputs: [web], criteria: {event: X}}
"""
    assert [(w.code, *w.related) for w in warnings_in(body)] == EQUAL


def test_only_direct_containments_are_reported() -> None:
    criteria = [f"{{event: X, count: {{at_least: {n}}}}}" for n in (1, 4, 2, 3)]
    direct = [("contains", "a", "c"), ("contains", "c", "d"), ("contains", "d", "b")]
    assert sorted(about(*criteria)) == direct


def test_of_equal_audiences_each_is_reported_with_the_first() -> None:
    found = about("{event: X}", "{event: x}", "{any: [{event: X}]}", "{event: X, when: {last: 1d}}")
    assert sorted(found) == [("contains", "a", "d"), ("equal", "a", "b"), ("equal", "a", "c")]
    both = "{all: [{event: X}, {event: any}]}"
    assert sorted(about("{event: X}", both, both)) == [("equal", "a", "b"), ("equal", "a", "c")]


def test_long_chains_of_references_are_compared_link_by_link() -> None:
    lines = ["audiences:", "  - {id: a0, criteria: {event: E0}}"]
    for number in range(1, 120):
        further = f"{{all: [{{event: E{number}}}, {{audience: a{number - 1}}}]}}"
        lines.append(f"  - {{id: a{number}, criteria: {further}}}")
    lines.append("  - {id: same, criteria: {audience: a119}}")
    found = {(w.code, *w.related) for w in warnings_in("\n".join(lines) + "\n")}
    links = {("contains", f"a{number - 1}", f"a{number}") for number in range(1, 120)}
    assert found == links | {("equal", "a119", "same")}
