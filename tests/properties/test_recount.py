"""The recount itself, on cases worked out by hand from semantics.md; all expected are literals."""

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
    recounted,
)
from tests.properties.recount import Profile, recount
from tests.properties.recount_account import Account

Json = Any


# --- windows ---


def test_last_counts_up_to_and_with_its_end() -> None:
    rules = defined({"event": "Buy", "when": {"last": "10ms"}})
    assert recounted(rules, batch(custom("Buy", 0)), until=10) == [("add", "x", 0, 0)]
    assert recounted(rules, batch(custom("Buy", 0)), until=11) == [
        ("add", "x", 0, 0),
        ("delete", "x", 11, 0),
    ]


def test_an_omitted_window_is_thirty_days() -> None:
    assert recounted(defined({"event": "Buy"}), batch(custom("Buy", 0)), until=31 * DAY) == [
        ("add", "x", 0, 0),
        ("delete", "x", 30 * DAY + 1, 0),
    ]


def test_any_time_lasts_for_ever_under_an_unlimited_lookback() -> None:
    rules = defined({"event": "Buy", "when": "any_time"})
    assert recounted(rules, batch(custom("Buy", 0)), until=9_000 * DAY) == [("add", "x", 0, 0)]


def test_between_ago_joins_at_the_newer_bound_and_leaves_after_the_older() -> None:
    rules = defined({"event": "Buy", "when": {"between": ["6d", "4d"]}})
    assert recounted(rules, batch(custom("Buy", 0)), until=7 * DAY) == [
        ("add", "x", 4 * DAY, 0),
        ("delete", "x", 6 * DAY + 1, 0),
    ]


def test_a_window_is_cut_by_the_lookback_of_the_workspace() -> None:
    rules = defined(
        {"event": "Buy", "when": "any_time"},
        workspace={"lookback": "5ms", "profile_lifetime": "unlimited"},
    )
    assert recounted(rules, batch(custom("Buy", 0)), until=100) == [
        ("add", "x", 0, 0),
        ("delete", "x", 6, 0),
    ]


def test_an_audience_has_its_own_lookback() -> None:
    rules = defined(
        {"id": "x", "lookback": "3ms", "criteria": {"event": "Buy", "when": {"last": "9ms"}}}
    )
    assert recounted(rules, batch(custom("Buy", 0)), until=100) == [
        ("add", "x", 0, 0),
        ("delete", "x", 4, 0),
    ]


@pytest.mark.parametrize(
    ("when", "joins"),
    [
        ({"on": "2024-01-15"}, [True, True, True, False]),
        ({"before": "2024-01-15"}, [False, False, False, False]),
        ({"before": "2024-01-16"}, [True, True, True, False]),
        ({"after": "2024-01-16"}, [False, False, False, True]),
        ({"between": ["2024-01-15", "2024-01-16"]}, [True, True, True, True]),
        ({"between": ["2024-01-14", "2024-01-15"]}, [True, True, True, False]),
    ],
)
def test_calendar_windows_are_utc_days(when: Json, joins: list[bool]) -> None:
    midnight = -DAY // 2
    at = [midnight, 0, midnight + DAY - 1, midnight + DAY]
    rules = defined({"event": "Buy", "when": when})
    assert [bool(recounted(rules, batch(custom("Buy", instant)))) for instant in at] == joins


def test_a_calendar_window_leaves_the_lookback() -> None:
    rules = defined(
        {"event": "Buy", "when": {"on": "2024-01-15"}},
        workspace={"lookback": "1d", "profile_lifetime": "unlimited"},
    )
    assert recounted(rules, batch(custom("Buy", 0)), until=2 * DAY) == [
        ("add", "x", 0, 0),
        ("delete", "x", DAY + 1, 0),
    ]


# --- counts ---


def test_a_count_rises_with_events_and_falls_with_time() -> None:
    rules = defined({"event": "Buy", "count": {"at_least": 2}, "when": {"last": "10ms"}})
    stream = [batch(custom("Buy", 0)), batch(custom("Buy", 4)), batch(custom("Buy", 12))]
    assert recounted(rules, *stream, until=40) == [
        ("add", "x", 4, 0),
        ("delete", "x", 11, 0),
        ("add", "x", 12, 0),
        ("delete", "x", 15, 0),
    ]


def test_exactly_two_is_left_by_the_third() -> None:
    rules = defined({"event": "Buy", "count": {"equals": 2}, "when": "any_time"})
    assert recounted(rules, *[batch(custom("Buy", at)) for at in (0, 1, 2)]) == [
        ("add", "x", 1, 0),
        ("delete", "x", 2, 0),
    ]


def test_never_did_holds_from_the_first_batch_and_again_when_the_event_has_aged() -> None:
    rules = defined({"event": "Buy", "count": {"less_than": 1}, "when": {"last": "5ms"}})
    assert recounted(rules, batch(custom("View", 0)), batch(custom("Buy", 2)), until=10) == [
        ("add", "x", 0, 0),
        ("delete", "x", 2, 0),
        ("add", "x", 8, 0),
    ]


def test_a_first_batch_with_the_event_never_joins_never_did() -> None:
    rules = defined({"event": "Buy", "count": {"less_than": 1}, "when": "any_time"})
    assert recounted(rules, batch(custom("Buy", 0), user_attributes={"k": 1})) == []


# --- time ---


def test_a_due_instant_and_an_event_at_it_are_two_evaluations_with_one_count() -> None:
    rules = defined({"event": "Buy", "when": {"last": "10ms"}})
    assert recounted(rules, batch(custom("Buy", 0)), batch(custom("Buy", 11))) == [
        ("add", "x", 0, 0),
        ("delete", "x", 11, 0),
        ("add", "x", 11, 1),
    ]


def test_an_event_one_millisecond_before_the_due_instant_prevents_it() -> None:
    rules = defined({"event": "Buy", "when": {"last": "10ms"}})
    assert recounted(rules, batch(custom("Buy", 0)), batch(custom("Buy", 10))) == [
        ("add", "x", 0, 0)
    ]


def test_a_late_event_counts_at_its_own_time_and_is_told_at_the_clock() -> None:
    rules = defined({"event": "Buy", "when": {"last": "10ms"}})
    stream = [batch(custom("View", 20)), batch(custom("Buy", 15))]
    assert recounted(rules, *stream, until=40) == [("add", "x", 20, 0), ("delete", "x", 26, 0)]


def test_a_late_event_that_is_too_old_changes_nothing() -> None:
    rules = defined({"event": "Buy", "when": {"last": "10ms"}})
    assert recounted(rules, batch(custom("View", 20)), batch(custom("Buy", 9)), until=40) == []


def test_an_event_later_than_its_arrival_happened_at_the_arrival() -> None:
    rules = defined({"event": "Buy", "when": {"last": "10ms"}})
    stream = batch(custom("Buy", 500), timestamp_unixtime_ms=NOON + 3)
    assert recounted(rules, stream, until=40) == [("add", "x", 3, 0), ("delete", "x", 14, 0)]


def test_an_event_without_a_time_has_that_of_its_batch() -> None:
    event = {
        "event_type": "custom_event",
        "data": {"event_name": "Buy", "custom_event_type": "other"},
    }
    assert recounted(defined({"event": "Buy"}), batch(event, timestamp_unixtime_ms=NOON + 9)) == [
        ("add", "x", 9, 0)
    ]


def test_events_of_one_batch_are_taken_in_order_of_time_each_time_by_itself() -> None:
    rules = defined({"event": "Buy", "when": {"last": "2ms"}})
    assert recounted(rules, batch(custom("Buy", 10), custom("Buy", 0))) == [
        ("add", "x", 0, 0),
        ("delete", "x", 3, 0),
        ("add", "x", 10, 0),
    ]


def test_the_profile_part_is_there_from_the_smallest_event_time() -> None:
    rules = defined({"user_attribute": "k", "equals": "v"})
    stream = batch(
        custom("B", 9), custom("A", 4), timestamp_unixtime_ms=NOON + 30, user_attributes={"k": "V"}
    )
    assert recounted(rules, stream) == [("add", "x", 4, 0)]


def test_attributes_are_set_and_then_deleted() -> None:
    rules = defined({"user_attribute": "k", "exists": True})
    stream = [
        profile_only(0, user_attributes={"k": None}),
        profile_only(1, user_attributes={"k": 5}, deleted_user_attributes=["k"]),
    ]
    assert recounted(rules, *stream) == [("add", "x", 0, 0), ("delete", "x", 1, 0)]


def test_a_batch_that_arrives_after_until_is_not_read() -> None:
    stream = [batch(custom("Buy", 5), timestamp_unixtime_ms=NOON + 6), batch(custom("Buy", 3))]
    assert recounted(defined({"event": "Buy"}), *stream, until=5) == [("add", "x", 3, 0)]


def test_last_is_the_greatest_arrival_of_any_profile() -> None:
    rules = defined({"event": "Buy", "when": {"last": "5ms"}})
    stream = [batch(custom("Buy", 0)), {**profile_only(6), "mpid": 8}]
    assert recounted(rules, *stream) == [("add", "x", 0, 0), ("delete", "x", 6, 0)]


def test_a_batch_of_another_profile_moves_no_clock() -> None:
    rules = defined({"event": "Buy", "when": {"last": "5ms"}})
    stream = [batch(custom("Buy", 0)), {**profile_only(90), "mpid": 8}, batch(custom("Buy", 5))]
    assert recounted(rules, *stream) == [("add", "x", 0, 0), ("delete", "x", 11, 0)]


# --- duplicates ---


def test_an_event_seen_before_is_ignored() -> None:
    rules = defined({"event": "Buy", "count": {"at_least": 2}})
    stream = [
        batch(custom("Buy", 0, source_message_id="a")),
        batch(custom("Buy", 1, source_message_id="a")),
    ]
    assert recounted(rules, *stream) == []


def test_a_duplicate_event_still_moves_the_clock_and_last_seen() -> None:
    rules = defined(
        {"event": "Buy", "when": {"last": "5ms"}},
        workspace={"lookback": "unlimited", "profile_lifetime": "8ms"},
    )
    stream = [batch(custom("Buy", at, source_message_id="a")) for at in (0, 7)]
    never = defined(
        {"event": "No", "count": {"less_than": 1}}, workspace={"profile_lifetime": "8ms"}
    )
    assert recounted(rules, *stream, until=7) == [("add", "x", 0, 0), ("delete", "x", 6, 0)]
    assert recounted(never, *stream, until=40) == [("add", "x", 0, 0), ("delete", "x", 16, 0)]


def test_of_two_equal_ids_in_a_batch_the_earlier_in_time_counts() -> None:
    rules = defined({"event": "Buy", "count": {"at_least": 1}, "when": {"last": "5ms"}})
    stream = batch(custom("Buy", 9, source_message_id="a"), custom("Buy", 0, source_message_id="a"))
    assert recounted(rules, stream, until=40) == [("add", "x", 0, 0), ("delete", "x", 6, 0)]


def test_a_duplicate_batch_does_nothing_at_all() -> None:
    rules = defined(
        {"event": "Buy", "when": {"last": "5ms"}},
        {"id": "y", "criteria": {"user_attribute": "k", "is": True}},
    )
    stream = [
        batch(custom("Buy", 0), source_request_id="r"),
        batch(custom("Buy", 3), source_request_id="r", user_attributes={"k": True}),
    ]
    assert recounted(rules, *stream, until=10) == [("add", "x", 0, 0), ("delete", "x", 6, 0)]


# --- end of a profile ---


def test_a_profile_ends_one_millisecond_after_its_lifetime_and_starts_anew() -> None:
    rules = defined(
        {"event": "Buy", "count": {"at_least": 2}, "when": "any_time"},
        {"id": "y", "criteria": {"user_attribute": "k", "exists": True}},
        workspace={"lookback": "unlimited", "profile_lifetime": "10ms"},
    )
    stream = [
        batch(custom("Buy", 0), user_attributes={"k": 1}),
        batch(custom("Buy", 5)),
        batch(custom("Buy", 20)),
    ]
    assert recounted(rules, *stream, until=40) == [
        ("add", "y", 0, 0),
        ("add", "x", 5, 0),
        ("delete", "x", 16, 0),
        ("delete", "y", 16, 1),
    ]


def test_an_event_at_the_last_instant_of_a_life_prolongs_it() -> None:
    never = {"event": "No", "count": {"less_than": 1}}
    rules = defined(never, workspace={"profile_lifetime": "10ms"})
    assert recounted(rules, batch(custom("A", 0)), batch(custom("A", 10)), until=40) == [
        ("add", "x", 0, 0),
        ("delete", "x", 21, 0),
    ]


def test_ordinals_go_on_in_the_instant_at_which_the_profile_was_forgotten() -> None:
    never = {"event": "No", "count": {"less_than": 1}}
    rules = defined(never, workspace={"profile_lifetime": "10ms"})
    assert recounted(rules, batch(custom("A", 0)), batch(custom("A", 11)), until=11) == [
        ("add", "x", 0, 0),
        ("delete", "x", 11, 0),
        ("add", "x", 11, 1),
    ]


def test_a_forgotten_profile_forgets_its_ids() -> None:
    rules = defined({"event": "A"}, workspace={"profile_lifetime": "10ms"})
    stream = [
        batch(custom("A", at, source_message_id="a"), source_request_id="r") for at in (0, 11)
    ]
    assert recounted(rules, *stream) == [
        ("add", "x", 0, 0),
        ("delete", "x", 11, 0),
        ("add", "x", 11, 1),
    ]


@pytest.mark.parametrize(
    ("times", "reached", "expected"),
    [
        # Lives of 10 ms that ended by live time are told to nobody; the last one is.
        ((0, 5, 40), 40, [("add", 40, 0)]),
        ((0, 5), 16, []),
        ((0, 5), 15, [("add", 0, 0)]),
        # Its ordinals go on from the end before it, which nobody is told of.
        ((0, 11, 40), 21, [("add", 11, 1), ("delete", 22, 0), ("add", 40, 0)]),
        ((0, 10, 20), 25, [("add", 0, 0)]),
    ],
)
def test_live_time_leaves_out_lives_that_had_ended(
    times: tuple[int, ...], reached: int, expected: Json
) -> None:
    never = {"event": "No", "count": {"less_than": 1}}
    account = Account(defined(never, workspace={"profile_lifetime": "10ms"}))
    profile = Profile(account, 7)
    profile.take_live(batch(*(custom("A", at) for at in times)), NOON + reached)
    profile.run_to(NOON + max(reached, *times))
    assert [
        (c["action"], c["effective_at"] - NOON, c["ordinal"]) for c in profile.changes
    ] == expected


def test_the_lifetime_is_the_lookback_unless_it_is_said() -> None:
    never = {"event": "No", "count": {"less_than": 1}}
    assert recounted(
        defined(never, workspace={"lookback": "2d"}), batch(custom("A", 0)), until=9 * DAY
    ) == [
        ("add", "x", 0, 0),
        ("delete", "x", 2 * DAY + 1, 0),
    ]
    assert recounted(defined(never, workspace={}), batch(custom("A", 0)), until=90 * DAY) == [
        ("add", "x", 0, 0),
        ("delete", "x", 30 * DAY + 1, 0),
    ]


# --- journeys, references, emission ---


def journey(*milestones: Json) -> Json:
    """A journey `j`."""
    return {"id": "j", "milestones": list(milestones)}


def test_an_earlier_split_takes_the_profile_from_a_later_one_delete_first() -> None:
    rules = defined(
        journeys=[
            journey(
                {"id": "a", "criteria": {"event": "A"}}, {"id": "b", "criteria": {"event": "B"}}
            )
        ]
    )
    assert recounted(rules, batch(custom("B", 0)), batch(custom("A", 1))) == [
        ("add", "j/b", 0, 0),
        ("delete", "j/b", 1, 0),
        ("add", "j/a", 1, 1),
    ]


def test_the_remaining_split_holds_whoever_is_in_no_sibling() -> None:
    rules = defined(
        journeys=[
            journey(
                {"id": "a", "criteria": {"event": "A", "when": {"last": "5ms"}}},
                {"id": "r", "remaining": True},
            )
        ]
    )
    assert recounted(rules, batch(custom("B", 0)), batch(custom("A", 1)), until=20) == [
        ("add", "j/r", 0, 0),
        ("delete", "j/r", 1, 0),
        ("add", "j/a", 1, 1),
        ("delete", "j/a", 7, 0),
        ("add", "j/r", 7, 1),
    ]


def test_children_need_their_parent_and_are_told_depth_first() -> None:
    rules = defined(
        journeys=[
            journey(
                {
                    "id": "a",
                    "criteria": {"event": "A", "when": {"last": "5ms"}},
                    "then": [
                        {"id": "b", "criteria": {"event": "B"}},
                        {"id": "r", "remaining": True},
                    ],
                },
                {"id": "c", "criteria": {"event": "B"}},
            )
        ]
    )
    assert recounted(rules, batch(custom("B", 0)), batch(custom("A", 1)), until=20) == [
        ("add", "j/c", 0, 0),
        ("delete", "j/c", 1, 0),
        ("add", "j/a", 1, 1),
        ("add", "j/b", 1, 2),
        ("delete", "j/a", 7, 0),
        ("delete", "j/b", 7, 1),
        ("add", "j/c", 7, 2),
    ]


def test_a_reference_keeps_the_lookback_of_its_audience_and_a_draft_emits_nothing() -> None:
    rules = defined(
        {"id": "x", "lookback": "3ms", "criteria": {"not": {"audience": "d"}}},
        {"id": "d", "lookback": "8ms", "status": "draft", "criteria": {"event": "Buy"}},
    )
    assert recounted(rules, batch(custom("Buy", 0)), until=20) == [("add", "x", 9, 0)]


def test_workspaces_keep_to_themselves_and_a_reference_may_cross() -> None:
    rules = {
        "version": 1,
        "account": "acme",
        "workspaces": [
            {"id": "u", "inputs": [{"id": "ua", "kind": "platform", "api_key": "ku"}]},
            {"id": "v", "inputs": [{"id": "va", "kind": "platform", "api_key": "kv"}]},
        ],
        "audiences": [
            {
                "id": "never",
                "workspaces": ["u"],
                "criteria": {"event": "Buy", "count": {"less_than": 1}},
            },
            {"id": "crosses", "workspaces": ["v"], "criteria": {"audience": "never"}},
        ],
    }
    stream = [
        batch(custom("Buy", 0), api_key="kv"),
        batch(custom("View", 1), api_key="ku"),
        batch(custom("Buy", 2), api_key="ku"),
    ]
    assert recounted(rules, *stream) == [
        ("add", "never", 1, 0),
        ("add", "crosses", 1, 1),
        ("delete", "never", 2, 0),
        ("delete", "crosses", 2, 1),
    ]


def test_names_and_order_of_what_is_emitted() -> None:
    rules = defined(
        {"id": "a", "name": "A", "external_name": "out", "criteria": {"event": "E"}},
        {"id": "b", "name": "B", "criteria": {"event": "E"}},
        journeys=[journey({"id": "m", "criteria": {"event": "E"}}, {"id": "r", "remaining": True})],
    )
    events = [{**batch(custom("E", 0)), "mpid": mpid} for mpid in ("10", 9, -1)] + [
        batch(custom("F", 0))
    ]
    assert [(c["mpid"], c["audience_name"]) for c in recount(rules, events)] == [
        *[("-1", "out"), ("-1", "B"), ("-1", "m")],
        ("7", "Remaining Users"),
        *[("9", "out"), ("9", "B"), ("9", "m")],
        *[("10", "out"), ("10", "B"), ("10", "m")],
    ]


# --- tiers, inputs ---


def test_a_tier_by_event_wins_over_the_tier_of_its_input() -> None:
    rules = defined(
        {"event": "A"},
        {"id": "y", "criteria": {"event": "B"}},
        {"id": "z", "criteria": {"event": "A", "inputs": ["web"]}},
        {"id": "k", "criteria": {"user_attribute": "k", "exists": True}},
        workspace={
            "inputs": [
                {"id": "web", "kind": "platform", "api_key": "1"},
                {"id": "crm", "kind": "feed", "api_key": "2", "tier": "preserve"},
            ],
            "event_tiers": [{"event": "b", "tier": "personalize"}],
        },
    )
    stream = [
        batch(custom("A", 0), custom("B", 1), api_key="2", user_attributes={"k": None}),
        batch(custom("A", 2), api_key="1"),
    ]
    assert recounted(rules, *stream) == [
        ("add", "k", 0, 0),
        ("add", "y", 1, 0),
        ("add", "x", 2, 0),
        ("add", "z", 2, 1),
    ]
