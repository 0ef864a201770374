"""What is missing, in words."""

from __future__ import annotations

import pytest

from tests.explain.profiles import DAY, Json, batch, custom, defined, explained

SHORT_LIFE = {"lookback": "unlimited", "profile_lifetime": "1d"}


def hint(criteria: Json, *events: int, at: int, space: Json | None = None) -> str | None:
    definitions = defined(criteria) if space is None else defined(criteria, space=space)
    history = batch(*(custom("A", time) for time in events), custom("Other", -DAY), at=at)
    return explained(definitions, history, at=at).nodes[0].hint


@pytest.mark.parametrize(
    ("when", "events", "at", "expected"),
    [
        ({"last": "3d"}, [], 0, "needs 2 more events"),
        ({"last": "3d"}, [0], 1, "needs 1 more event, before 2024-01-18T12:00:00.001Z"),
        ({"last": "3d"}, [0, 1], 1, None),
        ("any_time", [0], 1, "needs 1 more event"),
        ({"before": "2024-01-20"}, [0], 1, "needs 1 more event, before 2024-01-20T00:00Z"),
        (
            {"before": "2024-01-14"},
            [0],
            1,
            "needs 2 more events, that happened before 2024-01-14T00:00Z",
        ),
        (
            {"on": "2024-02-01"},
            [],
            0,
            "needs 2 more events, from 2024-02-01T00:00Z on, before 2024-02-02T00:00Z",
        ),
        (
            {"between": ["6d", "4d"]},
            [],
            0,
            "needs 2 more events; an event counts once it is 4d old",
        ),
    ],
)
def test_how_many_events_are_missing_and_until_when_they_would_do(
    when: Json, events: list[int], at: int, expected: str | None
) -> None:
    assert hint({"event": "A", "count": {"at_least": 2}, "when": when}, *events, at=at) == expected


def test_the_end_of_the_profile_may_come_before_the_end_of_the_window() -> None:
    criteria = {"event": "A", "count": {"at_least": 2}, "when": {"last": "9d"}}
    needed = hint(criteria, 0, at=1, space=SHORT_LIFE)
    assert needed == "needs 1 more event, before 2024-01-16T12:00:00.001Z"


def test_a_day_that_has_left_the_lookback_can_hold_nothing_any_more() -> None:
    criteria = {"event": "A", "when": {"on": "2024-01-01"}}
    space = {"lookback": "7d", "profile_lifetime": "unlimited"}
    assert hint(criteria, at=0, space=space) == "no event can count any more"


@pytest.mark.parametrize(
    ("count", "events", "expected"),
    [
        ({"at_most": 2}, [0], "2 more events would end it"),
        ({"at_most": 2}, [0, 1, 2, 3], "2 too many"),
        ({"equals": 1}, [0], "1 more event would end it"),
        ({"between": [2, 3]}, [0], "needs 1 more event, before 2024-02-14T12:00:00.001Z"),
    ],
)
def test_what_is_too_many(count: Json, events: list[int], expected: str) -> None:
    assert hint({"event": "A", "count": count}, *events, at=5) == expected


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({"user_attribute": "s", "equals": "a"}, 's must equal "a"'),
        ({"user_attribute": "s", "one_of": ["a", 1]}, 's must be one of "a", 1'),
        ({"user_attribute": "s", "between": [1, 2]}, "s must be between 1 and 2"),
        ({"user_attribute": "s", "exists": True}, "s must be set"),
        ({"user_attribute": "s", "exists": False}, None),
        ({"user_attribute": "s", "is": True}, "s must be true"),
        ({"user_attribute": "s", "last": "7d"}, "s must be a date in the last 7d"),
        (
            {"user_attribute": "s", "between": ["2024-01-01", "2024-01-02"]},
            "s must be a date from 2024-01-01 until 2024-01-03",
        ),
        (
            {"consent": {"regulation": "gdpr", "purpose": "ads"}, "state": "given"},
            "consent gdpr:ads must be given",
        ),
        (
            {"location": {"within": "50km", "of": [48.85, 2.35]}},
            "must be within 50 km of 48.85, 2.35",
        ),
    ],
)
def test_what_a_value_must_be(criteria: Json, expected: str | None) -> None:
    assert hint(criteria, at=0) == expected
