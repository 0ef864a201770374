"""What a slice of waiting records holds."""

from collections import namedtuple

import pytest

from cdp_stream.kafka.faust_adapter.consumer import Chunk
from cdp_stream.kafka.runtime.record_queue import BACKLOG_SLICE, SLICE, RecordQueue
from cdp_stream.partition.room import Room

Record = namedtuple("Record", "offset key value headers timestamp")


def record(offset, *, marker=False):
    if marker:
        return Record(offset, None, b"", [("time", b"5")], 0)
    return Record(offset, None if offset % 7 == 0 else b"k", b"", [], 0)


def queue(*chunks, markers=()):
    made = RecordQueue(Room())
    for offsets in chunks:
        made.add(Chunk([record(offset, marker=offset in markers) for offset in offsets], 0))
    return made


def slices(waiting, *, applied=-1):
    """The offsets of all slices, each of which is applied."""
    found = []
    while len(waiting):
        before = len(waiting)
        found.append([record.offset for record in waiting.next_slice(applied)])
        assert len(waiting) <= before - len(found[-1])
        applied = max([applied, *found[-1]])
    assert waiting.size == 0
    return found


def test_what_waits_is_counted_in_bytes_keys_and_headers_included():
    big, small = b"x" * 1_000, Record(0, b"k", b"v", [], 0)
    for record in (small._replace(key=big), small._replace(value=big)):
        assert 1_000 < Chunk([record], 0).size < 1_500
    assert (
        2_000 < Chunk([small._replace(headers=[("x" * 1_000, big), ("y", None)])], 0).size < 2_500
    )
    waiting = RecordQueue(Room())
    empty = small._replace(key=None, value=None)
    waiting.add(Chunk([empty._replace(offset=offset) for offset in range(10_000)], 0))
    assert waiting.size > 1_000_000


def test_a_queue_that_takes_more_than_its_share_is_full_until_half_of_that_is_gone():
    room = Room(20_000)
    waiting, other = RecordQueue(room), RecordQueue(room)
    for offset in range(0, 40, 10):
        assert not waiting.is_over_its_share
        waiting.add(Chunk([record(n) for n in range(offset, offset + 10)], 0))
    waiting.add(Chunk([record(40)], 0))
    assert (waiting.is_over_its_share, other.is_over_its_share) == (True, False)
    while waiting.size > 5_000:
        assert not waiting.is_half_empty
        waiting.put_back(waiting.next_slice(-1)[10:])
    assert waiting.is_half_empty


def test_what_was_not_applied_of_a_slice_is_the_next_slice():
    waiting = queue(range(8), markers={7})
    first = waiting.next_slice(-1)
    waiting.put_back(first[3:])
    assert len(waiting) == 5
    assert [record.offset for record in waiting.next_slice(2)] == [3, 4, 5, 6, 7]
    assert (len(waiting), waiting.next_slice(7)) == (0, [])
    waiting.put_back(first[6:])
    waiting.clear()
    assert (len(waiting), waiting.next_slice(7)) == (0, [])


def test_slices_are_cut_across_chunks():
    waiting = queue(range(SLICE - 10), range(SLICE - 10, SLICE + 30))
    assert slices(waiting) == [list(range(SLICE)), list(range(SLICE, SLICE + 30))]


def test_slices_are_larger_while_many_records_wait():
    lengths = [len(offsets) for offsets in slices(queue(range(20_000)))]
    assert sum(lengths) == 20_000
    assert lengths[0] == BACKLOG_SLICE
    assert lengths[-1] == SLICE
    assert lengths == sorted(lengths, reverse=True)


def test_slices_are_larger_in_a_backlog_however_few_records_wait():
    assert len(queue(range(2_000)).next_slice(-1, is_backlog=True)) == BACKLOG_SLICE


@pytest.mark.parametrize(
    ("markers", "expected"),
    [
        ({3}, [[0, 1, 2, 3], [4, 5, 6, 7, 8]]),
        ({0, 1}, [[0], [1], [2, 3, 4, 5, 6, 7, 8]]),
        ({4}, [[0, 1, 2, 3, 4], [5, 6, 7, 8]]),
        ({5, 8}, [[0, 1, 2, 3, 4, 5], [6, 7, 8]]),
    ],
)
def test_a_time_marker_ends_its_slice(markers, expected):
    assert slices(queue(range(5), range(5, 9), markers=markers)) == expected


@pytest.mark.parametrize("applied", [2, 4, 6])
def test_what_was_applied_is_left_out_markers_included(applied):
    waiting = queue(range(5), range(5, 9), markers={1})
    assert slices(waiting, applied=applied) == [list(range(applied + 1, 9))]


def test_nothing_is_left_when_all_was_applied():
    assert slices(queue(range(5)), applied=9) == [[]]
