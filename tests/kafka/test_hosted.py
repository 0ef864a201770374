"""What a slice of waiting records holds."""

from collections import namedtuple

import pytest

from cdp_stream.kafka.clients.chunk import Chunk
from cdp_stream.kafka.runtime.record_queue import BACKLOG_SLICE, SLICE, HostedPartition
from cdp_stream.partition.memory_budget import MemoryBudget
from tests.kafka.counting import CountingProcessor

Record = namedtuple("Record", "offset key value headers timestamp")


def record(offset, *, marker=False):
    if marker:
        return Record(offset, None, b"", [("time", b"5")], 0)
    return Record(offset, None if offset % 7 == 0 else b"k", b"", [], 0)


def partition(*chunks, markers=()):
    hosted = HostedPartition(0, CountingProcessor(0), None, MemoryBudget())
    for offsets in chunks:
        chunk = Chunk([record(offset, marker=offset in markers) for offset in offsets], 0)
        hosted.add(chunk)
    return hosted


def taken(*chunks, markers=(), applied=-1):
    hosted = partition(*chunks, markers=markers)
    hosted.applied = applied
    left = [offset for offsets in chunks for offset in offsets]
    slices = []
    while hosted.count:
        slices.append([record.offset for record in hosted.take_slice()])
        hosted.applied = max([hosted.applied, *slices[-1]])
        assert hosted.count == len([offset for offset in left if offset > hosted.applied])
    assert hosted.size == 0
    return slices


def test_what_waits_is_counted_in_bytes_keys_and_headers_included():
    big, small = b"x" * 1_000, Record(0, b"k", b"v", [], 0)
    for record in (small._replace(key=big), small._replace(value=big)):
        assert 1_000 < Chunk([record], 0).size < 1_500
    assert (
        2_000 < Chunk([small._replace(headers=[("x" * 1_000, big), ("y", None)])], 0).size < 2_500
    )
    hosted = HostedPartition(0, CountingProcessor(0), None, MemoryBudget())
    empty = small._replace(key=None, value=None)
    hosted.add(Chunk([empty._replace(offset=offset) for offset in range(10_000)], 0))
    assert hosted.size > 1_000_000


def test_what_was_not_applied_of_a_slice_is_the_next_slice():
    hosted = partition(range(8), markers={7})
    first = hosted.take_slice()
    hosted.put_back(first[3:])
    assert hosted.count == 5
    assert [record.offset for record in hosted.take_slice()] == [3, 4, 5, 6, 7]
    assert (hosted.count, hosted.take_slice()) == (0, [])
    hosted.put_back(first[6:])
    hosted.clear()
    assert (hosted.count, hosted.take_slice()) == (0, [])


def test_slices_are_cut_across_chunks():
    assert taken(range(SLICE - 10), range(SLICE - 10, SLICE + 30)) == [
        list(range(SLICE)),
        list(range(SLICE, SLICE + 30)),
    ]


def test_slices_are_larger_while_many_records_wait():
    lengths = [len(offsets) for offsets in taken(range(20_000))]
    assert sum(lengths) == 20_000
    assert lengths[0] == BACKLOG_SLICE
    assert lengths[-1] == SLICE
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize(
    ("markers", "slices"),
    [
        ({3}, [[0, 1, 2, 3], [4, 5, 6, 7, 8]]),
        ({0, 1}, [[0], [1], [2, 3, 4, 5, 6, 7, 8]]),
        ({4}, [[0, 1, 2, 3, 4], [5, 6, 7, 8]]),
        ({5, 8}, [[0, 1, 2, 3, 4, 5], [6, 7, 8]]),
    ],
)
def test_a_time_marker_ends_its_slice(markers, slices):
    assert taken(range(5), range(5, 9), markers=markers) == slices


@pytest.mark.parametrize("applied", [2, 4, 6])
def test_what_was_applied_is_left_out_markers_included(applied):
    assert taken(range(5), range(5, 9), markers={1}, applied=applied) == [
        list(range(applied + 1, 9))
    ]


def test_nothing_is_taken_when_all_was_applied():
    assert taken(range(5), applied=9) == [[]]
