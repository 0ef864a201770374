"""What `cdp plan` says is different between two sets of definitions."""

import pytest

from cdp_stream.definitions import load_text
from cdp_stream.definitions.changes import DefinitionChange, changes_between, parents_removed

BASE = """\
version: 1
account: acme
workspaces:
  - id: shop
    inputs: [{id: web, kind: platform, api_key: k1}, {id: crm, kind: feed, api_key: k2}]
calculated_attributes:
  - {id: plays, calculation: count, of: {event: Play}}
audiences:
  - id: players
    name: Players
    criteria: {event: Play, when: {last: 3d}}
  - id: fans
    criteria: {all: [{audience: players}, {calculated_attribute: plays, at_least: 5}]}
  - id: buyers
    criteria: {commerce: purchase}
journeys:
  - id: trial
    milestones:
      - id: signed-up
        criteria: {event: Sign Up}
        then:
          - {id: played, criteria: {audience: players}}
          - {id: bought, criteria: {commerce: purchase}}
          - {id: rest, remaining: true}
      - {id: other, criteria: {event: Open}}
"""


def changed(*replacements, base=BASE):
    text = base
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    loaded = load_text(text)
    assert not loaded.errors
    return changes_between(load_text(BASE), loaded)


def described(changes):
    signs = {"add": "+", "change": "~", "remove": "-"}
    return [
        f"{signs[one.action]}{one.kind} {one.id}"
        f"{' (' + ', '.join(one.fields) + ')' if one.fields else ''}"
        f"{' anew' if one.recalculates else ''}"
        for one in changes
    ]


def test_everything_is_new_where_nothing_is_defined():
    found = described(changes_between(None, load_text(BASE)))
    assert found == [
        "+workspace shop", "+input web", "+input crm", "+calculated_attribute plays anew",
        "+audience players anew", "+audience fans anew", "+audience buyers anew",
        "+journey trial anew", "+milestone trial/signed-up anew", "+milestone trial/played anew",
        "+milestone trial/bought anew", "+milestone trial/rest anew",
        "+milestone trial/other anew",
    ]  # fmt: skip


def test_another_way_of_writing_the_same_is_no_change():
    assert changed() == []
    assert changed(("name: Players", "name: 'Players'\n    status: active")) == []


def test_a_name_is_a_change_that_calculates_nothing():
    assert described(changed(("name: Players", "name: Watchers"))) == ["~audience players (name)"]


def test_the_same_criteria_written_otherwise_calculate_nothing():
    assert described(changed(("{last: 3d}", "{last: 72h}"))) == ["~audience players (criteria)"]


def test_what_refers_to_an_edited_audience_is_calculated_anew_too():
    assert described(changed(("{last: 3d}", "{last: 4d}"))) == [
        "~audience players (criteria) anew", "~audience fans anew",
        "~milestone trial/played anew", "~milestone trial/bought anew",
        "~milestone trial/rest anew",
    ]  # fmt: skip


def test_an_edited_milestone_takes_its_siblings_to_the_right_and_all_below_with_it():
    assert described(changed(("{event: Sign Up}", "{event: Sign In}"))) == [
        "~milestone trial/signed-up (criteria) anew", "~milestone trial/played anew",
        "~milestone trial/bought anew", "~milestone trial/rest anew",
        "~milestone trial/other anew",
    ]  # fmt: skip


def test_a_moved_milestone_says_so():
    played = "          - {id: played, criteria: {audience: players}}\n"
    bought = "          - {id: bought, criteria: {commerce: purchase}}\n"
    found = described(changed((played + bought, bought + played)))
    assert "~milestone trial/played (position) anew" in found
    assert "~milestone trial/bought (position) anew" in found
    assert not any("signed-up" in one for one in found)


CHILDREN = """\
          - {id: played, criteria: {audience: players}}
          - {id: bought, criteria: {commerce: purchase}}
          - {id: rest, remaining: true}
"""


@pytest.mark.parametrize(
    ("old", "new", "orphaned"),
    [
        ("id: signed-up\n", "id: renamed\n", True),
        (
            "      - id: signed-up\n        criteria: {event: Sign Up}\n        then:\n" + CHILDREN,
            "", True,
        ),
        (BASE[BASE.index("journeys:") :], "", False),
        ("        then:\n" + CHILDREN, "", False),
        ("      - {id: other, criteria: {event: Open}}\n", "", False),
    ],
    ids=["renamed", "with all below it", "the whole journey", "the children", "a leaf"],
)  # fmt: skip
def test_a_milestone_is_not_removed_while_it_has_children(old, new, orphaned):
    assert BASE.count(old) == 1
    after = load_text(BASE.replace(old, new))
    assert not after.errors
    children = {"trial/signed-up": ["trial/played", "trial/bought", "trial/rest"]}
    assert parents_removed(load_text(BASE), after) == (children if orphaned else {})


def test_a_removed_audience_and_milestone_stand_where_they_stood():
    found = described(
        changed(
            ("  - id: buyers\n    criteria: {commerce: purchase}\n", ""),
            ("      - {id: other, criteria: {event: Open}}\n", ""),
        )
    )
    assert found == ["-audience buyers", "-milestone trial/other"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("  - id: shop\n", "  - id: shop\n    lookback: 10d\n", "~workspace shop (lookback) anew"),
        (
            "  - id: shop\n", "  - id: shop\n    profile_lifetime: 9d\n",
            "~workspace shop (profile_lifetime)",
        ),
        ("api_key: k1", "api_key: k3", "~input web (api_key)"),
        ("kind: feed,", "kind: feed, tier: connect,", "~input crm (tier) anew"),
        ("calculation: count", "calculation: first_occurrence_timestamp",
         "~calculated_attribute plays (calculation) anew"),
        ("name: Players", "status: draft", "~audience players (name, status)"),
        ("name: Players", "name: Players\n    lookback: 2d", "~audience players (lookback) anew"),
        ("{id: other,", "{id: other, name: Else,", "~milestone trial/other (name)"),
        ("  - id: trial\n", "  - id: trial\n    name: Trials\n", "~journey trial (name)"),
        (
            "    name: Players\n",
            "    name: Players\n    ab_test: {variants: [{percent: 10}]}\n",
            "~audience players (ab_test)",
        ),
    ],
)  # fmt: skip
def test_fields_that_differ_are_named(old, new, expected):
    assert expected in described(changed((old, new)))


def test_a_draft_is_calculated_from_when_it_becomes_active():
    draft = "  - {id: idea, status: draft, criteria: {event: Play}}\n"
    text = BASE.replace("audiences:\n", "audiences:\n" + draft, 1)
    assert described(changed(base=text)) == ["+audience idea"]
    edited = text.replace("draft, criteria: {event: Play}", "draft, criteria: {event: Look}")
    assert described(changes_between(load_text(text), load_text(edited))) == [
        "~audience idea (criteria)"
    ]
    active = text.replace("status: draft, ", "")
    assert described(changes_between(load_text(text), load_text(active))) == [
        "~audience idea (status) anew"
    ]
    (back,) = changes_between(load_text(active), load_text(text))
    assert (back.recalculates, back.stops) == (False, True)


def test_defaults_that_are_written_out_are_no_change():
    assert changed(
        ("  - id: buyers\n", "  - id: buyers\n    name: buyers\n    external_name: buyers\n"),
        ("    name: Players\n", "    name: Players\n    external_name: Players\n"),
        ("  - id: trial\n", "  - id: trial\n    name: trial\n"),
        ("{id: other,", "{id: other, name: other,"),
        ("{id: rest,", "{id: rest, name: Remaining Users,"),
        ("  - id: shop\n", "  - id: shop\n    lookback: 30d\n    profile_lifetime: 30d\n"),
    ) == []  # fmt: skip


def test_another_order_alone_is_a_change_of_the_account():
    buyers = "  - id: buyers\n    criteria: {commerce: purchase}\n"
    without = BASE.replace(buyers, "")
    found = changed(base=without.replace("audiences:\n", "audiences:\n" + buyers, 1))
    assert found == [
        DefinitionChange("account", "acme", "change", recalculates=False, fields=("order",))
    ]
    assert found[0].as_json() == {
        "kind": "account", "id": "acme", "action": "change", "recalculates": False,
        "fields": ["order"],
    }  # fmt: skip


CONNECTED = (
    BASE.replace("audiences:", "outputs:\n  - {id: audit, connector: log}\naudiences:", 1)
    + """\
connections:
  - {audiences: [players, fans], output: audit}
  - {audience: trial/played, output: audit}
"""
)


def reconnected(*replacements):
    text = CONNECTED
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    after = load_text(text)
    assert not after.errors
    return changes_between(load_text(CONNECTED), after)


def test_a_bulk_connection_is_one_for_each_audience():
    found = changes_between(load_text(BASE), load_text(CONNECTED))
    assert described(found) == [
        "+output audit", "+connection players@audit", "+connection fans@audit",
        "+connection trial/played@audit",
    ]  # fmt: skip
    assert described(reconnected(("[players, fans]", "[fans]"))) == ["-connection players@audit"]


def test_a_connection_that_is_made_inactive_stops():
    active = "trial/played, output: audit"
    found = reconnected((active, f"{active}, status: inactive"))
    assert described(found) == ["~connection trial/played@audit (status)"]
    assert found[0].stops
    inactive = load_text(CONNECTED.replace(active, f"{active}, status: inactive"))
    (back,) = changes_between(inactive, load_text(CONNECTED))
    assert not back.stops


BY_CONNECTION = ("  - id: trial\n", "  - id: trial\n    activation: by_connection\n")


def test_milestones_that_no_connection_needs_stop():
    found = reconnected(BY_CONNECTION)
    assert described(found) == [
        "~journey trial (activation)", "~milestone trial/bought", "~milestone trial/rest",
        "~milestone trial/other",
    ]  # fmt: skip
    assert [one.id for one in found if one.stops] == ["trial/bought", "trial/rest", "trial/other"]


def test_a_milestone_that_a_connection_starts_is_calculated():
    text = CONNECTED.replace(*BY_CONNECTION)
    moved = text.replace("{audience: trial/played,", "{audience: trial/bought,")
    assert described(changes_between(load_text(text), load_text(moved))) == [
        "~milestone trial/played", "~milestone trial/bought anew",
        "-connection trial/played@audit",
        "+connection trial/bought@audit",
    ]  # fmt: skip
