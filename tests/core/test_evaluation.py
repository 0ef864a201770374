"""What a batch, or passing time, changes: instants, order, ordinals, causes, ends."""

from dataclasses import replace

from cdp_stream.core.engine.profile_writing import PROFILE_PART
from cdp_stream.core.model.change import Cause
from cdp_stream.core.model.criterion import All, AnyOf, Condition, Not, Source
from cdp_stream.core.model.definition import Input, Workspace
from cdp_stream.core.model.operators import DATED
from cdp_stream.core.model.operators import Test as Operator
from cdp_stream.core.model.row import SIZE_LIMIT
from cdp_stream.core.model.windows import Window
from cdp_stream.core.plan.build import build_plan
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
    member,
    part,
    plan_of,
)

NEVER_BOUGHT = audience("never-bought", did("buy", minimum=0, maximum=0))
PLAYED = audience("played", did("play"))
HOUR = 3_600_000


def short(*audiences):
    """A profile under audiences of a workspace whose profiles live ten days."""
    there = [replace(one, workspaces=("short",)) for one in audiences]
    return Profile(plan_of(*there, workspaces=(SHORT,)))


def in_short(name="play", **bounds):
    return did(name, workspace="short", **{"window": Window(), **bounds})


# joining and leaving


def test_an_event_joins_and_passing_time_leaves():
    profile = Profile(plan_of(PLAYED))
    assert profile.does("play", 0) == ["+played@0#0"]
    assert profile.waits(3 * DAY) == []
    assert profile.waits(3 * DAY + 1) == [f"-played@{3 * DAY + 1}#0"]
    assert profile.waits(90 * DAY) == []


def test_a_later_event_puts_the_leaving_off():
    profile = Profile(plan_of(PLAYED))
    profile.does("play", 0)
    assert profile.does("play", DAY) == []
    assert profile.waits(3 * DAY + 1) == []
    assert profile.waits(90 * DAY) == [f"-played@{4 * DAY + 1}#0"]


def test_due_instants_fire_before_a_later_event_each_at_its_own_instant():
    profile = Profile(plan_of(PLAYED, audience("stopped", did("stop"))))
    profile.does("play", 0)
    profile.does("stop", DAY)
    assert profile.does("play", 10 * DAY) == [
        f"-played@{3 * DAY + 1}#0",
        f"-stopped@{4 * DAY + 1}#0",
        f"+played@{10 * DAY}#0",
    ]


def test_a_due_instant_and_an_event_at_it_are_two_evaluations_of_one_instant():
    profile = Profile(plan_of(PLAYED))
    profile.does("play", 0)
    assert profile.does("play", 3 * DAY + 1) == [
        f"-played@{3 * DAY + 1}#0",
        f"+played@{3 * DAY + 1}#1",
    ]
    assert profile.does("other", 3 * DAY + 2) == []
    assert profile.row.ordinal == 0


def test_deletes_come_before_adds_each_in_the_order_of_the_files():
    left, right = audience("left", Not(did())), audience("a-left", Not(did()))
    profile = Profile(plan_of(audience("joins", did()), left, audience("also", did()), right))
    assert profile.does("other", 0) == ["+left@0#0", "+a-left@0#1"]
    assert profile.does("play", 1) == ["-left@1#0", "-a-left@1#1", "+joins@1#2", "+also@1#3"]


def test_audiences_are_emitted_in_the_order_of_the_files_whatever_refers_to_what():
    profile = Profile(plan_of(audience("top", member("base")), audience("base", did())))
    assert profile.does("play", 0) == ["+top@0#0", "+base@0#1"]
    assert profile.waits(4 * DAY) == [f"-top@{3 * DAY + 1}#0", f"-base@{3 * DAY + 1}#1"]


def test_a_draft_counts_for_others_and_emits_nothing():
    draft = audience("draft", did(), emits=False)
    profile = Profile(plan_of(draft, audience("top", member("draft"))))
    assert profile.does("play", 0) == ["+top@0#0"]
    assert profile.row.members == {"draft": AT, "top": AT}


# the first batch


def test_a_first_batch_joins_what_holds_by_default():
    profile = Profile(plan_of(NEVER_BOUGHT, audience("untagged", has("tag", "exists", False))))
    assert profile.does("other", 0) == ["+never-bought@0#0", "+untagged@0#1"]
    assert profile.does("other", 1) == []


def test_a_first_batch_that_breaks_a_default_never_joins_for_an_instant():
    profile = Profile(plan_of(NEVER_BOUGHT, audience("untagged", has("tag", "exists", False))))
    first = batch(event("buy"), event("other"), part=part({"tag": None}))
    assert profile.applies(first) == []


def test_within_a_batch_each_time_is_evaluated_by_itself():
    profile = Profile(plan_of(NEVER_BOUGHT, PLAYED))
    taken = batch(event("other", AT - 5), event("buy", AT), event("play", AT))
    assert profile.applies(taken) == ["+never-bought@-5#0", "-never-bought@0#0", "+played@0#1"]


def test_the_profile_part_takes_effect_at_the_smallest_time_of_its_batch():
    profile = Profile(plan_of(audience("premium", has("status", "equals", "premium"))))
    taken = batch(event(at=AT - 5), event(at=AT), part=part({"status": "Premium"}), arrival=AT + 9)
    assert profile.applies(taken) == ["+premium@-5#0"]
    space = profile.row.spaces["travel"]
    assert (space.first_seen, space.last_seen) == (AT - 5, AT)


def test_a_batch_without_events_takes_effect_at_its_arrival():
    profile = Profile(plan_of(audience("premium", has("status", "equals", "premium"))))
    assert profile.applies(batch(arrival=AT + 7, part=part({"status": "premium"}))) == [
        "+premium@7#0"
    ]
    assert profile.row.spaces["travel"].last_seen == AT + 7
    assert profile.applies(batch(arrival=AT + 8)) == []


# late events


def test_a_late_event_is_evaluated_at_the_present_clock():
    profile = Profile(plan_of(PLAYED, NEVER_BOUGHT))
    assert profile.does("other", DAY) == [f"+never-bought@{DAY}#0"]
    assert profile.does("play", 0, arrival=DAY) == [f"+played@{DAY}#1"]
    assert profile.row.clock == AT + DAY
    assert profile.row.spaces["travel"].first_seen == AT
    assert profile.waits(4 * DAY) == [f"-played@{3 * DAY + 1}#0"]


def test_an_event_too_late_for_the_window_changes_nothing():
    profile = Profile(plan_of(PLAYED))
    profile.does("other", 4 * DAY)
    assert profile.does("play", DAY - 1, arrival=4 * DAY) == []
    assert profile.does("play", DAY, arrival=4 * DAY) == [f"+played@{4 * DAY}#0"]
    assert profile.waits(5 * DAY) == [f"-played@{4 * DAY + 1}#0"]


def test_two_events_of_one_instant_may_flip_a_criterion_and_flip_it_back():
    once = replace(did(minimum=1, maximum=1), text="once")
    either = audience("either", AnyOf((once, did(minimum=2))))
    profile = Profile(plan_of(either))
    assert profile.applies(batch(event(index=0, id="a"), event(index=1, id="b"))) == ["+either@0#0"]
    assert profile.changes[0].cause == Cause("event", "event: play", "b", AT)


# duplicates


def test_a_duplicate_event_enters_no_history_but_is_activity():
    profile = Profile(plan_of(audience("twice", did(minimum=2))))
    assert profile.does("play", 0, id="m") == []
    assert profile.does("play", 5, id="m") == []
    assert profile.row.clock == AT + 5
    assert profile.row.spaces["travel"].last_seen == AT + 5
    assert profile.does("play", 6, id="n") == ["+twice@6#0"]


def test_of_two_equal_ids_in_a_batch_the_earlier_counts():
    profile = Profile(plan_of(audience("at-5", did(window=Window(start=AT + 5)))))
    assert profile.applies(batch(event(at=AT, id="m"), event(at=AT + 5, id="m"))) == []


def test_an_id_counts_again_24_hours_of_arrival_later():
    profile = Profile(plan_of(audience("twice", did(minimum=2))))
    profile.does("play", 0, id="m")
    assert profile.does("play", DAY, id="m") == []
    assert profile.does("play", DAY + 1, id="m") == [f"+twice@{DAY + 1}#0"]


def test_an_id_counts_again_after_a_thousand_others():
    profile = Profile(plan_of(audience("twice", did(minimum=2))))
    profile.does("play", 0, id="first")
    for number in range(999):
        profile.does("other", 0, id=f"{number}")
    assert profile.does("play", 0, id="first") == []
    profile.does("other", 0, id="last")
    assert profile.does("play", 0, id="first") == ["+twice@0#0"]


def test_a_duplicate_batch_does_nothing_at_all():
    profile = Profile(plan_of(audience("twice", did(minimum=2))))
    profile.applies(batch(event(), digest=5))
    assert profile.applies(batch(event(at=AT + DAY), digest=5)) == []
    assert profile.row.clock == AT
    assert profile.row.spaces["travel"].last_seen == AT
    assert profile.applies(batch(event(at=AT + DAY), digest=6)) == [f"+twice@{DAY}#0"]


def test_a_duplicate_batch_after_the_end_of_the_profile_starts_a_new_one():
    profile = short(audience("ever", in_short()))
    taken = batch(event(), digest=5, source="shop")
    assert profile.applies(taken) == ["+ever@0#0"]
    again = batch(event(at=AT + 2), arrival=AT + 2, digest=5, source="shop")
    assert profile.applies(again) == []
    late = batch(event(at=AT + 20 * DAY), digest=5, source="shop")
    assert profile.applies(late) == [f"-ever@{10 * DAY + 1}#0", f"+ever@{20 * DAY}#0"]
    empty = batch(arrival=AT + 20 * DAY, digest=5, source="shop")
    assert profile.applies(empty) == []


def test_a_batch_id_is_forgotten_with_its_profile_even_within_24_hours():
    hasty = Workspace("short", None, HOUR, (Input("shop", "short"),))
    ever = audience("ever", in_short(), workspace="short")
    profile = Profile(plan_of(ever, workspaces=(hasty,)))
    assert profile.applies(batch(event(), digest=5, source="shop")) == ["+ever@0#0"]
    end = HOUR + 1
    assert profile.applies(batch(event(at=AT + end - 1), digest=5, source="shop")) == []
    assert profile.applies(batch(event(at=AT + end), digest=5, source="shop")) == [
        f"-ever@{end}#0",
        f"+ever@{end}#1",
    ]


# user attributes


def test_attributes_are_set_first_and_then_deleted():
    profile = Profile(plan_of(audience("tagged", has("tag", "exists", True))))
    assert profile.applies(batch(event(), part=part({"tag": None}, ("tag", "other")))) == []
    assert profile.applies(batch(event(), part=part({"tag": None}))) == ["+tagged@0#0"]
    assert profile.applies(batch(event(at=AT + 1), part=part({}, ("tag",)))) == ["-tagged@1#0"]
    assert profile.row.spaces["travel"].attributes == {}


def test_a_date_attribute_changes_by_passing_time():
    born = has("born", DATED, Window(oldest=DAY, newest=0))
    profile = Profile(plan_of(audience("fresh", born), audience("other", did("stop"))))
    profile.applies(batch(event(), part=part({"born": AT + 5, "x": 1})))
    assert profile.does("stop", 2) == ["+other@2#0"]
    assert profile.waits(5) == ["+fresh@5#0"]
    assert profile.changes[0].cause == Cause("time", "user_attribute: born", None, AT + 5)
    assert profile.waits(5 + DAY) == []
    assert profile.waits(6 + DAY) == [f"-fresh@{6 + DAY}#0"]


def test_identities_are_written_replaced_removed_and_in_order_in_changes():
    profile = Profile(plan_of(NEVER_BOUGHT))
    profile.applies(batch(event(), part=part(identities={"other": "o", "email": "a@b.c"})))
    assert profile.changes[0].identities == (("email", "a@b.c"), ("other", "o"))
    profile.applies(batch(event("buy"), part=part(identities={"other": None, "email": "x"})))
    assert profile.changes[0].identities == (("email", "x"),)


# causes


def test_the_cause_is_the_first_criterion_of_the_audience_that_flipped():
    profile = Profile(plan_of(audience("both", All((did("b"), did("a"))))))
    profile.applies(batch(event("a", AT, id="m1"), event("b", AT, id="m2")))
    assert profile.changes[0].cause == Cause("event", "event: b", "m2", AT)
    assert profile.changes[0].message_id == f"both:1:{AT}:0"
    assert (profile.changes[0].audience_name, profile.changes[0].definition) == ("BOTH", "d1")
    profile.waits(4 * DAY)
    assert profile.changes[0].cause == Cause("time", "event: b", None, AT + 3 * DAY + 1)


def test_the_cause_of_a_referring_audience_is_that_of_the_one_it_refers_to():
    profile = Profile(
        plan_of(
            audience("top", All((member("base"), Not(did("x"))))),
            PLAYED,
            audience("base", did("play")),
        )
    )
    profile.does("play", 0, id="m")
    assert {change.cause for change in profile.changes} == {Cause("event", "event: play", "m", AT)}


def test_a_late_events_cause_has_its_own_time():
    profile = Profile(plan_of(PLAYED))
    profile.does("other", DAY)
    profile.does("play", 5, arrival=DAY, id="m")
    assert profile.changes[0].cause == Cause("event", "event: play", "m", AT + 5)


def test_joining_by_a_first_activity_is_caused_by_it():
    profile = Profile(plan_of(NEVER_BOUGHT))
    profile.does("other", 0, id="m")
    assert profile.changes[0].cause == Cause("event", "activity", "m", AT)
    silent = Profile(plan_of(NEVER_BOUGHT))
    silent.applies(batch(arrival=AT))
    assert silent.changes[0].cause == Cause("profile", "activity", None, AT)


def test_a_profile_parts_cause_is_the_profile():
    profile = Profile(plan_of(audience("tagged", has("tag", "exists", True))))
    profile.applies(batch(event(id="m"), part=part({"tag": None})))
    assert profile.changes[0].cause == Cause("profile", "user_attribute: tag", None, AT)


# the end of a profile


def test_a_profile_ends_a_millisecond_after_its_lifetime_and_is_forgotten_after_that():
    profile = short(
        audience("ever", in_short()), audience("never", in_short("x", minimum=0, maximum=0))
    )
    profile.applies(batch(event(id="m"), source="shop", part=part({"a": 1}, identities={"e": "f"})))
    assert profile.waits(10 * DAY) == []
    end = 10 * DAY + 1
    assert profile.waits(end) == [f"-ever@{end}#0", f"-never@{end}#1"]
    assert {change.cause for change in profile.changes} == {
        Cause("profile_expiry", None, None, AT + end)
    }
    assert profile.changes[0].identities == (("e", "f"),)
    assert (profile.row.members, profile.row.slots, profile.row.identities) == ({}, {}, {})
    assert (profile.row.ordinal, len(profile.row.event_ids)) == (2, 0)
    assert profile.engine.wake(profile.row, AT + end, [])
    assert not profile.engine.wake(profile.row, AT + end + 1, [])


def test_ordinals_go_on_within_the_instant_of_the_end():
    profile = short(audience("ever", in_short()))
    profile.does("play", 0, source="shop", id="m")
    end = 10 * DAY + 1
    assert profile.does("play", end, source="shop", id="m") == [f"-ever@{end}#0", f"+ever@{end}#1"]


def test_what_comes_after_the_end_starts_a_new_profile():
    profile = short(audience("twice", in_short(minimum=2)))
    profile.does("play", 0, source="shop", id="m")
    assert profile.does("play", 11 * DAY, source="shop", id="m") == []
    assert profile.row.spaces["short"].first_seen == AT + 11 * DAY
    assert profile.does("play", 12 * DAY, source="shop", id="n") == [f"+twice@{12 * DAY}#0"]


def test_activity_puts_the_end_off_and_late_activity_does_not():
    profile = short(audience("ever", in_short()))
    profile.does("play", 0, source="shop")
    profile.does("other", 5 * DAY, source="shop")
    profile.does("other", 2 * DAY, arrival=5 * DAY, source="shop")
    assert profile.waits(15 * DAY) == []
    assert profile.waits(15 * DAY + 1) == [f"-ever@{15 * DAY + 1}#0"]


def test_each_workspace_has_its_own_end():
    profile = Profile(
        plan_of(
            audience("shop", in_short(), workspace="short"),
            audience("travel", did(window=Window())),
            audience("across", All((did(window=Window()), Not(member("shop"))))),
            workspaces=(TRAVEL, SHORT),
        )
    )
    assert profile.does("play", 0, source="shop") == ["+shop@0#0"]
    assert profile.does("play", 1) == ["+travel@1#0"]
    end = 10 * DAY + 1
    assert profile.waits(end) == [f"-shop@{end}#0", f"+across@{end}#1"]
    assert [change.cause.kind for change in profile.changes] == ["profile_expiry"] * 2
    assert list(profile.row.spaces) == ["travel"]
    assert len(profile.row.slots) == 2 - 1


def test_an_event_of_a_life_that_ended_before_the_clock_is_only_remembered():
    profile = Profile(
        plan_of(
            audience("shop", in_short(), workspace="short"),
            audience("twice", did(minimum=2)),
            workspaces=(TRAVEL, SHORT),
        )
    )
    profile.does("play", 30 * DAY)
    taken = batch(
        event(at=AT, id="m"),
        event(at=AT, id="m"),
        arrival=AT + 30 * DAY,
        source="shop",
        part=part({"tag": 1}, identities={"e": "f"}),
    )
    assert profile.applies(taken) == []
    assert list(profile.row.spaces) == ["travel"]
    assert profile.row.identities == {"e": "f"}
    assert profile.does("play", 30 * DAY, id="m") == []
    assert profile.does("play", 30 * DAY, id="n") == [f"+twice@{30 * DAY}#0"]


def test_a_late_event_of_a_forgotten_profile_is_no_new_one():
    profile = short(audience("ever", in_short()))
    profile.does("play", 0, source="shop")
    end = 10 * DAY + 1
    profile.waits(end)
    dead = batch(event(id="m"), source="shop", arrival=AT + end, part=part({"a": 1}))
    assert profile.applies(dead) == []
    assert (profile.row.spaces, profile.row.identities) == ({}, {})


def test_a_batch_that_was_too_late_to_begin_a_life_was_seen_by_nobody():
    ever = audience("ever", did(window=Window()))
    profile = Profile(plan_of(ever, audience("shop", in_short(), workspace="short"),
                              workspaces=(TRAVEL, SHORT)))  # fmt: skip
    profile.does("play", 0, source="shop")
    end = 10 * DAY + 1
    profile.waits(end)
    assert profile.applies(batch(event(), digest=5, source="shop")) == []
    assert profile.applies(batch(event(), digest=5)) == [f"+ever@{end}#1"]


def test_a_profile_without_a_lifetime_never_ends():
    profile = Profile(plan_of(NEVER_BOUGHT))
    profile.does("other", 0)
    assert profile.waits(100_000 * DAY) == []


def test_what_the_definitions_have_no_more_is_dropped_or_left_alone():
    old = plan_of(
        audience("gone", in_short(), workspace="short"), PLAYED, workspaces=(TRAVEL, SHORT)
    )
    profile = Profile(old)
    profile.does("play", 0, source="shop")
    profile.does("play", 0)
    now = Profile(plan_of(PLAYED))
    now.row = profile.row
    assert now.waits(30 * DAY) == [f"-played@{3 * DAY + 1}#0"]
    assert now.row.slots == {}


def test_the_end_of_one_workspace_passes_over_audiences_that_were_removed():
    profile = Profile(plan_of(PLAYED, audience("gone", did(window=Window()))))
    profile.does("play", 0)
    living = Profile(plan_of(audience("ever", in_short(), workspace="short"), workspaces=(SHORT,)))
    living.row = profile.row
    assert living.does("play", 0, source="shop") == ["+ever@0#2"]
    assert living.waits(10 * DAY + 1) == [f"-ever@{10 * DAY + 1}#0"]


def test_a_flip_at_the_end_of_another_workspace_counts_in_the_same_evaluation():
    profile = Profile(
        plan_of(
            audience("shop", in_short(), workspace="short"),
            audience("lately", did(window=Window(oldest=10 * DAY))),
            audience("fresh", has("born", DATED, Window(oldest=DAY, newest=0), "short")),
            workspaces=(TRAVEL, SHORT),
        )
    )
    profile.does("play", 0, source="shop")
    profile.applies(batch(event(), part=part({"a": 1, "b": 2})))
    end = 10 * DAY + 1
    assert profile.waits(end) == [f"-shop@{end}#0", f"-lately@{end}#1"]
    kinds = [change.cause.kind for change in profile.changes]
    assert kinds == ["profile_expiry", "time"]


def test_a_dated_attribute_that_the_profile_lacks_is_never_due():
    born = has("born", DATED, Window(oldest=DAY, newest=0))
    profile = Profile(plan_of(audience("fresh", born), PLAYED))
    profile.applies(batch(event(), part=part({"a": 1, "b": 2})))
    assert profile.waits(9 * DAY) == [f"-played@{3 * DAY + 1}#0"]


# how much a profile may take


def full_profile():
    profile = Profile(plan_of(PLAYED, audience("tagged", has("tag", "exists", True))))
    profile.applies(
        batch(event("other"), part=part({"notes": "x" * SIZE_LIMIT}, size=SIZE_LIMIT - 200))
    )
    return profile


def test_a_full_profile_refuses_events_and_attributes_and_says_which():
    profile = full_profile()
    taken = batch(
        event("other", index=0),
        event("play", index=1, id="m"),
        event("play", AT + 1, index=2),
        part=part({"tag": 1}, size=100),
    )
    assert profile.applies(taken) == []
    assert profile.refused == [PROFILE_PART, 0, 1, 2]
    assert profile.row.clock == AT + 1
    assert "tag" not in profile.row.spaces["travel"].attributes


def test_a_full_profile_may_give_attributes_up_and_has_room_again():
    profile = full_profile()
    assert profile.applies(batch(event("play"), part=part({}, ("notes",)))) == ["+played@0#0"]
    assert profile.refused == []


def test_an_account_may_have_another_limit():
    account = replace(plan_of(PLAYED).account, row_limit=20_000)
    small = Profile(build_plan(account))
    taken = batch(event("play"), part=part({"notes": "x" * 19_000}, size=19_000))
    assert small.applies(taken) == ["+played@0#0"]
    assert small.refused == []
    small.applies(batch(event("other", index=0), part=part({"more": "x" * 900}, size=900)))
    assert small.refused == [PROFILE_PART]
    small.applies(batch(*(event("other", index=n, id=f"{n}") for n in range(80))))
    assert small.refused == list(range(small.refused[0], 80))


def test_time_goes_on_for_a_full_profile():
    profile = Profile(plan_of(PLAYED))
    profile.does("play", 0)
    profile.applies(
        batch(event("other"), part=part({"a": "x" * SIZE_LIMIT}, size=SIZE_LIMIT - 999))
    )
    assert profile.waits(4 * DAY) == [f"-played@{3 * DAY + 1}#0"]


# conditions on events


def test_only_events_that_meet_the_conditions_count():
    where = (Condition(Source.ATTRIBUTE, "to", Operator("equals", "Paris")),)
    profile = Profile(plan_of(audience("paris", did(where=where))))
    assert profile.does("play", 0, custom_attributes={"to": "Rome"}) == []
    assert profile.does("PLAY", 1, custom_attributes={"to": "PARIS"}) == ["+paris@1#0"]


def test_counting_ago_joins_and_leaves_by_time_alone():
    ago = did(window=Window(oldest=2 * HOUR, newest=HOUR))
    profile = Profile(plan_of(audience("an-hour-ago", ago)))
    assert profile.does("play", 0) == []
    assert profile.waits(3 * HOUR) == [
        f"+an-hour-ago@{HOUR}#0",
        f"-an-hour-ago@{2 * HOUR + 1}#0",
    ]
