"""Accounts as a whole: defaults, order, several files, journeys, tiers, digests."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from cdp_stream.core.model.criterion import (
    All,
    AnyOf,
    Calculation,
    Criterion,
    Expression,
    Facet,
    MemberOf,
    Not,
    ProfileCriterion,
)
from cdp_stream.core.model.definition import EventTier, Input, Tier, Workspace
from cdp_stream.core.model.subject import Subject
from cdp_stream.definitions import load_files, load_text
from tests.definitions.definition_texts import audience_of, audiences_in, expression_of

DAY = 86_400_000
GOOD = Path(__file__).parent / "good"
JOURNEY = """
journeys:
  - id: trial
    inputs: [web]
    milestones:
      - id: signed-up
        name: Signed up
        criteria: {event: Sign Up}
        then:
          - {id: watched, external_name: W, tags: [x], criteria: {event: Play}}
          - {id: rest, remaining: true}
      - {id: others, criteria: {event: Visit}}
"""


def test_the_whole_language_is_right_in_one_file() -> None:
    loaded = load_files([GOOD / "travel.yaml"])
    assert loaded.problems == []
    assert loaded.account is not None
    assert loaded.account.id == "mptravel"
    assert loaded.account.workspaces == (
        Workspace(
            "travel",
            30 * DAY,
            None,
            (
                Input("ios", "travel", "k-ios"),
                Input("web", "travel", "k-web"),
                Input("crm", "travel", None, Tier.PERSONALIZE),
            ),
            (EventTier(Subject("event", "heartbeat"), Tier.PRESERVE, "ios"),),
        ),
    )
    assert [(a.id, a.name, a.emits) for a in loaded.account.audiences] == [
        ("paris-premium", "paris_deals", True),
        ("trial/signed-up", "Signed up for a trial", True),
        ("trial/watched", "watched", True),
        ("trial/rest", "Remaining Users", True),
    ]


def test_every_form_of_the_language_is_right_in_one_file() -> None:
    loaded = load_files([GOOD / "every-form.yaml"])
    assert loaded.problems == []
    assert loaded.account is not None
    assert [a.workspaces for a in loaded.account.audiences] == [
        ("main", "stores"),
        ("main",),
        ("main", "stores"),
        ("main", "stores"),
    ]
    used = {type(leaf).__name__ for leaf in leaves_of(loaded.account.audiences[0].expression)}
    assert used == {criterion.__name__ for criterion in get_args(Criterion)}
    facets = {
        leaf.facet
        for leaf in leaves_of(loaded.account.audiences[0].expression)
        if isinstance(leaf, ProfileCriterion)
    }
    assert facets == set(Facet)
    calculations = [found.calculation for found in loaded.account.calculated_attributes]
    assert sorted(calculations) == sorted(Calculation)


def leaves_of(expression: Expression) -> Iterator[Criterion]:
    match expression:
        case All(children) | AnyOf(children):
            for child in children:
                yield from leaves_of(child)
        case Not(child):
            yield from leaves_of(child)
        case _:
            yield expression


def test_defaults_of_a_workspace() -> None:
    loaded = load_text(
        "version: 1\naccount: a\nworkspaces:\n"
        "  - {id: short, lookback: 3d, inputs: [{id: web, kind: feed, tier: connect}]}\n"
        "  - {id: plain, inputs: [{id: app, kind: platform}]}\n"
        "  - {id: brief, profile_lifetime: 1h, inputs: [{id: tv, kind: platform}]}\n"
    )
    assert loaded.account is not None
    found = [(w.id, w.lookback_ms, w.lifetime_ms) for w in loaded.account.workspaces]
    assert found == [
        ("short", 3 * DAY, 3 * DAY),
        ("plain", 30 * DAY, 30 * DAY),
        ("brief", 30 * DAY, 3_600_000),
    ]
    assert loaded.account.workspaces[0].inputs[0].tier is Tier.CONNECT


def test_names_fall_back_from_external_name_to_name_to_id() -> None:
    audiences = audiences_in(
        "audiences:\n"
        "  - {id: a, name: Name, external_name: Outside, criteria: {event: A}}\n"
        "  - {id: b, name: Name, criteria: {event: A}}\n"
        "  - {id: c, status: draft, criteria: {event: A}}\n"
    )
    assert [(a.name, a.emits) for a in audiences.values()] == [
        ("Outside", True),
        ("Name", True),
        ("c", False),
    ]


def test_milestones_stand_in_their_place_depth_first() -> None:
    audiences = audiences_in(JOURNEY)
    assert list(audiences) == ["trial/signed-up", "trial/watched", "trial/rest", "trial/others"]
    assert [a.name for a in audiences.values()] == ["Signed up", "W", "Remaining Users", "others"]

    def member(name: str) -> MemberOf:
        return MemberOf(f"trial/{name}", "", "")

    def web(criteria: str) -> Expression:
        return expression_of(criteria, own="inputs: [web]")

    assert [a.expression for a in audiences.values()] == [
        All((web("{event: Sign Up}"),)),
        All((member("signed-up"), web("{event: Play}"))),
        All((member("signed-up"), Not(AnyOf((member("watched"),))))),
        All((web("{event: Visit}"), Not(AnyOf((member("signed-up"),))))),
    ]


def test_several_files_are_one_account_in_the_order_given(tmp_path: Path) -> None:
    first, second = tmp_path / "2.yaml", tmp_path / "1.yaml"
    first.write_text(
        "version: 1\naccount: a\nworkspaces:\n  - {id: w, inputs: [{id: web, kind: platform}]}\n"
        "journeys:\n  - {id: j, milestones: [{id: m, criteria: {audience: late}}]}\n"
        "audiences:\n  - {id: early, criteria: {event: A}}\n"
    )
    second.write_text("version: 1\naudiences:\n  - {id: late, criteria: {audience: early}}\n")

    def order(*paths: Path) -> list[str]:
        loaded = load_files(paths)
        assert loaded.problems == []
        assert loaded.account is not None
        return [audience.id for audience in loaded.account.audiences]

    assert order(first, second) == ["early", "j/m", "late"]
    assert order(second, first) == ["late", "early", "j/m"]
    assert order(tmp_path) == ["late", "early", "j/m"]
    assert order(first, tmp_path) == ["early", "j/m", "late"]


def test_ids_are_unique_over_files_and_accounts_agree(tmp_path: Path) -> None:
    head = "version: 1\naccount: {}\n"
    inputs = "workspaces:\n  - {id: w, inputs: [{id: web, kind: platform}]}\n"
    audience = "audiences:\n  - {id: x, criteria: {event: A}}\n"
    (tmp_path / "1.yaml").write_text(head.format("a") + inputs + audience)
    (tmp_path / "2.yaml").write_text(head.format("b") + audience)
    (tmp_path / "3.txt").write_text("not read")
    problems = load_files([tmp_path]).problems
    assert [(p.code, Path(p.file).name, p.line) for p in problems] == [
        ("conflicting-account", "2.yaml", 2),
        ("duplicate-id", "2.yaml", 4),
    ]
    assert str(tmp_path / "1.yaml") + ":6" in problems[1].message


def test_what_cannot_be_read_is_a_problem_and_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 2\n")
    (tmp_path / "empty").mkdir()
    loaded = load_files([tmp_path / "none.yaml", tmp_path / "bad.yaml", tmp_path / "empty"])
    assert loaded.account is None
    codes = {(p.code, Path(p.file).name) for p in loaded.problems}
    assert codes == {
        ("unreadable-file", "none.yaml"),
        ("unreadable-file", "empty"),
        ("bad-version", "bad.yaml"),
        ("missing-key", "bad.yaml"),
    }


def test_json_is_a_definition_file_too() -> None:
    account = {
        "version": 1,
        "account": "a",
        "workspaces": [{"id": "w", "inputs": [{"id": "web", "kind": "platform"}]}],
        "audiences": [{"id": "x", "criteria": {"event": "Caf\u00e9 \U0001f600"}}],
        "journeys": [],
    }
    for indent in (None, 2, "\t"):
        loaded = load_text(json.dumps(account, indent=indent))
        assert loaded.problems == []
        assert loaded.account is not None
        assert loaded.account.audiences[0].id == "x"


def test_a_long_chain_of_references_is_no_deep_nesting() -> None:
    chain = "".join(f"  - {{id: a{n}, criteria: {{audience: a{n + 1}}}}}\n" for n in range(3000))
    audiences = audiences_in("audiences:\n" + chain + "  - {id: a3000, criteria: {event: A}}\n")
    assert len({audience.digest for audience in audiences.values()}) == 3001


def test_a_long_circle_of_references_is_found() -> None:
    chain = "".join(
        f"  - {{id: a{n}, criteria: {{audience: a{(n + 1) % 2000}}}}}\n" for n in range(2000)
    )
    head = "version: 1\naccount: a\nworkspaces:\n  - {id: w, inputs: [{id: i, kind: feed}]}\n"
    problems = load_text(head + "audiences:\n" + chain).problems
    assert [(p.code, len(p.related)) for p in problems] == [("cycle", 2000)]


def test_a_digest_is_twelve_digits_and_the_same_for_ever() -> None:
    assert audience_of("{event: A}").digest == "3225e295f4cd"


def test_a_digest_follows_the_meaning_and_not_the_names() -> None:
    plain = audience_of("{event: A}").digest
    assert audience_of("{event: A}", own="name: Other").digest == plain
    assert audience_of("{event: B}").digest != plain
    assert audience_of("{event: A}", own="inputs: [web]").digest != plain
    assert audience_of("{event: A}", own="lookback: 3d").digest != plain
    assert audience_of("{event: A, when: any_time}").digest != plain
    assert audience_of("{user_attribute: a, equals: 1}").digest != (
        audience_of("{user_attribute: a, equals: '1'}").digest
    )


def test_a_digest_takes_in_what_the_definition_refers_to() -> None:
    body = "audiences:\n  - {id: a, criteria: {audience: b}}\n  - {id: b, criteria: {event: X}}\n"
    before, after = audiences_in(body), audiences_in(body.replace("X", "Y"))
    assert before["a"].digest != after["a"].digest


def test_a_digest_takes_in_the_calculated_attributes_that_it_refers_to() -> None:
    body = (
        "calculated_attributes:\n  - {id: v, calculation: count, of: {event: A}}\n"
        "audiences:\n  - {id: a, criteria: {calculated_attribute: v, at_least: 1}}\n"
        "  - {id: b, criteria: {event: A}}\n"
    )
    before = audiences_in(body)
    renamed = audiences_in(body.replace("id: v", "id: w").replace("attribute: v", "attribute: w"))
    changed = audiences_in(body.replace("of: {event: A}", "of: {event: B}"))
    assert {name: found.digest for name, found in renamed.items()} == {
        name: found.digest for name, found in before.items()
    }
    assert [name for name in before if before[name].digest != changed[name].digest] == ["a"]


def test_a_milestones_digest_takes_in_its_parents_and_the_splits_before_it() -> None:
    def changed(before: str, after: str) -> list[str]:
        old, new = audiences_in(JOURNEY), audiences_in(JOURNEY.replace(before, after))
        return [name for name in old if old[name].digest != new[name].digest]

    assert changed("Visit", "Look") == ["trial/others"]
    assert changed("Play", "Look") == ["trial/watched", "trial/rest"]
    assert changed("Sign Up", "Look") == [
        "trial/signed-up",
        "trial/watched",
        "trial/rest",
        "trial/others",
    ]
    assert changed("Signed up", "Look") == []
