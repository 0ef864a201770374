"""What a slice of waiting records holds."""

from collections import namedtuple

import pytest

from cdp_stream.kafka.clients.chunk import Chunk
from cdp_stream.kafka.runtime.record_queue import RecordQueue
from cdp_stream.partition.memory_budget import MemoryBudget

Record = namedtuple("Record", "offset key value headers timestamp")


def record(offset, *, marker=False):
    if marker:
        return Record(offset, None, b"", [("time", b"5")], 0)
    return Record(offset, None if offset % 7 == 0 else b"k", b"", [], 0)


def queue(*chunks, markers=()):
    made = RecordQueue(MemoryBudget())
    for offsets in chunks:
        made.add(Chunk([record(offset, marker=offset in markers) for offset in offsets], 0))
    return made


def is_marker(record):
    return record.headers != []


def slices(*chunks, most=500, markers=(), applied=-1):
    """The offsets of all slices, each of which is applied."""
    waiting = queue(*chunks, markers=markers)
    left = [offset for offsets in chunks for offset in offsets]
    found = []
    while waiting.count:
        records = waiting.take(most, above=applied, ends=is_marker)
        found.append([record.offset for record in records])
        applied = max([applied, *found[-1]])
        assert waiting.count == len([offset for offset in left if offset > applied])
    assert waiting.size == 0
    return found


def test_what_waits_is_counted_in_bytes_keys_and_headers_included():
    big, small = b"x" * 1_000, Record(0, b"k", b"v", [], 0)
    for record in (small._replace(key=big), small._replace(value=big)):
        assert 1_000 < Chunk([record], 0).size < 1_500
    assert (
        2_000 < Chunk([small._replace(headers=[("x" * 1_000, big), ("y", None)])], 0).size < 2_500
    )
    waiting = RecordQueue(MemoryBudget())
    empty = small._replace(key=None, value=None)
    waiting.add(Chunk([empty._replace(offset=offset) for offset in range(10_000)], 0))
    assert waiting.size > 1_000_000


def test_fetching_pauses_above_the_share_of_memory_and_goes_on_at_half_of_it():
    budget = MemoryBudget(20_000)
    waiting, other = RecordQueue(budget), RecordQueue(budget)
    chunks = [Chunk([record(n) for n in range(at, at + 10)], 0) for at in range(0, 60, 10)]
    assert [waiting.add(chunk) for chunk in chunks] == [False] * 3 + [True] + [False] * 2
    assert (waiting.paused, other.paused) == (True, False)
    while waiting.size > 5_000:
        assert not waiting.drained()
        waiting.take(10)
    assert (waiting.drained(), waiting.drained(), waiting.paused) == (True, False, False)


def test_what_was_not_applied_of_a_slice_is_the_next_slice():
    waiting = queue(range(8), markers={7})
    first = waiting.take(500, ends=is_marker)
    waiting.put_back(first[3:])
    assert waiting.count == 5
    rest = waiting.take(500, above=2, ends=is_marker)
    assert [record.offset for record in rest] == [3, 4, 5, 6, 7]
    assert (waiting.count, waiting.take(500)) == (0, [])
    waiting.put_back(first[6:])
    waiting.clear()
    assert (waiting.count, waiting.take(500), waiting.epoch) == (0, [], -1)


def test_slices_are_cut_across_chunks():
    assert slices(range(490), range(490, 530)) == [list(range(500)), list(range(500, 530))]


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
    assert slices(range(5), range(5, 9), markers=markers) == expected


@pytest.mark.parametrize("applied", [2, 4, 6])
def test_what_was_applied_is_left_out_markers_included(applied):
    found = slices(range(5), range(5, 9), markers={1}, applied=applied)
    assert found == [list(range(applied + 1, 9))]


def test_nothing_is_left_when_all_was_applied():
    assert slices(range(5), applied=9) == [[]]
