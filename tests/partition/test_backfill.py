"""A backfill by itself: what it reads, what it writes, what it goes on with, what it hands over."""

from array import array
from dataclasses import replace

import pytest

from cdp_stream.core.model.windows import Window
from cdp_stream.errors import OutsideError
from cdp_stream.formats.backfill_rows import (
    BACKFILL_KEY,
    backfill_key,
    backfilled_mpid,
    decode_backfill,
    encode_backfill,
)
from cdp_stream.formats.rows import decode_row
from cdp_stream.partition.backfill import Backfill
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.partition.placement import placed_in
from tests.core.accounts import DAY
from tests.partition.backfilled import HOME, RED, TWICE, Partition, begun, counted, version
from tests.partition.records import ROW_MEMORY, Sent, T, late, marker, sent

FOUR = counted("four", 4)
BOUGHT = counted("bought", 2, "buy", Window(oldest=20 * DAY))


def test_a_new_audience_waits_and_then_says_who_is_a_member():
    partition = begun(sent(0, 7, 0, "play"), sent(1, 8, 1, "play"), sent(2, 7, 2, "play"))
    assert set(partition.processor.rollout.pending) == {"twice"}
    assert partition.live(sent(3, 9, 3, "play", "play")) == []
    assert sorted(partition.complete()) == ["add twice:7:3:0", "add twice:9:3:0"]
    assert partition.own_rows() == {b"~definitions", b"~partition"}
    assert partition.backfill is None
    assert set(partition.processor.rollout.pending) == set()
    assert partition.live(sent(4, 8, 4, "play")) == ["add twice:8:4:0"]


def test_misplaced_records_are_passed_over_as_they_were_when_they_were_live():
    """Profile 1 is in partition 3 of 4, profile 5 in partition 2."""
    erasure = Sent(b"5", b"", (("erase", b""),), T + 20 * DAY, 2)
    records = [sent(0, 1, 0, "play"), sent(1, 5, DAY, "play", "play"), erasure]
    home = version(2, RED, TWICE)
    read = Backfill(home.account, home.plan.memories, is_placed=placed_in(3, 4))
    read.restore({}, array("q"), None)
    read.begin(0, log_is_shorter=False)
    assert read.apply(records, 2) == 1
    assert read.state.time == T
    assert set(read.save(100, 10**6).rows) == {backfill_key(1), BACKFILL_KEY}


def test_what_is_ahead_of_the_clock_moves_no_time_of_a_backfill_either():
    partition = Partition(version(1, RED), version(2, RED, TWICE))
    far = 36_500 * DAY
    partition.log = [sent(0, 7, 0, "play"), marker(1, far), sent(2, 7, 2, "play")]
    partition.do(partition.processor.apply(partition.log, T + DAY))
    partition.do(partition.processor.rollout.switch(partition.versions[1]))
    partition.do(partition.backfill.begin(0, log_is_shorter=False))
    partition.backfill.apply(partition.log, 2, latest=T + DAY)
    assert partition.backfill.state.time == T + 2
    partition.do(partition.processor.rollout.complete_backfill())
    assert partition.swept() == ["add twice:7:2:0"]


def test_what_live_time_does_after_the_switch_finds_the_history():
    partition = begun(sent(0, 7, 0, "play"), sent(1, 8, 0, "play", "play"))
    partition.read(2)
    partition.do(partition.processor.rollout.complete_backfill())
    # Each row is given its history when it is loaded, before what it is loaded for.
    assert partition.live(sent(2, 7, DAY, "play")) == [f"add twice:7:{DAY}:0"]
    assert partition.live(sent(3, 8, 6 * DAY)) == [
        "add twice:8:0:0", f"delete twice:8:{5 * DAY + 1}:0",
    ]  # fmt: skip
    assert partition.swept() == []


def test_rows_that_were_written_before_a_crash_do_not_count_their_records_again():
    partition = Partition(version(1, RED), version(2, RED, FOUR))
    partition.live(*(sent(number, 7 + number % 3, number, "play") for number in range(9)))
    partition.do(partition.processor.rollout.switch(partition.versions[1]))
    partition.read(5)
    partition.save(1)
    # Two of three rows are not written yet; both have one more record when they are.
    partition.read(4)
    partition.save(1)
    partition.crash()
    assert partition.backfill.position == -1
    assert partition.complete() == []
    assert partition.live(sent(9, 7, 9, "play"), sent(10, 8, 9, "play")) == [
        "add four:7:9:0", "add four:8:9:0",
    ]  # fmt: skip


def test_reading_goes_on_where_the_last_position_was_written():
    partition = begun(*(sent(number, 7, number, "play") for number in range(5)))
    partition.read(3)
    partition.save()
    partition.read(1)
    partition.crash()
    assert partition.backfill.state.position == 2
    assert partition.backfill.state.events == 3
    assert partition.complete() == ["add twice:7:4:0"]


def test_a_version_that_needs_no_more_goes_on_and_another_begins_anew():
    less, other = version(3, RED, counted("pair", 2)), version(4, RED, TWICE, BOUGHT)
    partition = Partition(version(1, RED), version(2, RED, TWICE, FOUR), less, other)
    partition.live(*(sent(number, 7, number, "play", "buy") for number in range(5)))
    partition.do(partition.processor.rollout.switch(partition.versions[1]))
    partition.read(3)
    partition.save()
    partition.do(partition.processor.rollout.switch(less))
    assert set(partition.processor.rollout.pending) == {"pair"}
    assert partition.backfill.position == 2
    partition.do(partition.processor.rollout.switch(other))
    assert partition.backfill is None
    assert partition.swept() == []
    assert partition.backfill.state is None
    assert partition.backfill.lookback_ms == 20 * DAY
    assert sorted(partition.complete()) == ["add bought:7:4:1", "add twice:7:4:0"]
    assert partition.own_rows() == {b"~definitions", b"~partition"}


def test_a_backfill_that_nobody_needs_any_more_is_removed():
    partition = begun(sent(0, 7, 0, "play"), sent(1, 8, 1, "play"))
    partition.read(2)
    partition.save()
    assert backfill_key(7) in partition.rows
    partition.do(partition.processor.rollout.switch(partition.versions[0]))
    assert partition.swept() == []
    assert partition.own_rows() == {b"~definitions", b"~partition"}
    assert partition.processor.rollout.rows_to_migrate() == 0


def test_another_lifetime_begins_anew_for_profiles_may_have_ended():
    other = version(3, RED, TWICE, home=replace(HOME, lifetime_ms=2 * DAY))
    partition = begun(sent(0, 7, 0, "play"))
    partition.versions += (other,)
    partition.crash()
    partition.read(1)
    partition.save()
    partition.do(partition.processor.rollout.switch(other))
    assert partition.backfill is None
    partition.swept()
    assert partition.backfill.state is None


def test_a_profile_that_ended_brings_nothing_into_its_next_life():
    partition = begun(sent(0, 7, 0, "play"), sent(1, 8, 0, "play"), sent(2, 8, 40 * DAY))
    partition.read(3)
    partition.do(partition.processor.tick(T + 40 * DAY, 100))
    assert b"7" not in partition.rows
    partition.do(partition.processor.rollout.complete_backfill())
    # It is new, and its row of the backfill is from the life before.
    assert partition.live(sent(3, 7, 40 * DAY, "play")) == []
    assert partition.live(sent(4, 8, 40 * DAY, "play")) == []
    assert partition.swept() == []
    assert partition.own_rows() == {b"~definitions", b"~partition"}


def test_a_late_batch_brings_no_life_that_ended_before_live_time():
    partition = begun(
        sent(0, 7, 0, "play"),
        sent(1, 8, 31 * DAY),
        late(2, 7, 31 * DAY, 0),
        late(3, 9, 31 * DAY, 0),
    )
    partition.read(4)
    partition.save()
    assert backfill_key(7) not in partition.rows
    assert backfill_key(9) not in partition.rows
    assert backfill_key(8) in partition.rows


def test_of_a_late_batch_with_a_newer_event_a_backfill_keeps_what_live_traffic_keeps():
    partition = begun(
        sent(0, 7, 0, "play"),
        sent(1, 8, 31 * DAY),
        late(2, 7, 31 * DAY + 1, 0, 31 * DAY + 1),
        late(3, 9, 31 * DAY + 1, 2 * DAY, 31 * DAY),
    )
    partition.read(4)
    partition.save()
    seen = {
        mpid: decode_row(mpid, partition.rows[backfill_key(mpid)]).spaces["short"].first_seen - T
        for mpid in (7, 9)
    }
    assert seen == {7: 31 * DAY + 1, 9: 2 * DAY}


def test_a_row_that_began_after_the_switch_is_not_given_older_history_by_a_later_one():
    later = version(3, TWICE)
    partition = begun(sent(0, 7, 0, "play", "play"), sent(1, 8, 0))
    partition.versions += (later,)
    partition.crash()
    partition.live(sent(2, 8, 31 * DAY - 1))
    partition.read(3)
    # As far as live time knows, 7 ended; what was read of it is there still.
    partition.do(partition.processor.tick(T + 31 * DAY, 100))
    assert b"7" not in partition.rows
    partition.do(partition.processor.rollout.complete_backfill())
    assert partition.live(sent(3, 7, 31 * DAY, "play")) == []
    partition.do(partition.processor.rollout.switch(later))
    assert partition.swept() == []


def test_duplicates_count_once_and_bad_records_and_markers_do_no_harm():
    twin = sent(0, 7, 0, "play", source_request_id="r")
    partition = begun(
        twin, twin._replace(offset=1), sent(2, 8, 1)._replace(value=b"{"), marker(3, 5)
    )
    partition.read(4)
    assert partition.backfill.state.time == T + 5
    assert partition.complete() == []


def test_a_lookback_without_an_end_needs_the_whole_log():
    account = version(1, RED, counted("ever", 3, window=Window()), TWICE).account
    slots = version(1, counted("ever", 3, window=Window())).plan.memories
    assert Backfill(account, slots).lookback_ms is None
    assert Backfill(account, version(1, TWICE).plan.memories).lookback_ms == 5 * DAY


def test_rows_are_written_before_the_room_is_full():
    made = Backfill(
        version(1, TWICE).account, version(1, TWICE).plan.memories, MemoryBudget(4 * ROW_MEMORY)
    )
    made.restore({}, array("q"), None)
    made.begin(0, log_is_shorter=False)
    made.apply([sent(0, 7, 0, "play"), sent(1, 8, 0, "play")], 1)
    assert (made.wants_to_save, made.is_full) == (False, False)
    made.apply([sent(2, 9, 0, "play")], 2)
    assert (made.wants_to_save, made.is_full) == (True, False)
    made.apply([sent(3, 10, 0, "play")], 3)
    assert (made.wants_to_save, made.is_full) == (True, True)
    effects = made.save(10, 10**6)
    assert list(effects.rows)[-1] == BACKFILL_KEY
    assert sorted(filter(None, map(backfilled_mpid, effects.rows))) == [7, 8, 9, 10]
    assert (made.wants_to_save, made.is_full) == (False, False)


def test_a_gap_in_the_log_is_noted_once():
    partition = begun(sent(0, 7, 0, "play"))
    partition.read(1)
    assert partition.backfill.note_gap()
    assert not partition.backfill.note_gap()
    partition.save()
    assert decode_backfill(partition.rows[BACKFILL_KEY]).log_is_shorter


def test_a_state_of_another_release_is_refused():
    partition = begun(sent(0, 7, 0, "play"))
    partition.read(1)
    value = encode_backfill(partition.backfill.state)
    assert decode_backfill(value) == partition.backfill.state
    with pytest.raises(OutsideError, match="has version 9"):
        decode_backfill(value[:1] + b"\x09" + value[2:])
    with pytest.raises(OutsideError, match="damaged"):
        decode_backfill(b"\x01")
