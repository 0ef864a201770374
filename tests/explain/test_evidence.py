"""What is behind a verdict: the events that count and the values that are tested."""

from __future__ import annotations

import pytest

from tests.explain.profiles import (
    DAY,
    NOON,
    batch,
    commerce,
    custom,
    defined,
    details,
    explained,
    node,
    root,
)

PLAYS = {"event": "Play", "count": {"at_least": 2}, "when": {"last": "3d"}}


def test_an_event_is_shown_with_its_id_its_time_and_the_values_tested() -> None:
    criteria = {"event": "play", "where": [{"attribute": "genre", "starts_with": "dra"}]}
    events = (custom("Play", 0, "m1", genre="Drama", year=1999), custom("Play", 1, genre="Comedy"))
    found = root(explained(defined(criteria), batch(*events), at=2))
    assert found == {
        "criterion": "event: play",
        "path": "criteria",
        "value": True,
        "because": [
            {"event_id": "m1", "time": NOON, "detail": 'Play, genre = "Drama" (1 of at least 1)'}
        ],
        "next_change_at": NOON + 30 * DAY + 1,
        "children": [],
    }


def test_a_duplicate_and_an_event_outside_the_window_are_not_shown() -> None:
    first = batch(custom("Play", -3 * DAY, "old"), custom("Play", 5, "m1"))
    found = explained(defined(PLAYS), first, batch(custom("Play", 6, "m1")), at=7)
    assert [reason.event_id for reason in found.nodes[0].events] == ["m1"]
    assert found.nodes[0].hint == "needs 1 more event, before 2024-01-18T12:00:00.006Z"


def test_an_event_of_another_input_or_tier_does_not_count() -> None:
    space = {
        "event_tiers": [{"event": "Play", "input": "crm", "tier": "preserve"}],
        "lookback": "30d",
    }
    definitions = defined({**PLAYS, "count": {"at_least": 1}}, space=space)
    assert not explained(definitions, batch(custom("Play", 0), key="k-crm"), at=1).nodes[0].events
    definitions = defined({**PLAYS, "inputs": ["crm"]})
    both = (batch(custom("Play", 0)), batch(custom("Play", 1, "crm"), key="k-crm"))
    found = explained(definitions, *both, at=2)
    assert [reason.event_id for reason in found.nodes[0].events] == ["crm"]


def test_a_late_event_that_counts_is_shown_at_its_own_time() -> None:
    late = batch(custom("Play", -10, "late"), at=5)
    found = explained(defined(PLAYS), batch(custom("Play", 0, "m1")), late, at=5)
    assert [(one.event_id, one.detail) for one in found.nodes[0].events] == [
        ("late", "Play (1 of at least 2)"),
        ("m1", "Play (2 of at least 2)"),
    ]


def test_of_very_many_events_the_newest_hundred_are_listed_and_all_counted() -> None:
    events = [custom("Play", number, f"m{number}") for number in range(150)]
    because = root(explained(defined(PLAYS), batch(*events), at=200))["because"]
    assert len(because) == 101
    assert because[0]["detail"] == "the newest 100 of 150 events that count:"
    assert because[1]["event_id"] == "m50"
    assert because[-1]["detail"] == "Play (150 of at least 2)"


def test_what_happened_before_the_profile_ended_is_forgotten_with_it() -> None:
    space = {"lookback": "unlimited", "profile_lifetime": "1h"}
    found = explained(
        defined({**PLAYS, "when": "any_time"}, space=space),
        batch(custom("Play", 0, "before")),
        batch(custom("Other", 3_600_000), custom("Play", 2 * 3_600_000 + 1, "after")),
        at=2 * 3_600_000 + 1,
    )
    assert [reason.event_id for reason in found.nodes[0].events] == ["after"]


@pytest.mark.parametrize(
    ("criteria", "parts", "expected"),
    [
        ({"user_attribute": "s", "equals": "a"}, {"user_attributes": {"s": "A"}}, 's = "A"'),
        ({"user_attribute": "s", "equals": "a"}, {"user_attributes": {}}, "s is not set"),
        (
            {"identity": "email", "exists": True},
            {"user_identities": [{"identity_type": "email", "identity": "a@b.c"}]},
            'email = "a@b.c"',
        ),
        (
            {"device": "platform", "equals": "ios"},
            {"device_info": {"platform": "iOS"}},
            'platform = "iOS"',
        ),
        ({"device": "platform", "equals": "ios"}, {}, "no device is known"),
        ({"device": "platform", "does_not_equal": "ios"}, {}, "no device is known"),
        (
            {"consent": {"regulation": "gdpr", "purpose": "Ads"}, "state": "given"},
            {"consent_state": {"gdpr": {"ads": {"consented": False}}}},
            "consent gdpr:ads = rejected",
        ),
        (
            {"consent": {"regulation": "ccpa"}, "state": "opted_out"},
            {},
            "consent ccpa is unset",
        ),
        ({"first_seen": {"last": "7d"}}, {}, "first_seen = 2024-01-15T12:00Z"),
        (
            {"location": "city", "equals": "Paris"},
            {"context": {"location": {"city_name": "Paris"}}},
            'city_name = "Paris"',
        ),
        (
            {"location": {"within": "50km", "of": [48.85, 2.35]}},
            {"context": {"location": {"latitude": 48.85, "longitude": 2.35}}},
            "0.000 km away, at 48.85, 2.35",
        ),
        ({"location": {"within": "50km", "of": [48.85, 2.35]}}, {}, "no location is known"),
    ],
)
def test_a_value_is_shown(criteria: object, parts: dict[str, object], expected: str) -> None:
    found = explained(defined(criteria), batch(at=0, **parts), at=1)
    assert details(found.nodes[0]) == [expected]


def test_a_value_has_the_time_since_when_it_is_so() -> None:
    definitions = defined({"user_attribute": "s", "equals": "a"})
    found = explained(
        definitions,
        batch(at=0, user_attributes={"s": "b"}),
        batch(custom("Play", 3), at=5, user_attributes={"s": "a"}),
        batch(at=7, user_attributes={"s": "a", "t": 1}),
        at=9,
    )
    assert [one.time for one in found.nodes[0].values] == [NOON + 3]


def test_a_calculated_attribute_shows_its_value_and_the_events_it_is_made_of() -> None:
    spent = {
        "id": "spent",
        "workspace": "w",
        "calculation": "sum",
        "of": {"event": "Buy", "attribute": "price"},
        "within": "1d",
    }
    found = explained(
        defined({"calculated_attribute": "spent", "at_least": 5}, calculated_attributes=[spent]),
        batch(custom("Buy", -2 * DAY, price=9), custom("Buy", 0, price=2), custom("Buy", 1)),
        batch(custom("Buy", 2, price="no number"), custom("Buy", 3, price="1.5")),
        at=4,
    )
    assert details(found.nodes[0]) == ["spent = 3.5", "Buy, price = 2", 'Buy, price = "1.5"']
    assert found.nodes[0].hint == "spent must be at least 5"


def test_a_cart_shows_what_was_put_in_and_what_closed_it() -> None:
    found = explained(
        defined({"cart_abandonment": {"wait": "2h"}}),
        batch(commerce("purchase", 0), commerce("add_to_cart", 1, {"id": "a", "quantity": 2})),
        batch(commerce("remove_from_cart", 2, {"id": "b"}), commerce("checkout", 3)),
        at=4,
    )
    assert details(found.nodes[0]) == [
        "commerce: purchase (closes what was added before)",
        'commerce: add_to_cart, "a" x 2',
        'commerce: remove_from_cart, "b" x 1',
    ]
    assert found.nodes[0].next_change_at == NOON + 1 + 7_200_000


def test_a_sequence_shows_the_events_of_its_steps() -> None:
    steps = [{"event": "A"}, {"event": "B", "where": [{"attribute": "k", "equals": 1}]}]
    found = explained(
        defined({"sequence": steps, "within": "1h", "when": {"last": "1d"}}),
        batch(custom("A", 0), custom("B", 1, k=2), custom("B", 2, k=1)),
        at=3,
    )
    assert details(found.nodes[0]) == ["A (step 1 of 2)", "B, k = 1 (step 2 of 2)"]
    assert found.nodes[0].value
    assert found.nodes[0].next_change_at == NOON + DAY + 1


def test_an_opted_out_profile_is_out_whatever_the_criteria_say() -> None:
    opt_out = {"event_type": "opt_out", "data": {"is_opted_out": True}}
    found = explained(
        defined({"user_attribute": "s", "exists": True}),
        batch(opt_out, at=5, user_attributes={"s": 1}),
        at=6,
    )
    assert [(one.node.criterion, one.value) for one in found.nodes] == [
        ("audience: x", False),
        ("not opted out", False),
        ("user_attribute: s", True),
    ]
    assert node(found, "not opted out").values[0].time == NOON + 5
    assert not found.member
    assert found.is_known


def test_a_profile_that_was_never_seen_has_the_values_of_nobody() -> None:
    never = {"event": "Play", "count": {"less_than": 1}}
    found = explained(defined(never), at=0)
    assert (found.is_known, found.member) == (False, False)
    assert [(one.node.criterion, one.value) for one in found.nodes] == [
        ("audience: x", False),
        ("activity", False),
        ("event: Play", True),
    ]


def test_events_of_several_workspaces_are_counted_together_each_in_its_own_window() -> None:
    definitions = defined({"event": "Play", "count": {"at_least": 2}, "when": "any_time"})
    other = {"id": "v", "lookback": "1d", "profile_lifetime": "unlimited"}
    other["inputs"] = [{"id": "tv", "kind": "platform", "api_key": "k-tv"}]
    definitions["workspaces"].append(other)
    found = explained(
        definitions,
        batch(custom("Play", -2 * DAY, "out of reach"), custom("Play", 0, "tv"), key="k-tv"),
        batch(custom("Play", -9 * DAY, "web"), at=1),
        at=2,
    )
    assert [reason.event_id for reason in found.nodes[0].events] == ["web", "tv"]
    assert found.member
    assert found.nodes[0].next_change_at == NOON + DAY + 1
    assert found.nodes[0].asked == "at least 2, at any time (in w), in the last 1d (in v)"


def test_last_seen_is_shown_with_its_instant() -> None:
    several = batch(custom("Play", -2), custom("Play", -1), custom("Play", 0))
    (reason,) = root(explained(defined({"last_seen": {"last": "7d"}}), several, at=5))["because"]
    assert reason["time"] == NOON
