"""From definitions to what an event touches and what a flip can change."""

from dataclasses import replace
from itertools import pairwise

from cdp_stream.core.model.criterion import All, AnyOf, Condition, Not, Source
from cdp_stream.core.model.definition import EventTier, Input, Tier, Workspace
from cdp_stream.core.model.meaning import meaning_text, slot_of
from cdp_stream.core.model.operators import DATED
from cdp_stream.core.model.operators import Test as Operator
from cdp_stream.core.model.subject import Subject
from cdp_stream.core.model.windows import Window
from tests.core.accounts import DAY, SHORT, TRAVEL, audience, did, has, member, plan_of


def read_by(plan, kind, name, source="ios", custom_event_type="other"):
    """How many criteria read such an event."""
    return len(plan.readings[source, kind, name, custom_event_type].leaves)


def test_equal_criteria_are_one_leaf_that_knows_all_its_audiences():
    plan = plan_of(
        audience("a", did("play")),
        audience("b", All((did("stop"), Not(did("play"))))),
        audience("c", did("stop")),
    )
    assert len(plan.memories) == 2
    ((leaf, where),) = plan.readings["ios", "event", "PLAY", "other"].leaves
    assert where is None
    assert [plan.audiences[place].id for place in leaf.audiences] == ["a", "b"]


def test_criteria_are_equal_by_what_they_mean_not_by_where_they_are_written():
    one = Condition(Source.ATTRIBUTE, "a", Operator("equals", 1))
    other = Condition(Source.FIELD, "b", Operator(DATED, Window(start=5)))
    same = meaning_text(did(where=(one, other)))
    assert meaning_text(did(where=(other, one))) == same
    different = [
        did(where=(one,)),
        did(where=(other, Condition(Source.ATTRIBUTE, "a", Operator("equals", "1")))),
        did(where=(other, Condition(Source.ATTRIBUTE, "a", Operator("equals", True)))),
        did(where=(one, other), minimum=2),
        did(where=(one, other), maximum=2),
        did(where=(one, other), window=Window(oldest=DAY)),
        did(where=(one, other), inputs=frozenset({"ios"})),
        did(where=(one, other), workspace="short"),
        did(where=(one, other), custom_event_type="navigation"),
        did("stop", where=(one, other)),
        did(kind="screen_view", where=(one, other)),
    ]
    assert same not in {meaning_text(criterion) for criterion in different}
    assert len({meaning_text(criterion) for criterion in different}) == len(different)


def test_a_slot_is_eight_characters_of_a_digest_and_never_changes():
    assert slot_of("") == "47DEQpj8"
    assert slot_of(meaning_text(did())) == "YbhhibN0"


def test_an_event_is_read_by_criteria_of_its_name_of_any_name_and_of_its_type():
    plan = plan_of(
        audience("named", did("straße")),
        audience("any", did(None)),
        audience("typed", did(None, custom_event_type="navigation")),
        audience("attributed", did(None, kind="attribution")),
        audience("seen", did("straße", kind="screen_view")),
    )
    assert read_by(plan, "event", "STRASSE") == 2
    assert read_by(plan, "event", "other") == 1
    assert read_by(plan, "event", "other", custom_event_type="Navigation") == 2
    assert read_by(plan, "event", "other", custom_event_type="attribution") == 2
    assert read_by(plan, "screen_view", "straße") == 1
    assert read_by(plan, "", "straße") == 0


def test_one_app_start_may_be_an_install_and_an_upgrade():
    plan = plan_of(
        audience("installed", did(None, kind="install")),
        audience("upgraded", did(None, kind="upgrade")),
        audience("crashed", did(None, kind="crash")),
    )
    kinds = ("install", "upgrade", "install_and_upgrade", "crash", "uninstall")
    assert [read_by(plan, kind, "") for kind in kinds] == [1, 1, 2, 1, 0]


def test_a_criterion_reads_its_own_inputs_and_its_own_workspace():
    plan = plan_of(
        audience("a", did(inputs=frozenset({"ios"}))),
        audience("b", did(window=Window(oldest=5))),
        audience("c", did(workspace="short"), workspace="short"),
        workspaces=(TRAVEL, SHORT),
    )
    assert [read_by(plan, "event", "play", source) for source in ("ios", "web", "shop")] == [
        2,
        1,
        1,
    ]


def tiered(*entries, tier=Tier.PERSONALIZE):
    inputs = (Input("ios", "travel", None, tier), Input("web", "travel"))
    workspace = Workspace("travel", None, None, inputs, entries)
    return plan_of(audience("a", did(None)), workspaces=(workspace,))


def test_an_event_of_another_tier_is_not_read():
    assert read_by(tiered(tier=Tier.CONNECT), "event", "beat") == 0
    preserved = EventTier(Subject("event", "beat"), Tier.PRESERVE)
    assert read_by(tiered(preserved), "event", "BEAT") == 0
    assert read_by(tiered(preserved), "event", "other") == 1
    used = EventTier(Subject("event", "beat"), Tier.PERSONALIZE)
    assert read_by(tiered(used, tier=Tier.CONNECT), "event", "beat") == 1


def test_the_most_specific_tier_counts_whatever_its_place():
    wide = EventTier(Subject("event"), Tier.PRESERVE)
    named = EventTier(Subject("event", "beat"), Tier.CONNECT)
    typed = EventTier(Subject("event", "beat", "navigation"), Tier.PERSONALIZE)
    of_input = EventTier(Subject("event"), Tier.PRESERVE, "ios")
    for plan in (tiered(wide, named, typed), tiered(typed, named, wide)):
        assert plan.tier_of("ios", "event", "beat", "navigation") is Tier.PERSONALIZE
        assert plan.tier_of("ios", "event", "beat", "other") is Tier.CONNECT
        assert plan.tier_of("ios", "event", "stop", "other") is Tier.PRESERVE
        assert plan.tier_of("ios", "commerce", "beat", "") is Tier.PERSONALIZE
    plan = tiered(typed, of_input)
    assert plan.tier_of("ios", "event", "beat", "navigation") is Tier.PRESERVE
    assert plan.tier_of("web", "event", "beat", "navigation") is Tier.PERSONALIZE


def test_of_equally_specific_tiers_the_first_counts():
    first = EventTier(Subject("event", "beat"), Tier.CONNECT)
    second = EventTier(Subject("event", "beat"), Tier.PRESERVE)
    assert tiered(first, second).tier_of("ios", "event", "beat", "") is Tier.CONNECT


def test_ever_new_names_do_not_fill_the_memory():
    plan = plan_of(audience("a", did(None)))
    for number in range(10_001):
        assert read_by(plan, "event", f"name {number}") == 1
    assert len(plan.readings) == 1
    assert read_by(plan, "event", "x", custom_event_type="y" * 2_000) == 1
    assert len(plan.readings) == 1


def test_audiences_are_evaluated_after_those_they_refer_to_and_emitted_as_written():
    plan = plan_of(
        audience("top", All((member("middle"), member("bottom")))),
        audience("middle", member("bottom")),
        audience("bottom", did()),
        audience("last", Not(member("middle"))),
    )
    evaluated = [(planned.id, planned.order) for planned in plan.audiences]
    assert evaluated == [("bottom", 2), ("middle", 1), ("top", 0), ("last", 3)]
    assert plan.places == {"bottom": 0, "middle": 1, "top": 2, "last": 3}


def test_a_long_chain_of_references_is_no_depth():
    names = [f"a{number}" for number in range(2_000)]
    chain = [audience(name, member(following)) for name, following in pairwise(names)]
    plan = plan_of(*chain, audience(names[-1], did()))
    assert plan.audiences[0].id == "a1999"
    (leaf,) = plan.memories.values()
    assert len(leaf.audiences) == 2_000


def test_a_flip_reaches_audiences_through_others():
    plan = plan_of(
        audience("c", Not(member("b"))), audience("b", member("a")), audience("a", did())
    )
    (leaf,) = plan.memories.values()
    assert [plan.audiences[place].id for place in leaf.audiences] == ["a", "b", "c"]


def test_user_attributes_are_found_by_workspace_and_key():
    born = has("born", DATED, Window(oldest=5, newest=0))
    plan = plan_of(
        audience("a", AnyOf((has("status", "equals", "x"), born))),
        audience("b", has("status", "exists", True)),
        audience("c", has("status", "equals", "x", "short"), workspace="short"),
        workspaces=(TRAVEL, SHORT),
    )
    assert {key: len(leaves) for key, leaves in plan.attribute_leaves.items()} == {
        ("travel", "status"): 2,
        ("travel", "born"): 1,
        ("short", "status"): 1,
    }
    assert list(plan.dated_attributes) == ["travel"]
    assert list(plan.dated_attributes["travel"]) == ["born"]


def activated(plan, workspace):
    return [plan.audiences[place].id for place in plan.activations[workspace]]


def test_a_first_activity_asks_only_audiences_that_hold_by_default():
    plan = plan_of(
        audience("did", did()),
        audience("never", did("stop", minimum=0, maximum=0)),
        audience("not", Not(did())),
        audience("missing", has("status", "exists", False)),
        audience("both", All((member("never"), did()))),
        audience("member", member("never")),
        audience("neither", Not(member("never"))),
    )
    assert activated(plan, "travel") == ["never", "not", "missing", "member"]


def test_a_first_activity_asks_audiences_that_other_workspaces_may_have_changed():
    plan = plan_of(
        audience("shop", did(workspace="short"), workspace="short"),
        audience("across", member("shop")),
        audience("back", member("across"), workspace="short"),
        audience("along", member("across")),
        audience("here", did()),
        workspaces=(TRAVEL, SHORT),
    )
    assert activated(plan, "travel") == ["across", "back", "along"]
    assert activated(plan, "short") == ["across", "back", "along"]
    ending = {
        name: [plan.audiences[p].id for p in places] for name, places in plan.dependants.items()
    }
    assert ending == {"travel": ["back"], "short": ["across", "along"]}


def test_a_first_activity_asks_audiences_that_refer_to_a_shared_one():
    shared = audience("shared", did(workspace="short"))
    shared = replace(shared, workspaces=("travel", "short"))
    plan = plan_of(
        shared,
        audience("without", Not(member("shared"))),
        audience("with", All((member("shared"), Not(member("without"))))),
        audience("rest", Not(member("without"))),
        audience("here", did()),
        workspaces=(TRAVEL, SHORT),
    )
    assert activated(plan, "travel") == ["without", "with", "rest"]
