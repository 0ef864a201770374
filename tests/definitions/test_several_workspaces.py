"""Audiences and journeys over several workspaces: where their criteria read."""

import pytest

from cdp_stream.core.model.criterion import (
    All,
    CartCriterion,
    EventCriterion,
    ProfileCriterion,
    Reach,
    SequenceCriterion,
)
from cdp_stream.core.model.definition import Audience
from cdp_stream.core.model.windows import Window
from cdp_stream.definitions import load_text

DAY = 86_400_000
HEAD = """
version: 1
account: shop
workspaces:
  - {id: short, lookback: 10d, inputs: [{id: web, kind: platform}, {id: app, kind: platform}]}
  - {id: long, lookback: 60d, inputs: [{id: kiosk, kind: platform}, {id: till, kind: feed}]}
  - {id: endless, lookback: unlimited, inputs: [{id: crm, kind: feed, tier: preserve}]}
"""


def audience_in(criteria: str, own: str = "workspaces: [short, long]") -> Audience:
    loaded = load_text(HEAD + f"audiences:\n  - {{id: a, {own}, criteria: {criteria}}}\n")
    assert loaded.problems == []
    assert loaded.account is not None
    return loaded.account.audiences[0]


def reaches_in(criteria: str, own: str = "workspaces: [short, long]") -> tuple[Reach, ...]:
    found = audience_in(criteria, own).expression
    assert isinstance(found, EventCriterion | CartCriterion | SequenceCriterion)
    return found.reaches


def last(days: int) -> Window:
    return Window(oldest=days * DAY, newest=0)


def test_the_default_is_every_workspace_in_the_order_of_the_account() -> None:
    assert audience_in("{event: A}", own="status: active").workspaces == (
        "short",
        "long",
        "endless",
    )
    assert audience_in("{event: A}", own="workspaces: [long, short, long]").workspaces == (
        "short",
        "long",
    )


def test_an_event_criterion_reads_all_of_them_each_with_its_own_lookback() -> None:
    assert reaches_in("{event: A, when: any_time}", own="status: active") == (
        Reach("short", last(10), None),
        Reach("long", last(60), None),
        Reach("endless", Window(newest=0), None),
    )
    assert reaches_in("{event: A}") == (
        Reach("short", last(10), None),
        Reach("long", last(30), None),
    )


def test_an_own_lookback_cuts_everywhere() -> None:
    own = "workspaces: [short, long], lookback: 2d"
    assert reaches_in("{event: A, when: any_time}", own) == (
        Reach("short", last(2), None),
        Reach("long", last(2), None),
    )


def test_an_own_workspace_is_the_only_one_that_is_read() -> None:
    expected = (Reach("long", last(30), None),)
    assert reaches_in("{event: A, workspace: long}") == expected
    cart = reaches_in("{cart_abandonment: {wait: 1h}, workspace: long}")
    assert cart == (Reach("long", last(60), None),)
    sequence = "{sequence: [{event: A}, {event: B}], within: 1h, workspace: long}"
    assert reaches_in(sequence) == expected


@pytest.mark.parametrize(
    ("criteria", "inputs", "expected"),
    [
        ("{event: A}", "[web, kiosk]", {"short": {"web"}, "long": {"kiosk"}}),
        ("{event: A}", "[web, app]", {"short": None}),
        ("{event: A}", "[web, app, till]", {"short": None, "long": {"till"}}),
        ("{event: A, inputs: [kiosk, till]}", "[web]", {"long": None}),
        ("{event: A, inputs: [app], workspace: short}", "[kiosk]", {"short": {"app"}}),
        ("{event: A, workspace: short}", "[web, kiosk]", {"short": {"web"}}),
        ("{crash: any}", "[web]", {"short": None, "long": None}),
        ("{install: any, workspace: long}", "[web]", {"long": None}),
    ],
)
def test_a_workspace_with_none_of_the_inputs_is_left_out(
    criteria: str, inputs: str, expected: dict[str, set[str] | None]
) -> None:
    reaches = reaches_in(criteria, own=f"workspaces: [short, long], inputs: {inputs}")
    assert {reach.workspace: reach.inputs for reach in reaches} == expected


def test_a_workspace_whose_lookback_leaves_nothing_of_the_window_is_left_out() -> None:
    assert reaches_in("{event: A, when: {between: [70d, 11d]}}") == (
        Reach("long", Window(oldest=60 * DAY, newest=11 * DAY), None),
    )
    assert [reach.workspace for reach in reaches_in("{cart_abandonment: {wait: 10d}}")] == [
        "short",
        "long",
    ]


def test_an_event_need_be_personalize_in_one_of_them_only() -> None:
    own = "workspaces: [long, endless]"
    assert [reach.workspace for reach in reaches_in("{event: A}", own)] == ["long", "endless"]


def test_a_profile_criterion_reads_the_workspace_that_it_names() -> None:
    found = audience_in(
        "{all: [{user_attribute: k, exists: true, workspace: long},"
        " {first_seen: {last: 3d}, workspace: short}, {identity: email, exists: true}]}"
    ).expression
    assert isinstance(found, All)
    spaces = [child.workspace for child in found.children if isinstance(child, ProfileCriterion)]
    assert spaces == ["long", "short", ""]


def test_a_journey_over_several_workspaces() -> None:
    loaded = load_text(
        HEAD
        + "journeys:\n  - id: j\n    workspaces: [long, short]\n    inputs: [web, till]\n"
        + "    milestones:\n      - {id: m, criteria: {event: A}}\n"
        + "      - {id: n, criteria: {user_attribute: k, exists: true, workspace: long}}\n"
    )
    assert loaded.problems == []
    assert loaded.account is not None
    first, second = loaded.account.audiences
    assert first.workspaces == second.workspaces == ("short", "long")
    assert isinstance(first.expression, All)
    criterion = first.expression.children[0]
    assert isinstance(criterion, EventCriterion)
    assert criterion.reaches == (
        Reach("short", last(10), frozenset({"web"})),
        Reach("long", last(30), frozenset({"till"})),
    )


def test_what_depends_on_a_workspace_that_cannot_be_told_is_not_blamed() -> None:
    text = HEAD.replace("id: long", "id: Long!") + (
        "calculated_attributes:\n  - {id: v, workspace: long, calculation: count, of: {event: A}}\n"
        "audiences:\n  - {id: a, workspaces: [short, long], inputs: [kiosk], criteria: {all: ["
        "{event: A, workspace: long, inputs: [till]}, {calculated_attribute: v, at_least: 1}]}}\n"
    )
    assert [problem.code for problem in load_text(text).problems] == ["bad-id"]


def test_a_digest_takes_in_the_workspaces_and_not_their_order() -> None:
    def digest(own: str) -> str:
        return audience_in("{event: A, workspace: short}", own).digest

    one = digest("workspaces: [short, long]")
    assert digest("workspaces: [long, short]") == one
    assert digest("workspaces: [short]") != one
    assert digest("status: active") != one
