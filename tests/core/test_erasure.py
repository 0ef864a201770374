"""Erasure: out of every audience at once, nothing is kept, what comes later is a new profile."""

from cdp_stream.core.model.change import Cause
from cdp_stream.core.model.criterion import Not
from tests.core.accounts import (
    AT,
    DAY,
    SHORT,
    TRAVEL,
    Profile,
    audience,
    batch,
    did,
    event,
    has,
    part,
    plan_of,
)

PLAYED = audience("played", did("play"))
NEVER = audience("never", Not(did("buy")))
RICH = audience("rich", has("rich", "exists", True))
SHORTLY = audience("shortly", did("play", workspace="short"), workspace="short")


def erased(profile, at):
    profile.changes = []
    profile.engine.erase(profile.row, AT + at, profile.changes)
    return [
        f"{change.action} {change.audience_id}@{change.effective_at - AT}#{change.ordinal}"
        for change in profile.changes
    ]


def test_an_erasure_leaves_all_audiences_of_all_workspaces_and_keeps_nothing():
    plan = plan_of(PLAYED, NEVER, RICH, SHORTLY, workspaces=(TRAVEL, SHORT))
    profile = Profile(plan)
    profile.applies(
        batch(event(id="m"), part=part({"rich": 1}, identities={"email": "a"}), digest=7)
    )
    profile.does("play", 1, source="shop")
    assert erased(profile, 5) == [
        "delete played@5#0", "delete never@5#1", "delete rich@5#2", "delete shortly@5#3"
    ]  # fmt: skip
    assert {change.cause for change in profile.changes} == {Cause("erasure", None, None, AT + 5)}
    assert profile.changes[0].identities == (("email", "a"),)
    row = profile.row
    kept = (row.members, row.variants, row.slots, row.spaces, row.identities, row.opt_out)
    assert kept == ({}, {}, {}, {}, {}, 0)
    assert (bytes(row.event_ids), bytes(row.batch_ids)) == (b"", b"")
    assert profile.engine.wake(row, AT + 5, [])
    assert not profile.engine.wake(row, AT + 6, [])


def test_what_is_due_by_then_fires_first_and_ordinals_go_on():
    profile = Profile(plan_of(PLAYED, NEVER))
    profile.does("play", 0)
    end = 3 * DAY + 1
    assert erased(profile, end) == [f"delete played@{end}#0", f"delete never@{end}#1"]
    assert [change.cause.kind for change in profile.changes] == ["time", "erasure"]


def test_an_erasure_older_than_the_clock_takes_effect_at_the_clock():
    profile = Profile(plan_of(PLAYED))
    profile.does("play", 9)
    assert erased(profile, 4) == ["delete played@9#1"]
    assert profile.changes[0].cause.event_time == AT + 4


def test_within_its_instant_ordinals_go_on_and_after_it_a_new_profile_starts():
    profile = Profile(plan_of(PLAYED, RICH))
    profile.applies(batch(event(id="m"), part=part({"rich": 1})))
    erased(profile, 5)
    assert profile.does("play", 5, id="m") == ["+played@5#2"]
    erased(profile, 6)
    assert profile.does("play", 7, id="m") == ["+played@7#0"]


def test_an_opt_out_is_forgotten_too():
    profile = Profile(plan_of(PLAYED))
    profile.does("play", 0)
    profile.does("out", 1, kind="opt_out")
    assert erased(profile, 2) == []
    assert profile.does("play", 3) == ["+played@3#0"]


def test_erasing_again_and_erasing_nobody_change_nothing():
    profile = Profile(plan_of(PLAYED, NEVER))
    assert erased(profile, 1) == []
    profile.does("play", 2)
    erased(profile, 3)
    assert erased(profile, 3) == []
    assert erased(profile, 4) == []
    assert not profile.engine.wake(profile.row, AT + 5, [])


def test_what_the_definitions_no_longer_have_is_erased_too():
    profile = Profile(plan_of(SHORTLY, workspaces=(TRAVEL, SHORT)))
    profile.does("play", 0)
    profile.does("play", 0, source="shop")
    narrower = Profile(plan_of(audience("played", did("play"))))
    narrower.row = profile.row
    assert erased(narrower, 1) == []
    assert (narrower.row.spaces, narrower.row.slots, narrower.row.members) == ({}, {}, {})
