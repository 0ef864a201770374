"""Opt-out: out of every audience, and back by what holds then."""

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
    member,
    plan_of,
)

PLAYED = audience("played", did("play"))
NEVER = audience("never", Not(did("buy")))
OUTSIDE = audience("outside", Not(member("played")))


def opts(profile, way, at, arrival=None, **data):
    return profile.does(way, at, kind="opt_out", arrival=at if arrival is None else arrival, **data)


def test_opting_out_leaves_everything_and_joins_nothing_until_opted_in():
    profile = Profile(plan_of(PLAYED, NEVER, OUTSIDE))
    profile.does("play", 0)
    assert opts(profile, "out", 5, id="m") == ["-played@5#0", "-never@5#1"]
    assert {change.cause for change in profile.changes} == {
        Cause("opt_out", None, "m", profile.row.clock)
    }
    assert profile.does("buy", 6) == []
    assert profile.does("play", 7) == []
    assert opts(profile, "in", 8) == ["+played@8#0"]
    assert profile.changes[0].cause.kind == "opt_out"


def test_history_goes_on_while_opted_out():
    profile = Profile(plan_of(PLAYED))
    profile.does("play", 0)
    opts(profile, "out", 1)
    assert profile.waits(4 * DAY) == []
    assert opts(profile, "in", 4 * DAY) == []
    assert profile.does("play", 4 * DAY + 1) == [f"+played@{4 * DAY + 1}#0"]


def test_the_newest_opt_out_counts_whatever_arrives_last():
    profile = Profile(plan_of(PLAYED))
    profile.does("play", 0)
    assert opts(profile, "in", 10) == []
    assert opts(profile, "out", 5, arrival=11) == []
    assert opts(profile, "out", 10, arrival=12) == ["-played@10#0"]


def test_out_and_in_at_one_instant_is_nothing():
    profile = Profile(plan_of(PLAYED))
    profile.does("play", 0)
    both = batch(event("out", AT + 1, kind="opt_out"), event("in", AT + 1, 1, kind="opt_out"))
    assert profile.applies(both) == []


def test_an_opt_out_counts_in_a_workspace_where_the_profile_has_ended():
    both = plan_of(PLAYED, workspaces=(TRAVEL, SHORT))
    profile = Profile(both)
    profile.does("play", 0)
    # Ten days and more before: what it would start in `short` has ended long ago.
    late = -11 * DAY
    assert opts(profile, "out", late, arrival=0, source="shop", id="m") == ["-played@0#1"]
    assert "short" not in profile.row.spaces
    assert opts(profile, "in", late + 1, arrival=0, source="shop", id="m") == []
