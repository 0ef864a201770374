"""What partitions know of their own after a move, and that a row is moved whole."""

from array import array

import pytest

from cdp_stream.core.transition import catalog_of
from cdp_stream.errors import OutsideError
from cdp_stream.formats.definitions_row import (
    DEFINITIONS_KEY,
    PartitionDefinitions,
    encode_definitions,
)
from cdp_stream.formats.rows import (
    MOVED_KEY,
    PARTITION_KEY,
    REPARTITION_KEY,
    PartitionState,
    as_moved,
    decode_partition,
    decode_row,
    encode_partition,
    encode_row,
)
from cdp_stream.partition.backfill import Backfill
from cdp_stream.partition.relocation import (
    COPY,
    REMOVE,
    Marker,
    check_ready,
    is_own,
    own_rows,
    profile_of_membership,
)
from tests.partition.records import plan, processor, sent

MOVE = Marker(2, 4, COPY)


def test_all_partitions_get_the_greatest_time_and_old_ones_keep_their_position():
    own = {
        0: {PARTITION_KEY: encode_partition(PartitionState(50, 7))},
        1: {PARTITION_KEY: encode_partition(PartitionState(90, 3))},
    }
    made = own_rows(own, MOVE)
    states = {number: decode_partition(rows[PARTITION_KEY]) for number, rows in made.items()}
    assert states == {0: (90, 7), 1: (90, 3), 2: (90, -1), 3: (90, -1)}


def test_all_partitions_know_when_their_profiles_came():
    own = {
        0: {PARTITION_KEY: encode_partition(PartitionState(50, 7)), MOVED_KEY: b"20"},
        1: {PARTITION_KEY: encode_partition(PartitionState(90, 3))},
    }
    made = own_rows(own, MOVE)
    assert {rows[MOVED_KEY] for rows in made.values()} == {b"90"}
    assert len(made) == 4


def test_a_backfill_knows_whether_it_reaches_back_to_before_a_move():
    backfill = Backfill(plan().account, plan().memories)
    backfill.restore({}, array("q"), None)
    assert not backfill.reaches_over_move(None)
    backfill.restore({MOVED_KEY: b"90"}, array("q"), None)
    assert [backfill.reaches_over_move(since) for since in (None, 0, 90, 91)] == [
        True, True, True, False,
    ]  # fmt: skip


def test_a_partition_that_was_never_used_gets_the_time_too():
    made = own_rows({0: {PARTITION_KEY: encode_partition(PartitionState(50, 7))}, 1: {}}, MOVE)
    assert decode_partition(made[1][PARTITION_KEY]) == (50, -1)
    assert own_rows({0: {}, 1: {}}, MOVE) == {0: {}, 1: {}, 2: {}, 3: {}}


def test_other_rows_of_their_own_are_given_to_partitions_that_lack_them():
    own = {0: {b"~x": b"0"}, 1: {b"~x": b"1", b"~y": b"1", REPARTITION_KEY: MOVE.encode()}}
    assert own_rows(own, MOVE) == {
        0: {b"~y": b"1"}, 1: {}, 2: {b"~x": b"0", b"~y": b"1"}, 3: {b"~x": b"0", b"~y": b"1"}
    }  # fmt: skip


def test_a_marker_says_how_far_it_has_come_and_another_releases_is_refused():
    marker = MOVE._replace(phase=REMOVE)
    assert Marker.decode(marker.encode()) == marker
    for value in (b"{}", b"x", b'{"before": 1, "after": 2, "phase": "copy", "more": 1}'):
        with pytest.raises(OutsideError, match="another release"):
            Marker.decode(value)


def test_keys_say_whose_they_are():
    assert [is_own(key) for key in (b"~partition", b"-7", b"7")] == [True, False, False]
    assert profile_of_membership(b"journey/milestone:-7") == b"-7"


def test_a_row_is_moved_whole_but_for_its_position_and_its_epoch():
    rows = processor({}).apply([sent(4, 7, 0, "play", user_attributes={"a": [1]})]).rows
    before = decode_row(7, rows[b"7"])
    before.epoch = 3
    row = decode_row(7, as_moved(encode_row(before)))
    assert (row.position, row.epoch) == (-1, 0)
    row.position, row.epoch = 4, 3
    names = (*set(row.__slots__) - {"spaces"},)
    assert [getattr(row, n) for n in names] == [getattr(before, n) for n in names]
    assert row.spaces["short"].attributes == {"a": [1]}


def test_no_worker_starts_on_a_move_that_is_not_finished():
    with pytest.raises(OutsideError, match="not finished"):
        processor({REPARTITION_KEY: MOVE.encode()})


@pytest.mark.parametrize("value", [b"\x01", b"\x01" + bytes(8) + b"\xc1"])
def test_a_damaged_row_is_not_moved(value):
    with pytest.raises(OutsideError, match="damaged"):
        as_moved(value)


def in_force(version, epoch=1, swept=1):
    state = PartitionDefinitions(version, 5, 5, epoch, swept, catalog_of(plan()), {})
    return {DEFINITIONS_KEY: encode_definitions(state)}


def test_partitions_that_have_switched_differently_often_are_ready():
    check_ready({0: in_force("2"), 1: in_force("2", 4, 4), 2: {}})


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ({0: in_force("2"), 1: in_force("3")}, "different definitions"),
        ({0: in_force("2", 2, 1)}, "brought under new definitions"),
        ({0: {b"~backfill": b""}}, "backfill"),
        ({0: {b"~backfill:7": b""}}, "backfill"),
    ],
)
def test_what_is_under_way_comes_to_its_end_first(own, reason):
    with pytest.raises(OutsideError, match=reason):
        check_ready(own)
