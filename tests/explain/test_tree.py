"""The shape of the tree, and when its nodes change by themselves."""

from __future__ import annotations

import json

import pytest

from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_text
from cdp_stream.explain import History
from cdp_stream.explain.outlook import outlook_of
from cdp_stream.explain.tree import tree_of
from tests.explain.profiles import (
    DAY,
    LIVES_FOR_EVER,
    NOON,
    Json,
    batch,
    custom,
    defined,
    explained,
    root,
)


def shape(tree: Json) -> Json:
    """Criterion, path and children of each node."""
    return [tree["criterion"], tree["path"], *(shape(child) for child in tree["children"])]


def test_groups_and_what_they_exclude() -> None:
    criteria = {
        "any": [{"event": "A"}, {"not": {"event": "B"}}],
        "exclude": [{"user_attribute": "s", "exists": True}],
    }
    found = root(explained(defined(criteria), batch(at=0), at=1))
    assert shape(found) == [
        "all",
        "criteria",
        [
            "any",
            "criteria.any",
            ["event: A", "criteria.any[0]"],
            ["not", "criteria.any[1].not", ["event: B", "criteria.any[1].not"]],
        ],
        ["exclude", "criteria.exclude", ["user_attribute: s", "criteria.exclude[0]"]],
    ]


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({"event": "A", "count": {"at_most": 2}}, ["event: A", "criteria"]),
        (
            {"not": {"event": "A", "count": {"at_most": 2}}},
            ["not", "criteria.not", ["event: A", "criteria.not"]],
        ),
        (
            {"not": {"event": "A", "count": {"at_most": 2}, "exclude": [{"event": "B"}]}},
            [
                "not",
                "criteria.not",
                [
                    "all",
                    "criteria.not",
                    ["event: A", "criteria.not"],
                    ["exclude", "criteria.not.exclude", ["event: B", "criteria.not.exclude[0]"]],
                ],
            ],
        ),
    ],
)
def test_at_most_is_one_criterion(criteria: Json, expected: Json) -> None:
    assert shape(root(explained(defined(criteria), batch(at=0), at=1))) == expected


def test_a_referred_audience_is_laid_out_once() -> None:
    referred = {"id": "y", "criteria": {"event": "A"}}
    criteria = {"any": [{"audience": "y"}, {"not": {"audience": "y"}}]}
    found = root(explained(defined(criteria, referred), batch(custom("A", 0)), at=1))
    assert shape(found) == [
        "any",
        "criteria.any",
        ["audience: y", "criteria.any[0]", ["event: A", "criteria"]],
        ["not", "criteria.any[1].not", ["audience: y", "criteria.any[1].not"]],
    ]
    first, second = found["children"][0], found["children"][1]["children"][0]
    assert [one["detail"] for one in first["because"]] == ["a member since 2024-01-15T12:00Z"]
    assert second["because"][-1]["detail"] == "explained above, at the first audience: y"


def test_a_milestone_has_its_parent_its_own_criteria_and_not_the_branches_before() -> None:
    milestones = [
        {
            "id": "a",
            "criteria": {"event": "A"},
            "then": [
                {"id": "b", "criteria": {"event": "B"}},
                {"id": "rest", "remaining": True},
            ],
        }
    ]
    definitions = defined({"event": "A"}, journeys=[{"id": "j", "milestones": milestones}])
    found = explained(definitions, batch(custom("A", 0)), at=1, audience="j/rest")
    assert found.member
    assert shape(root(found)) == [
        "all",
        "",
        ["audience: j/a", "", ["event: A", "criteria"]],
        [
            "exclude",
            "",
            ["audience: j/b", "", ["all", "", ["audience: j/a", ""], ["event: B", "criteria"]]],
        ],
    ]


def test_a_chain_and_a_web_of_references_take_no_stack_and_no_time() -> None:
    chain = [
        {"id": f"c{number}", "criteria": {"any": [{"audience": after}, {"audience": after}]}}
        for number, after in enumerate([*(f"c{number}" for number in range(1, 1500)), "x"])
    ]
    definitions = defined({"event": "A"}, *chain)
    found = explained(definitions, batch(custom("A", 0)), at=1, audience="c0")
    assert len(found.nodes) == 1500 * 3 + 1
    assert found.member
    assert found.nodes[0].next_change_at == NOON + 30 * DAY + 1


@pytest.mark.parametrize(
    ("criteria", "space", "expected"),
    [
        ({"event": "A", "when": {"last": "1d"}}, LIVES_FOR_EVER, NOON + DAY + 1),
        ({"event": "A", "when": "any_time"}, LIVES_FOR_EVER, None),
        ({"event": "A", "when": {"between": ["3d", "2d"]}}, LIVES_FOR_EVER, NOON + 2 * DAY),
        ({"event": "A", "when": "any_time"}, {"lookback": "5d"}, NOON + 5 * DAY + 1),
        # The end of a profile is in no criterion, and still ends its membership.
        ({"event": "B", "count": {"less_than": 1}}, {"lookback": "5d"}, NOON + 5 * DAY + 1),
    ],
)
def test_the_root_changes_with_the_membership(
    criteria: Json, space: Json, expected: int | None
) -> None:
    found = explained(defined(criteria, space=space), batch(custom("A", 0)), at=1)
    assert found.nodes[0].next_change_at == expected


def test_a_group_may_outlast_its_children() -> None:
    criteria = {
        "any": [
            {"event": "A", "when": {"last": "1d"}},
            {"event": "A", "when": {"between": ["2d", "1d"]}},
        ]
    }
    found = explained(defined(criteria), batch(custom("A", 0)), at=1)
    assert [one.next_change_at for one in found.nodes] == [
        NOON + 2 * DAY + 1,
        NOON + DAY + 1,
        NOON + DAY,
    ]


def test_looking_ahead_stops_at_a_limit_and_says_so() -> None:
    criteria = {"event": "A", "when": {"between": ["9d", "1d"]}, "count": {"at_least": 99}}
    account = load_text(json.dumps(defined(criteria))).account
    assert account is not None
    history = History(build_plan(account), "x", 7, NOON)
    history.feed(json.dumps(batch(*(custom("A", -at) for at in range(9)))).encode())
    row = history.finish()
    tree = tree_of(history.part, row, NOON)
    assert outlook_of(history.part, tree, row, NOON).looked_until is None
    limited = outlook_of(history.part, tree, row, NOON, work_limit=2)
    assert limited.next_changes == [None]
    assert limited.looked_until == NOON + DAY - 7
