"""What one input partition decides: records and time to effects, and again after a crash."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_stream.core.model.row import SIZE_LIMIT
from cdp_stream.errors import OutsideError
from cdp_stream.formats.rows import (
    PartitionState,
    as_moved,
    decode_partition,
    decode_row,
    encode_partition,
)
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import META_ROW
from cdp_stream.partition.processor import ProfileProcessor
from tests.core.accounts import DAY, SHORT, audience, did, plan_of
from tests.partition.records import (
    Sent,
    T,
    deliver,
    ids,
    late,
    marker,
    processor,
    sent,
)


def test_records_become_changes_state_and_rows():
    effects = processor({}).apply([sent(4, 7, 0, "play"), sent(5, -8, 1, "buy")])
    assert ids(effects) == ["add played:7:0:0", "add not-bought:7:0:1"]
    assert [key for key, _value in effects.memberships] == [b"7", b"7"]
    assert effects.state == [
        (b"played:7", effects.memberships[0][1]),
        (b"not-bought:7", effects.memberships[1][1]),
    ]
    assert list(effects.rows) == [b"7", b"-8", META_ROW]
    assert decode_partition(effects.rows[META_ROW]) == (T + 1, 5)
    assert effects.events == 2
    assert effects.changes == {("played", "add"): 1, ("not-bought", "add"): 1}
    assert effects.rejected == []


def test_the_state_of_a_call_is_its_last_word():
    effects = processor({}).apply([sent(0, 7, 0, "play"), sent(1, 7, 4 * DAY)])
    assert ids(effects) == [
        "add played:7:0:0",
        "add not-bought:7:0:1",
        f"delete played:7:{3 * DAY + 1}:0",
    ]
    assert dict(effects.state)[b"played:7"] is None
    assert effects.changes[("played", "delete")] == 1


def test_a_bad_record_is_rejected_as_it_came_and_moves_the_position_but_no_time():
    made = processor({})
    made.apply([sent(0, 7, 0, "play")])
    bad = Sent(b"7", b"{", (), T + DAY, 1)
    effects = made.apply([bad])
    ((key, value, headers),) = effects.rejected
    assert (key, value) == (b"7", b"{")
    assert dict(headers)["reason"] == b"not_json"
    assert (dict(headers)["partition"], dict(headers)["offset"]) == (b"0", b"1")
    assert (made.time, made.position) == (T, 1)
    assert list(effects.rows) == [META_ROW]


def test_what_a_full_profile_refuses_is_rejected():
    made = processor({})
    notes = {f"k{number}": "x" * 4_000 for number in range(30)}
    records = []
    for offset in range(5):
        attributes = {f"{offset}{key}": value for key, value in notes.items()}
        records.append(sent(offset, 7, 0, user_attributes=attributes))
    effects = made.apply(records)
    ((_key, value, headers),) = effects.rejected
    assert value == records[4].value
    assert dict(headers)["reason"] == b"profile_too_large"
    assert len(effects.rows[b"7"]) <= SIZE_LIMIT


def test_a_marker_moves_time_and_touches_no_row():
    made = processor({})
    effects = made.apply([sent(0, 7, 0, "play"), marker(1, DAY)])
    assert (made.time, made.position) == (T + DAY, 1)
    assert list(effects.rows) == [b"7", META_ROW]
    made.apply([marker(2, 5)])
    assert (made.time, made.position) == (T + DAY, 2)


def test_a_marker_from_the_future_is_rejected_and_moves_nothing():
    made = processor({})
    far = marker(1, DAY)._replace(timestamp=T)
    effects = made.apply([sent(0, 7, 0, "play"), far])
    assert (made.time, made.position) == (T, 1)
    ((key, value, headers),) = effects.rejected
    assert (key, value) == (None, b"")
    assert dict(headers)["reason"] == b"future_time"


def test_what_is_ahead_of_the_clock_moves_no_time_and_makes_nobody_late():
    """On a broker that takes any timestamp, a record may come from 2126."""
    rows, far = {}, 100 * 365 * DAY
    made = processor(rows)
    erasure = Sent(b"9", b"", (("erase", b""),), T + far, 3)
    records = [sent(0, 7, 0, "play"), sent(1, 8, far, "play"), marker(2, far), erasure]
    effects = made.apply(records, T + HOUR)
    deliver(rows, effects)
    assert (made.time, made.position, effects.future_records) == (T, 3, 3)
    # It was its own profile's event, and that one's alone.
    assert "add played:8" in " ".join(ids(effects))
    follows = made.apply([sent(4, 7, HOUR, "play"), sent(5, 9, HOUR + 1, "play")], T + HOUR + 1)
    assert f"add twice:7:{HOUR}:0" in ids(follows)
    assert f"add played:9:{HOUR + 1}:0" in ids(follows)
    assert (made.time, follows.future_records) == (T + HOUR + 1, 0)
    # A backlog, and the clock of streams, take what comes.
    assert processor({}).apply(records).future_records == 0


def test_times_before_2000_are_counted_by_input():
    made = processor({})
    seconds = late(0, 7, 0, (T // 1000) - T, 0, 946_684_799_999 - T, 946_684_800_000 - T)
    nothing = sent(1, 8, T // 1000 - T)
    effects = made.apply([seconds, nothing, sent(2, 9, 1, "play")])
    assert effects.implausible == {"shop": 3}
    assert effects.events == 5
    assert made.time == T + 1


def test_time_moves_with_the_greatest_arrival_and_never_back():
    made = processor({})
    made.apply([sent(0, 7, 10, "play"), sent(1, 8, 5, "play")])
    assert made.time == T + 10
    effects = made.mark_time(T + 20)
    assert list(effects.rows) == [META_ROW]
    assert decode_partition(effects.rows[META_ROW]) == (T + 20, 1)
    made.mark_time(T + 15)
    assert made.time == T + 20


def test_no_record_is_no_change_of_position():
    made = processor({})
    assert list(made.apply([]).rows) == [META_ROW]
    assert made.position == -1


def test_a_tick_fires_what_is_due_and_forgets_profiles_that_ended():
    rows = {}
    made = processor(rows)
    assert made.next_due() is None
    deliver(rows, made.apply([sent(0, 7, 0, "play")]))
    assert made.next_due() == T + 3 * DAY + 1
    assert made.due_waiting() == 1
    deliver(rows, effects := made.tick(T + 4 * DAY, 10))
    assert ids(effects) == [f"delete played:7:{3 * DAY + 1}:0"]
    assert not effects.more
    deliver(rows, effects := made.tick(T + 11 * DAY, 10))
    assert ids(effects) == [f"delete not-bought:7:{10 * DAY + 1}:0"]
    assert effects.rows[b"7"] is None
    assert list(rows) == [META_ROW]
    assert made.next_due() is None


def test_a_profile_forgotten_by_a_tick_is_not_woken_again_by_its_older_entries():
    rows = {}
    made = processor(rows)
    deliver(rows, made.apply([sent(0, 7, 0, "other")]))
    deliver(rows, made.apply([sent(1, 7, 1, "play")]))
    assert made.due_waiting() == 2
    effects = made.tick(T + 30 * DAY, 10)
    assert ids(effects) == [
        f"delete played:7:{3 * DAY + 2}:0",
        f"delete not-bought:7:{10 * DAY + 2}:0",
    ]


def test_a_row_that_is_merely_early_is_not_written():
    rows = {}
    made = processor(rows)
    deliver(rows, made.apply([sent(0, 7, 0, "play"), sent(1, 7, DAY, "x"), sent(2, 7, 2, "play")]))
    made.tick(T + 3 * DAY + 1, 10)
    deliver(rows, made.apply([sent(3, 8, 0, "play")]))
    effects = made.tick(T + 3 * DAY + 3, 10)
    assert ids(effects) == [
        f"delete played:8:{3 * DAY + 1}:0",
        f"delete played:7:{3 * DAY + 3}:0",
    ]


def test_an_early_row_that_was_let_go_still_wakes_in_time_for_a_late_event():
    rows = {}
    made = processor(rows, rows_kept=1)
    deliver(rows, made.apply([sent(0, 7, 0, "play"), sent(1, 7, DAY, "play")]))
    deliver(rows, made.tick(T + 3 * DAY + 1, 10))
    deliver(rows, made.apply([sent(2, 8, 3 * DAY + 2, "x")]))
    deliver(rows, made.apply([sent(3, 7, 36 * HOUR, "buy")]))
    effects = made.tick(T + 84 * HOUR + 1, 10)
    assert ids(effects) == [f"add not-bought:7:{84 * HOUR + 1}:0"]


def test_what_was_due_fires_before_a_late_event_with_or_without_a_tick_between():
    first = sent(0, 7, 0, "play")
    others = sent(1, 8, 4 * DAY)
    after = late(2, 7, 4 * DAY, 2 * DAY)
    at_once = processor({})
    together = ids(at_once.apply([first, others, after]))
    ticked = processor({})
    between = ids(ticked.apply([first, others])) + ids(ticked.tick(T + 4 * DAY, 100))
    between += ids(ticked.apply([after]))
    assert f"delete played:7:{3 * DAY + 1}:0" in together
    assert f"add played:7:{3 * DAY + 1}:1" in together
    assert sorted(together) == sorted(between)


END = 10 * DAY + 1


def delivering(rows, said):
    """Delivers effects, and notes the ids of their changes."""

    def deliver_and_note(effects):
        said.extend(ids(effects))
        deliver(rows, effects)

    return deliver_and_note


def test_a_late_batch_brings_no_life_that_ended_before_live_time():
    rows, said = {}, []
    made, do = processor(rows), delivering(rows, said)
    do(made.apply([sent(0, 7, 0, "play"), sent(1, 7, 100)]))
    do(made.apply([sent(2, 8, END + 101)]))
    do(made.tick(made.time, 100))
    assert b"7" not in rows
    # Its delete would have the id of the one before.
    do(made.apply([late(3, 7, END + 102, 100), late(4, 7, END + 102, 50, 100)]))
    assert b"7" not in rows
    assert len(said) == len(set(said)) == 5
    # One that is alive still is a new profile's.
    do(made.apply([late(5, 7, END + 103, 103)]))
    assert said[5:] == ["add played:7:103:0", "add not-bought:7:103:1"]
    assert b"7" in rows


def test_a_profile_that_is_forgotten_by_the_late_batch_itself_leaves_its_row():
    rows = {}
    made = processor(rows)
    deliver(rows, made.apply([sent(0, 7, 0, "play"), sent(1, 8, END + 1)]))
    effects = made.apply([late(2, 7, END + 2, 0), late(3, 7, END + 2, 0)])
    deliver(rows, effects)
    assert ids(effects) == [
        f"delete played:7:{3 * DAY + 1}:0",
        f"delete not-bought:7:{END}:0",
    ]
    assert b"7" not in rows


def test_of_a_late_batch_only_what_outlives_live_time_is_emitted():
    rows, said = {}, []
    made, do = processor(rows), delivering(rows, said)
    do(made.apply([sent(0, 7, 0, "play"), sent(1, 7, 100), sent(2, 8, END + 101)]))
    do(made.tick(made.time, 100))
    assert b"7" not in rows
    del said[:]
    # What the batch says of the profile takes effect at 50, in a life that is over.
    queue = late(3, 7, END + 102, 50, 100, END + 102)
    queue = queue._replace(value=queue.value[:-1] + b', "user_attributes": {"k": 1}}')
    do(made.apply([queue]))
    assert said == [f"add played:7:{END + 102}:0", f"add not-bought:7:{END + 102}:1"]
    assert decode_row(7, rows[b"7"]).spaces["short"].attributes == {}


@pytest.mark.parametrize(
    ("times", "told_from"),
    [
        # A life that goes on began with the first event that is no longer than a lifetime before
        # the next one.
        ((0, 10 * DAY, 20 * DAY), 0),
        ((0, 10 * DAY + 1, 20 * DAY), 10 * DAY + 1),
        ((0, 1, 10 * DAY + 2, 20 * DAY), 10 * DAY + 2),
        # It ends at live time exactly, or a moment later.
        ((0, 15 * DAY - 1, 25 * DAY), 25 * DAY),
        ((0, 15 * DAY, 25 * DAY), 15 * DAY),
        ((0, 15 * DAY), 15 * DAY),
    ],
)
def test_a_life_that_outlives_live_time_is_emitted_from_its_first_event(times, told_from):
    made = processor({})
    made.apply([sent(0, 8, 25 * DAY)])
    changes = ids(made.apply([late(1, 7, 25 * DAY + 1, *times)]))
    assert changes[0].split(":")[2] == str(told_from)
    assert len(changes) == len(set(changes))


def test_ordinals_go_on_in_the_instant_at_which_a_silent_life_ended():
    made = processor({})
    made.apply([sent(0, 8, 11 * DAY)])
    changes = ids(made.apply([late(1, 7, 11 * DAY + 1, 0, END)]))
    assert changes == [f"add played:7:{END}:1", f"add not-bought:7:{END}:2"]


def test_before_its_first_record_a_partition_has_no_live_time():
    made = processor({})
    effects = made.apply([late(0, 7, 30 * DAY, 0)])
    assert ids(effects) == ["add played:7:0:0", "add not-bought:7:0:1"]
    assert effects.late_batches == 0


def test_a_partition_that_received_profiles_has_live_time_before_its_first_record():
    before = {}
    deliver(before, processor(before).apply([sent(0, 7, 0, "play"), sent(1, 7, 100)]))
    time = encode_partition(PartitionState(T + END + 102, -1))
    rows = {b"7": as_moved(before[b"7"]), META_ROW: time}
    made = processor(rows)
    assert made.position == -1
    effects = made.tick(made.time, 100)
    assert f"delete not-bought:7:{END + 100}:0" in ids(effects)
    deliver(rows, effects)
    effects = made.apply([late(0, 7, END + 103, 50, 100)])
    assert ids(effects) == []
    assert (effects.late_batches, effects.events) == (1, 0)


def test_records_that_a_row_has_already_only_move_time():
    rows = {}
    made = processor(rows)
    effects = made.apply([sent(0, 7, 0, "play"), sent(1, 8, DAY, "play")])
    rows[b"8"] = effects.rows[b"8"]
    again = processor(rows)
    assert again.position == -1
    effects = again.apply([sent(0, 7, 0, "play"), sent(1, 8, DAY, "play")])
    assert ids(effects) == ["add played:7:0:0", "add not-bought:7:0:1"]
    assert again.time == T + DAY
    assert decode_row(8, rows[b"8"]).position == 1


def test_a_damaged_row_is_found_at_once():
    with pytest.raises(OutsideError, match="damaged"):
        processor({b"7": b"\x01"})


def test_rows_restored_again_leave_nothing_of_those_before():
    made = processor({})
    made.apply([sent(5, 7, 0, "play")])
    made.restore({})
    assert (made.time, made.position, made.next_due()) == (-1, -1, None)


HOUR = 3_600_000

# the same under any cut, slice and memory

NAMES = st.sampled_from(["play", "play", "buy", "x"])
STEP = st.sampled_from([0, 1, 1000, DAY, DAY, 3 * DAY, 3 * DAY + 1, 5 * DAY, 10 * DAY + 1])
LATE = st.sampled_from([0, 0, 0, 1, DAY])


@st.composite
def streams(draw):
    """Records of three profiles in order of arrival, some of them of late events."""
    records, at = [], 0
    for offset in range(draw(st.integers(1, 14))):
        at += draw(STEP)
        mpid = draw(st.integers(1, 3))
        record = sent(offset, mpid, at, *draw(st.lists(NAMES, max_size=2)))
        whole = json.loads(record.value)
        for event in whole["events"]:
            event["data"]["timestamp_unixtime_ms"] = T + at - draw(LATE)
        records.append(record._replace(value=json.dumps(whole).encode()))
    return records


def lived(records, *, rows_kept=100_000, limit=1_000, crash=None):
    """Each record and then every tick it is time for; `crash` is the write that is lost once.

    Gives the message ids in order, and the rows at the end.
    """
    rows, said, write = {}, [], 0
    made = processor(rows, rows_kept)
    place = 0
    while place < len(records):
        effects = made.apply([records[place]])
        place += 1
        while True:
            said += ids(effects)
            write += 1
            if write == crash:
                del said[len(said) - len(ids(effects)) :]
                made = processor(rows, rows_kept)
                place = made.position + 1
            else:
                deliver(rows, effects)
            due = made.next_due()
            if due is None or due > made.time:
                break
            deliver(rows, made.mark_time(made.time))
            effects = made.tick(made.time, limit)
    return said, rows


@settings(max_examples=40)
@given(records=streams(), crash=st.integers(1, 25))
def test_a_restart_from_the_delivered_rows_says_and_keeps_the_same(records, crash):
    assert lived(records, crash=crash) == lived(records)


@settings(max_examples=40)
@given(records=streams())
def test_ticks_in_slices_equal_one_big_tick(records):
    said, rows = lived(records, limit=1)
    whole, same_rows = lived(records)
    assert said == whole
    assert rows == same_rows


@settings(max_examples=40)
@given(records=streams())
def test_however_few_rows_are_kept_decoded_the_effects_are_the_same(records):
    said, rows = lived(records, rows_kept=1)
    whole, same_rows = lived(records)
    assert said == whole
    assert {
        key: decode_row(1, value).members for key, value in rows.items() if key != META_ROW
    } == {key: decode_row(1, value).members for key, value in same_rows.items() if key != META_ROW}


def test_a_processor_is_made_for_one_topic_and_partition():
    account = plan_of(
        audience("a", did(workspace="short"), workspace="short"), workspaces=(SHORT,)
    ).account
    made = ProfileProcessor(Definitions("1", 0, account), "t", 3)
    effects = made.apply([Sent(b"7", b"{", (), T, 9)])
    headers = dict(effects.rejected[0][2])
    assert (headers["topic"], headers["partition"], headers["offset"]) == (b"t", b"3", b"9")


def test_audience_sizes_follow_changes_and_are_counted_again_after_a_restart():
    rows = {}
    made = processor(rows)
    assert set(made.audience_sizes().values()) == {0}
    deliver(rows, made.apply([sent(0, 7, 0, "play"), sent(1, -8, 1, "buy")]))
    assert made.audience_sizes() == {
        **dict.fromkeys(made.audience_sizes(), 0),
        "played": 1,
        "not-bought": 1,
    }
    assert processor(rows).audience_sizes() == made.audience_sizes()
    deliver(rows, made.tick(T + 4 * DAY, 10))
    assert made.audience_sizes()["played"] == 0
    assert processor(rows).audience_sizes() == made.audience_sizes()
