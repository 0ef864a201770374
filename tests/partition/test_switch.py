"""Definitions that change while a partition lives: what is emitted, and after a crash again."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp_stream.core.model.criterion import All
from cdp_stream.core.model.definition import AbTest, Account, EventTier, Tier, Variant
from cdp_stream.core.model.subject import Subject
from cdp_stream.core.model.windows import Window
from cdp_stream.core.plan.plan import InForce
from cdp_stream.errors import OutsideError
from cdp_stream.formats.definitions_row import (
    DEFINITIONS_KEY,
    decode_definitions,
    encode_definitions,
)
from cdp_stream.formats.rows import decode_row, epoch_of
from cdp_stream.partition import migration_queue
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.processor import ProfileProcessor
from tests.core.accounts import DAY, SHORT, TRAVEL, audience, did, has, member
from tests.partition.records import T, deliver, ids, sent

HOME = replace(SHORT, lifetime_ms=30 * DAY)
LATELY = Window(oldest=5 * DAY)
FAR = T + 1000 * DAY
SPLIT = AbTest("s", (Variant("A", 5_000), Variant("Control", 10_000)))


def lately(name, **bounds):
    return did(name, workspace="short", window=LATELY, **bounds)


def entry(name, expression, **more):
    return replace(audience(name, expression, workspace="short"), **more)


PLAYED = entry("played", lately("play"))
TWICE = entry("twice", lately("play", minimum=2))
RED = entry("red", has("color", "equals", "red", "short"))


def version(number, *audiences, time=FAR, home=HOME):
    return Definitions(str(number), time and time + number, Account("acme", (home,), audiences))


def made_of(rows, definitions, *older):
    known = {one.version: one for one in (definitions, *older)}
    made = ProfileProcessor(definitions, "cdp.events", 0, known=known.get)
    made.restore(rows)
    return made


def begun(rows, definitions, *records):
    made = made_of(rows, definitions)
    deliver(rows, made.rollout.switch(definitions))
    deliver(rows, made.apply(list(records)))
    return made


def swept(rows, made, limit=1):
    said = []
    while made.rollout.rows_to_migrate():
        deliver(rows, effects := made.rollout.migrate(limit))
        said += ids(effects)
    return said


def message_ids(rows, made):
    """The message ids of a sweep as `action audience:mpid@effective_at:ordinal`, from FAR."""
    return [
        f"{one.rsplit(':', 2)[0]}@{int(one.rsplit(':', 2)[1]) + T - FAR}:{one.rsplit(':', 1)[1]}"
        for one in swept(rows, made)
    ]


def sizes(made):
    return {name: size for name, size in made.audience_sizes().items() if size}


def test_the_first_definitions_are_in_force_at_once_and_emit_nothing():
    rows = {}
    made = made_of(rows, version(1, PLAYED))
    assert made.rollout.version is None
    deliver(rows, effects := made.rollout.switch(version(1, PLAYED)))
    assert effects.memberships == []
    assert (made.rollout.version, made.rollout.rows_to_migrate(), made.rollout.missing) == (
        "1",
        0,
        frozenset(),
    )
    assert decode_definitions(rows[DEFINITIONS_KEY]).epoch == 0
    assert made_of(rows, version(1, PLAYED)).rollout.version == "1"


def test_an_edit_emits_only_the_differences_deletes_first_at_the_time_of_the_record():
    rows = {}
    red = {"user_attributes": {"color": "red"}}
    v1 = version(1, RED, PLAYED, TWICE)
    made = begun(
        rows, v1, sent(0, 7, 0, "play", **red), sent(1, 8, 1, "play", "play"), sent(2, 9, 2)
    )
    blue = entry("blue", All((has("color", "exists", True, "short"), lately("play"))))
    edited = entry("red", has("color", "equals", "blue", "short"))
    deliver(rows, effects := made.rollout.switch(version(2, edited, blue, PLAYED)))
    assert effects.memberships == []
    assert made.rollout.missing == frozenset()
    assert message_ids(rows, made) == ["delete twice:8@2:0", "delete red:7@2:0", "add blue:7@2:1"]
    assert sizes(made) == {"played": 2, "blue": 1}
    assert "twice" not in made.audience_sizes()
    assert decode_row(7, rows[b"7"]).members.keys() == {"played", "blue"}


def test_the_message_says_the_name_the_cause_and_the_definition():
    rows = {}
    made = begun(rows, version(1, PLAYED, TWICE), sent(0, 7, 0, "play", "play"))
    deliver(rows, made.rollout.switch(version(2, TWICE)))
    effects = made.rollout.migrate(10)
    ((key, value),) = effects.memberships
    message = json.loads(value)
    assert key == b"7"
    assert message["cause"] == {
        "kind": "definition", "criterion": None, "event_id": None, "event_time": None,
    }  # fmt: skip
    assert (message["action"], message["audience_name"]) == ("delete", "PLAYED")
    assert (message["effective_at"], message["definition"]) == (FAR + 2, "d1")
    assert effects.state == [(b"played:7", None)]
    assert effects.changes == {("played", "delete"): 1}


def test_what_did_not_change_emits_nothing_and_rows_stay_as_they_are():
    rows = {}
    made = begun(rows, version(1, PLAYED), sent(0, 7, 0, "play"))
    before = rows[b"7"]
    deliver(
        rows, made.rollout.switch(version(2, PLAYED, entry("x", has("k", "exists", True, "short"))))
    )
    assert swept(rows, made) == []
    assert rows[b"7"] == before
    assert made_of(rows, version(2, PLAYED)).rollout.rows_to_migrate() == 0


def test_a_renamed_definition_needs_no_sweep_and_has_its_new_name_from_then_on():
    rows = {}
    made = begun(rows, version(1, PLAYED), sent(0, 7, 0, "play"))
    deliver(rows, made.rollout.switch(version(2, replace(PLAYED, name="Other", digest="d2"))))
    assert made.rollout.rows_to_migrate() == 0
    deliver(rows, effects := made.tick(T + 6 * DAY, 10))
    message = json.loads(effects.memberships[0][1])
    assert (message["audience_name"], message["definition"]) == ("Other", "d2")


def test_a_draft_that_becomes_active_and_back_is_a_difference():
    rows = {}
    draft = replace(PLAYED, emits=False)
    made = begun(rows, version(1, draft), sent(0, 7, 0, "play"))
    assert sizes(made) == {}
    deliver(rows, made.rollout.switch(version(2, PLAYED)))
    assert message_ids(rows, made) == ["add played:7@2:0"]
    assert sizes(made) == {"played": 1}
    deliver(rows, made.rollout.switch(version(3, draft)))
    assert message_ids(rows, made) == ["delete played:7@3:0"]
    assert made.audience_sizes() == {}


def test_a_test_that_is_added_changed_and_removed():
    def variants(effects):
        return [
            (m["action"], m["audience_name"], m["variant"])
            for m in (json.loads(value) for _key, value in effects.memberships)
        ]

    rows = {}
    made = begun(rows, version(1, PLAYED), sent(0, 7, 0, "play"))
    deliver(rows, made.rollout.switch(version(2, replace(PLAYED, ab_test=SPLIT))))
    deliver(rows, effects := made.rollout.migrate(9))
    own = decode_row(7, rows[b"7"]).variants["played"]
    assert variants(effects) == [("delete", "PLAYED", None), ("add", f"PLAYED - {own}", own)]
    renamed = AbTest("s", (Variant("B", 5_000), Variant("Rest", 10_000)))
    deliver(rows, made.rollout.switch(version(3, replace(PLAYED, ab_test=renamed))))
    deliver(rows, effects := made.rollout.migrate(9))
    other = {"A": "B", "Control": "Rest"}[own]
    assert variants(effects) == [
        ("delete", f"PLAYED - {own}", own), ("add", f"PLAYED - {other}", other),
    ]  # fmt: skip
    deliver(rows, made.rollout.switch(version(4, PLAYED)))
    deliver(rows, effects := made.rollout.migrate(9))
    assert variants(effects) == [("delete", f"PLAYED - {other}", other), ("add", "PLAYED", None)]
    assert decode_row(7, rows[b"7"]).variants == {}
    assert sizes(made) == {"played": 1}


def test_who_opted_out_joins_nothing():
    rows = {}
    made = begun(rows, version(1, PLAYED), sent(0, 7, 0, "play"))
    out = json.dumps(
        {
            "mpid": 7, "timestamp_unixtime_ms": T + 1,
            "events": [{"event_type": "opt_out", "data": {"is_opted_out": True}}],
        }
    ).encode()  # fmt: skip
    deliver(rows, made.apply([sent(1, 7, 1)._replace(value=out)]))
    deliver(
        rows,
        made.rollout.switch(version(2, replace(PLAYED, name="x"), entry("new", lately("play")))),
    )
    assert swept(rows, made) == []


def test_an_event_migrates_its_row_before_anything_else():
    rows = {}
    made = begun(rows, version(1, PLAYED), sent(0, 7, 0, "play"), sent(1, 8, 0, "play"))
    never = entry("played", has("k", "exists", True, "short"))
    deliver(rows, made.rollout.switch(version(2, never)))
    deliver(rows, effects := made.apply([sent(2, 7, 5, user_attributes={"k": 1})]))
    assert ids(effects) == [
        f"delete played:7:{FAR + 2 - T}:0",
        "add played:7:5:0",
    ]
    assert epoch_of(rows[b"7"]) == 1
    assert message_ids(rows, made) == ["delete played:8@2:0"]


def test_files_take_effect_at_the_partitions_time_and_ordinals_go_on_there():
    rows = {}
    made = begun(rows, version(1, PLAYED, time=0), sent(0, 7, 0, "play"), sent(1, 8, 50, "play"))
    red = entry("played", has("color", "equals", "red", "short"))
    deliver(rows, made.rollout.switch(version(2, red, time=0)))
    assert swept(rows, made) == ["delete played:8:50:1", "delete played:7:50:0"]
    deliver(rows, effects := made.apply([sent(2, 7, 50, user_attributes={"color": "red"})]))
    assert ids(effects) == ["add played:7:50:1"]


def test_due_instants_are_those_of_the_new_definitions():
    rows = {}
    made = begun(rows, version(1, PLAYED), sent(0, 7, 0, "play"), sent(1, 8, 2 * DAY, "play"))
    gone = version(2, PLAYED, home=replace(HOME, lifetime_ms=DAY))
    deliver(rows, made.rollout.switch(gone))
    assert message_ids(rows, made) == ["delete played:7@2:0"]
    deliver(rows, effects := made.tick(T + 4 * DAY, 10))
    assert ids(effects) == [f"delete played:8:{3 * DAY + 1}:0"]
    assert rows.keys() == {b"~partition", b"~definitions"}


def test_a_shorter_lifetime_ends_who_is_past_it_and_cuts_up_no_life_that_goes_on():
    short = replace(HOME, lifetime_ms=2 * DAY)
    wide = Window(oldest=20 * DAY)
    often = entry("often", did("play", workspace="short", window=wide, minimum=2))
    stream = [
        *(sent(0, 7, 0, "play"), sent(1, 8, 0, "play", "play")),
        sent(2, 7, 4 * DAY, "play"),
    ]
    rows = {}
    made = begun(rows, version(1, often), *stream)
    deliver(rows, made.rollout.switch(version(2, often, home=short)))
    # The one past the new lifetime leaves; the other keeps what it did before a gap of four days.
    assert message_ids(rows, made) == ["delete often:8@2:0"]
    assert decode_row(7, rows[b"7"]).members.keys() == {"often"}
    replay = begun({}, version(1, often, home=short), *stream)
    assert sizes(replay) == {"often": 1}
    deliver({}, effects := replay.tick(T + 4 * DAY, 10))
    assert [one.split(":")[:2] for one in ids(effects)] == [["delete often", "8"]]
    assert sizes(replay) == {}
    # From then on the new lifetime counts.
    deliver(rows, effects := made.tick(T + 7 * DAY, 10))
    assert ids(effects) == [f"delete often:7:{6 * DAY + 1}:0"]
    assert rows.keys() == {b"~partition", b"~definitions"}


def test_a_workspace_that_goes_takes_what_it_knew_with_it():
    both = (SHORT, TRAVEL)
    wide = replace(entry("wide", did("x", minimum=0, maximum=3)), workspaces=("short", "travel"))
    rows = {}
    first = Definitions("1", 1, Account("acme", both, (wide, PLAYED)))
    made = begun(rows, first, sent(0, 7, 0, "play")._replace(headers=(("input", b"shop"),)))
    assert decode_row(7, rows[b"7"]).spaces.keys() == {"short"}
    again = replace(wide, workspaces=("travel",))
    deliver(rows, made.rollout.switch(Definitions("2", FAR, Account("acme", (TRAVEL,), (again,)))))
    assert message_ids(rows, made) == ["delete played:7@0:0", "delete wide:7@0:1"]
    deliver(rows, made.tick(T + 1, 10))
    assert b"7" not in rows


# stages: what has no history yet


def test_an_audience_without_its_history_waits_frozen_and_the_rest_goes_on():
    rows = {}
    made = begun(
        rows,
        version(1, PLAYED, TWICE),
        sent(0, 7, 0, "play", "play"),
        sent(1, 8, 0, "play"),
    )
    bought = entry("twice", All((lately("buy"), lately("play"))))
    new = entry("new", lately("open"))
    follower = entry("follower", member("new"))
    v2 = version(2, bought, new, follower, RED)
    deliver(rows, made.rollout.switch(v2))
    assert len(made.rollout.missing) == 2
    # `played` is gone, `twice` stays as it was, with its own old digest.
    assert sorted(message_ids(rows, made)) == ["delete played:7@2:0", "delete played:8@2:0"]
    deliver(rows, effects := made.apply([sent(2, 8, 1, "buy", "open", "play")]))
    assert ids(effects) == []
    deliver(rows, effects := made.tick(T + 20 * DAY, 10))
    assert ids(effects) == []
    assert sizes(made) == {"twice": 1}
    # The end of the profile, not of a window, is what ends a frozen membership.
    deliver(rows, effects := made.tick(T + 31 * DAY, 10))
    assert ids(effects) == [f"delete twice:7:{30 * DAY + 1}:0"]
    again = made_of(rows, v2)
    assert again.rollout.missing == made.rollout.missing
    assert again.audience_sizes() == made.audience_sizes()


def test_when_the_history_is_in_the_frozen_audiences_are_worked_out():
    rows = {}
    made = begun(rows, version(1, TWICE), sent(0, 7, 0, "play", "play"), sent(1, 8, 0, "play"))
    edited = entry("twice", All((lately("play", minimum=2), lately("buy"))))
    v2 = version(2, edited, PLAYED)
    deliver(rows, made.rollout.switch(v2))
    assert swept(rows, made) == []
    deliver(rows, made.apply([sent(2, 8, 1, "play")]))
    deliver(rows, made.rollout.switch(v2, made.rollout.missing))
    assert made.rollout.missing == frozenset()
    assert sorted(message_ids(rows, made)) == ["delete twice:7@2:0"]
    # What the frozen audience shared with its new definition was kept up meanwhile.
    deliver(rows, effects := made.apply([sent(3, 8, 2, "buy")]))
    assert "add twice:8:2:0" in ids(effects)


def test_a_slot_that_was_let_go_is_missing_when_it_comes_back():
    rows = {}
    made = begun(rows, version(1, PLAYED), sent(0, 7, 0, "play"))
    deliver(rows, made.rollout.switch(version(2, RED)))
    assert sorted(message_ids(rows, made)) == ["delete played:7@2:0"]
    deliver(rows, made.rollout.switch(version(3, PLAYED)))
    assert len(made.rollout.missing) == 1
    assert swept(rows, made) == []
    deliver(rows, made.rollout.switch(version(3, PLAYED), made.rollout.missing))
    # Nothing was read anew here, and the old state did not come back.
    assert swept(rows, made) == []


def test_tiers_that_touch_what_a_criterion_reads_make_its_slot_another():
    def slots(*tiers):
        home = replace(SHORT, event_tiers=tiers)
        return set(version(1, PLAYED, entry("b", lately("buy")), home=home).plan.memories)

    plain = slots()
    one = slots(EventTier(Subject("event", "play"), Tier.PRESERVE))
    assert len(plain & one) == 1
    assert slots(EventTier(Subject("screen_view"), Tier.PRESERVE)) == plain
    assert not slots(EventTier(Subject("event"), Tier.CONNECT)) & plain


# versions that come while rows wait, or that are gone


def test_versions_that_come_while_rows_still_wait():
    rows = {}
    red = {"user_attributes": {"color": "red"}}
    made = begun(
        rows, version(1, PLAYED, RED), *(sent(n, n, 0, "play", **red) for n in range(1, 4))
    )
    deliver(rows, made.rollout.switch(version(2, RED)))
    deliver(rows, made.rollout.migrate(1))
    second = version(3, PLAYED)
    deliver(rows, made.rollout.switch(second))
    again = made_of(rows, second)
    assert len(again.rollout.missing) == 1
    # One was told of `red` alone by now, two of both; `played` was gone before it came back.
    said = sorted(one.rsplit(":", 2)[0] for one in swept(rows, again))
    assert said == [
        *("delete played:1", "delete played:2"),
        *("delete red:1", "delete red:2", "delete red:3"),
    ]
    assert sizes(again) == {}


def test_definitions_that_are_not_to_be_had_any_more_are_left_by_a_switch():
    rows = {}
    begun(rows, version(1, PLAYED, RED), sent(0, 7, 0, "play"))
    made = made_of(rows, version(5, RED))
    assert not made.rollout.is_available
    assert made.rollout.version == "1"
    assert made.rollout.rows_to_migrate() == 1
    deliver(rows, made.rollout.switch(version(5, RED)))
    assert made.rollout.is_available
    assert message_ids(rows, made) == ["delete played:7@5:0"]


def test_the_row_of_definitions_is_read_as_written_and_damage_is_an_error():
    rows = {}
    red = {"user_attributes": {"color": "red"}}
    made = begun(rows, version(1, replace(PLAYED, ab_test=SPLIT)), sent(0, 7, 0, "play", **red))
    deliver(rows, made.rollout.switch(version(2, PLAYED, RED)))
    state = decode_definitions(rows[DEFINITIONS_KEY])
    assert state.past[0].audiences["played"] == InForce(
        "played", "PLAYED", ("short",), True, "d1", state.catalog.audiences["played"].meaning, SPLIT
    )
    assert encode_definitions(state) == rows[DEFINITIONS_KEY]
    for damaged in (b"\x02", b"\x02xx", rows[DEFINITIONS_KEY][:-9]):
        with pytest.raises(OutsideError, match="damaged"):
            decode_definitions(damaged)
    with pytest.raises(OutsideError, match="version 9"):
        decode_definitions(b"\x09")


# keys that are gathered while rows are written


def test_rows_that_are_made_changed_or_removed_while_keys_are_gathered(gathered_one_by_one):
    rows = {}
    red = {"user_attributes": {"color": "red"}}
    made = begun(
        rows,
        version(1, RED, home=replace(HOME, lifetime_ms=10 * DAY)),
        sent(0, 4, 0, "play", **red),
        *(sent(n, n, 5 * DAY, "play", **red) for n in (1, 2, 3)),
    )
    edited = entry("red", has("color", "equals", "blue", "short"))
    deliver(rows, made.rollout.switch(version(2, edited, home=replace(HOME, lifetime_ms=10 * DAY))))
    deliver(rows, effects := made.rollout.migrate(1))
    said = ids(effects)
    # One ends before its turn, one is loaded, one is new, and one says what it says twice.
    deliver(rows, effects := made.tick(T + 10 * DAY + 1, 10))
    said += ids(effects)
    blue = {"user_attributes": {"color": "blue"}}
    later = [sent(4, 3, 11 * DAY, **blue), sent(5, 5, 11 * DAY, **blue)]
    for record in later:
        deliver(rows, effects := made.apply([record]))
        said += ids(effects)
    said += swept(rows, made)
    told_of = sorted(one.split(":")[0] + ":" + one.split(":")[1] for one in said)
    assert told_of == [
        *("add red:3", "add red:5"),
        *("delete red:1", "delete red:2", "delete red:3", "delete red:4"),
    ]
    assert decode_definitions(rows[DEFINITIONS_KEY]).past == {}


def test_a_crash_between_two_pieces_goes_on_with_the_rows_that_are_left(gathered_one_by_one):
    rows = {}
    red = {"user_attributes": {"color": "red"}}
    made = begun(rows, version(1, RED), *(sent(n, n, 0, **red) for n in range(6)))
    v2 = version(2, entry("red", has("color", "equals", "blue", "short")))
    deliver(rows, made.rollout.switch(v2))
    said = []
    for _ in range(2):
        deliver(rows, effects := made.rollout.migrate(1))
        said += ids(effects)
    made.rollout.migrate(1)  # its effects are lost
    again = made_of(rows, v2)
    assert again.rollout.rows_to_migrate() == 6
    said += swept(rows, again)
    assert sorted(said) == sorted(f"delete red:{n}:{FAR + 2 - T}:0" for n in range(6))
    assert sizes(again) == {}


def test_what_was_prepared_serves_though_all_rows_were_swept_meanwhile():
    def lived(*, is_prepared):
        rows = {}
        red = {"user_attributes": {"color": "red"}}
        made = begun(rows, version(1, RED, PLAYED), *(sent(n, n, 0, "play", **red) for n in (1, 2)))
        deliver(
            rows, made.rollout.switch(version(2, entry("red", has("c", "exists", True, "short"))))
        )
        third = version(3, RED, PLAYED)
        if is_prepared:
            made.rollout.prepare(third)()
            assert made.rollout.prepare(third) is None
        said = swept(rows, made)
        assert (made.rollout.prepare(third) is None) == is_prepared
        deliver(rows, made.rollout.switch(third))
        return said + swept(rows, made), rows

    assert lived(is_prepared=True) == lived(is_prepared=False)


def test_definitions_that_come_to_be_known_after_the_restore_are_recalled():
    rows = {}
    red = {"user_attributes": {"color": "red"}}
    made = begun(rows, version(1, RED), sent(0, 7, 0, **red), sent(1, 8, 0, **red))
    v2 = version(2, entry("red", has("color", "equals", "blue", "short")))
    deliver(rows, made.rollout.switch(v2))
    known = {}
    late = ProfileProcessor(version(1, RED), "cdp.events", 0, known=known.get)
    late.restore(rows)
    assert (late.rollout.is_available, late.rollout.recall(), late.audience_sizes()) == (
        False,
        False,
        None,
    )
    known["2"] = v2
    assert late.rollout.recall()
    assert sizes(late) == {"red": 2}
    assert sorted(message_ids(rows, late)) == ["delete red:7@2:0", "delete red:8@2:0"]
    assert sizes(late) == {}


# a crash anywhere

NAMES = st.sampled_from(["play", "buy", "open"])
COLORS = st.sampled_from(["red", "blue", None])
SECOND = (
    PLAYED,
    entry("twice", has("color", "equals", "red", "short")),
    entry("red", All((has("color", "equals", "blue", "short"), lately("play"))), ab_test=SPLIT),
)
THIRD = (TWICE, replace(PLAYED, emits=False), RED)


@st.composite
def streams(draw):
    records, at = [], 0
    for offset in range(draw(st.integers(2, 12))):
        at += draw(st.sampled_from([0, 1, DAY, 5 * DAY, 5 * DAY + 1, 31 * DAY]))
        color = draw(COLORS)
        more = {"user_attributes": {"color": color}} if color else {}
        names = draw(st.lists(NAMES, max_size=2))
        records.append(sent(offset, draw(st.integers(1, 3)), at, *names, **more))
    return records


def lived(records, switches, *, at_least_once=False, crash=None):
    """Records, ticks, switches and slices of sweeps in turn; `crash` is the write that is lost
    once, at-least-once with what it said standing.
    """
    rows, said, write = {}, [], 0
    versions = [
        version(number, *audiences)
        for number, audiences in enumerate(((PLAYED, TWICE, RED), SECOND, THIRD), start=1)
    ]
    made = made_of(rows, versions[0])
    deliver(rows, made.rollout.switch(versions[0]))

    def did(effects):
        nonlocal write, made
        write += 1
        if write != crash:
            deliver(rows, effects)
            said.extend(ids(effects))
            return True
        if at_least_once:
            said.extend(ids(effects))
        made = made_of(rows, *versions[::-1])
        return False

    while True:
        place = made.position + 1
        wanted = sum(place >= switch for switch in switches)
        due = made.next_due()
        if due is not None and due <= made.time:
            if did(made.mark_time(made.time)):
                did(made.tick(made.time, 1))
        elif int(made.rollout.version) < wanted + 1:
            did(made.rollout.switch(versions[int(made.rollout.version)]))
        elif made.rollout.rows_to_migrate() and (place % 2 or place >= len(records)):
            did(made.rollout.migrate(1))
            if place < len(records):
                did(made.apply([records[made.position + 1]]))
        elif place < len(records):
            did(made.apply([records[place]]))
        else:
            return said, rows


@pytest.fixture
def gathered_one_by_one(monkeypatch):
    """Rows are written, and crashes come, between any two keys that are gathered."""
    monkeypatch.setattr(migration_queue, "_GATHERED_AT_ONCE", 1)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=streams(),
    switches=st.lists(st.integers(0, 12), min_size=2, max_size=2).map(sorted),
    crash=st.integers(1, 40),
    at_least_once=st.booleans(),
)
def test_a_crash_anywhere_says_the_same_with_the_same_message_ids(
    gathered_one_by_one, records, switches, crash, at_least_once
):
    switches = [min(switch, len(records)) for switch in switches]
    said, rows = lived(records, switches)
    again, same = lived(records, switches, crash=crash, at_least_once=at_least_once)
    once = list(dict.fromkeys(again))
    assert at_least_once or once == again
    by_profile = lambda ids: sorted(ids, key=lambda one: one.split(":")[1])  # noqa: E731
    assert by_profile(once) == by_profile(said)
    ends = [
        {
            key: (decode_row(1, value).members, decode_row(1, value).variants)
            for key, value in kept.items()
            if key[:1] != b"~"
        }
        for kept in (rows, same)
    ]
    assert ends[0] == ends[1]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=streams(), switches=st.lists(st.integers(0, 12), min_size=2, max_size=2).map(sorted))
def test_the_changes_of_a_profile_and_audience_alternate(gathered_one_by_one, records, switches):
    switches = [min(switch, len(records)) for switch in switches]
    said, _rows = lived(records, switches)
    assert len(said) == len({one.split(" ")[1] for one in said})
    held = {}
    for one in said:
        action, name = one.split(" ")[0], one.split(" ")[1].rsplit(":", 2)[0]
        assert held.get(name, "delete") != action
        held[name] = action
