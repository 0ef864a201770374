"""What partitions know of their own after a move, and that a row is moved whole."""

import pytest

from cdp_stream.errors import OutsideError
from cdp_stream.formats.moved_row import MOVED_KEY, Move, decode_moves, encode_moves
from cdp_stream.formats.rows import (
    PARTITION_KEY,
    REPARTITION_KEY,
    PartitionState,
    as_moved,
    decode_partition,
    decode_row,
    encode_partition,
    encode_row,
)
from cdp_stream.partition.relocation import (
    BEGIN,
    COPY,
    REMOVE,
    SETTLE,
    Marker,
    begun,
    check_ready,
    connected_outputs,
    is_marked,
    is_own,
    moves_after,
    own_rows,
    profile_of_membership,
    time_of_all,
)
from tests.partition.records import processor, sent
from tests.partition.relocated import in_force

MOVE = Marker(2, 4, COPY)


def test_all_partitions_get_the_greatest_time_and_old_ones_keep_their_position():
    own = {
        0: {PARTITION_KEY: encode_partition(PartitionState(50, 7))},
        1: {PARTITION_KEY: encode_partition(PartitionState(90, 3))},
    }
    made = own_rows(own, MOVE)
    states = {number: decode_partition(rows[PARTITION_KEY]) for number, rows in made.items()}
    assert states == {0: (90, 7), 1: (90, 3), 2: (90, -1), 3: (90, -1)}


SETTLED = Marker(2, 4, SETTLE, 90, (8, 4), (8, 6))
MOVED = Move(90, 2, 4, (8, 4), (8, 6))


def test_all_partitions_record_all_moves_where_the_log_was_cut():
    first = Move(20, 1, 2, (3,), (3,))
    own = {0: {MOVED_KEY: encode_moves((first,))}, 1: {MOVED_KEY: encode_moves((first,))}, 2: {}}
    moves = moves_after(own, SETTLED)
    assert moves == (first, MOVED)
    # Interrupted while they were told, and done again.
    own[0][MOVED_KEY] = own[2][MOVED_KEY] = encode_moves(moves)
    assert moves_after(own, SETTLED) == moves
    assert MOVED_KEY not in {key for rows in own_rows(own, SETTLED).values() for key in rows}


def test_of_a_move_by_an_older_release_only_the_time_is_known():
    own = {0: {PARTITION_KEY: encode_partition(PartitionState(70, 7)), MOVED_KEY: b"20"}, 1: {}}
    assert moves_after(own, SETTLED) == (Move(20), MOVED)
    begun_before = Marker.decode(b'{"before": 2, "after": 4, "phase": "remove"}')
    assert moves_after(own, begun_before) == (Move(20), Move(70))
    assert [move.is_known for move in (Move(20), MOVED)] == [False, True]


def test_the_row_of_moves_is_read_as_it_was_written_and_no_other_is_guessed_at():
    value = encode_moves((Move(20), MOVED))
    assert decode_moves(value) == (Move(20), MOVED)
    assert decode_moves(b"1700000000000") == (Move(1_700_000_000_000),)
    assert decode_moves(None) == ()
    with pytest.raises(OutsideError, match="has version 9"):
        decode_moves(value[:1] + b"\x09" + value[2:])
    for damaged in (b"", b"x", value[:-1]):
        with pytest.raises(OutsideError, match="damaged"):
            decode_moves(damaged)


def test_the_furthest_marker_counts_and_a_move_not_marked_everywhere_is_none():
    marked = {REPARTITION_KEY: MOVE.encode()}
    assert begun({0: {}, 1: {}}) is None
    further = {0: {REPARTITION_KEY: SETTLED.encode()}, 1: marked}
    assert begun(further) == SETTLED
    assert is_marked(further, SETTLED)
    # They go in this order too, and who starts on those without goes on from what they were told.
    assert is_marked({0: {}, 1: {REPARTITION_KEY: SETTLED.encode()}}, SETTLED)
    assert begun({0: marked, 1: {}}) == MOVE
    assert not is_marked({0: marked, 1: {}}, MOVE)
    assert is_marked({0: marked, 1: marked, 2: {}}, MOVE)


def test_a_marker_does_not_count_until_it_is_certain_that_nobody_works():
    first = {REPARTITION_KEY: MOVE._replace(phase=BEGIN).encode()}
    assert not is_marked({0: first, 1: first}, begun({0: first, 1: first}))
    # Nobody worked from the first of these on; the others keep workers from starting as well.
    own = {0: {REPARTITION_KEY: MOVE.encode()}, 1: first}
    assert begun(own) == MOVE
    assert is_marked(own, MOVE)


def test_the_time_of_all_is_the_greatest():
    own = {0: {PARTITION_KEY: encode_partition(PartitionState(50, 7))}, 1: {}}
    assert time_of_all(own) == 50
    assert time_of_all({0: {}, 1: {}}) == -1


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
    for marker in (MOVE._replace(phase=REMOVE), SETTLED):
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


def test_outputs_are_those_that_connections_in_force_lead_to():
    own = {0: in_force("2", outputs=("log", "hook")), 1: in_force("2", outputs=("log",)), 2: {}}
    assert connected_outputs(own) == {"log", "hook"}
