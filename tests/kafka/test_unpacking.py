"""Whole batches unpack to what aiokafka makes of them record by record."""

import struct

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from cdp_stream.kafka.aiokafka_patches.batch_decoding import WholeBatches

TP = TopicPartition("t", 3)
GZIP, CONTROL, TRANSACTIONAL = 1, 0x20, 0x10
ABORT, COMMIT = b"\x00\x00\x00\x00", b"\x00\x00\x00\x01"


def batch(base, records, *, compression=0, attributes=0, producer=-1, last=None) -> bytes:
    """A record batch as a broker sends it; ``last`` is its last offset before compaction."""
    builder = DefaultRecordBatchBuilder(2, compression, 0, producer, 0, 0, 1_000_000)
    for number, (key, value, headers) in enumerate(records):
        builder.append(number, 1_000 + number, key, value, headers)
    made = bytearray(builder.build())
    struct.pack_into(">q", made, 0, base)
    (built,) = struct.unpack_from(">h", made, 21)
    struct.pack_into(">h", made, 21, built | attributes)
    if last is not None:
        struct.pack_into(">i", made, 23, last - base)
    struct.pack_into(">I", made, 17, calc_crc32c(bytes(made[21:])))
    return bytes(made)


def rows(*names) -> list:
    return [(b"k" + name, b"v" + name, []) for name in names]


def stock(data, position, *, aborted=(), isolation=READ_COMMITTED) -> PartitionRecords:
    return PartitionRecords(
        TP, MemoryRecords(data), list(aborted), position, None, None, True, isolation
    )


def told(unpacked) -> tuple:
    records = [
        (r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in iter(unpacked)
    ]  # fmt: skip
    return records, unpacked.next_fetch_offset


ODD = [(None, b"v", []), (b"k", None, []), (b"", b"", [("h", b"1"), ("h", None), ("ö", b"")])]
ABORTED = batch(10, rows(b"a"), attributes=TRANSACTIONAL, producer=7)
OTHER = batch(11, rows(b"b"), attributes=TRANSACTIONAL, producer=8)
ABORT_MARK = batch(12, [(ABORT, b"", [])], attributes=CONTROL | TRANSACTIONAL, producer=7)
COMMIT_MARK = batch(13, [(COMMIT, b"", [])], attributes=CONTROL | TRANSACTIONAL, producer=8)
LATER = batch(14, rows(b"c"), attributes=TRANSACTIONAL, producer=7)
TRANSACTIONS = ABORTED + OTHER + ABORT_MARK + COMMIT_MARK + LATER

CASES = {
    "no batch": (b"", 0, [], []),
    "keys, values and headers": (batch(0, ODD), 0, [], [0, 1, 2]),
    "several batches": (batch(5, ODD) + batch(8, ODD), 5, [], [5, 6, 7, 8, 9, 10]),
    "compressed": (batch(5, ODD, compression=GZIP), 5, [], [5, 6, 7]),
    "from within a batch": (batch(5, ODD) + batch(8, ODD), 7, [], [7, 8, 9, 10]),
    "a batch below the position": (batch(5, ODD) + batch(8, ODD), 8, [], [8, 9, 10]),
    "a compacted tail": (batch(5, ODD, last=20), 5, [], [5, 6, 7]),
    "a batch cut off": (batch(5, ODD) + batch(8, ODD)[:-4], 5, [], [5, 6, 7]),
    "transactions": (TRANSACTIONS, 10, [(7, 10)], [11, 14]),
    "two aborted": (TRANSACTIONS, 10, [(8, 11), (7, 10)], [14]),
    "an aborted one unmarked yet": (ABORTED + OTHER, 10, [(7, 10)], [11]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_records_and_position_come_as_from_aiokafka(case):
    data, position, aborted, offsets = CASES[case]
    found = told(WholeBatches(stock(data, position, aborted=aborted)))
    assert [record[0] for record in found[0]] == offsets
    assert found == told(stock(data, position, aborted=aborted))


def test_uncommitted_reading_leaves_out_only_the_markers():
    found = told(WholeBatches(stock(TRANSACTIONS, 10, isolation=READ_UNCOMMITTED)))
    assert [record[0] for record in found[0]] == [10, 11, 14]
    assert found == told(stock(TRANSACTIONS, 10, isolation=READ_UNCOMMITTED))


@pytest.mark.parametrize(("broken", "position"), [(0, 5), (1, 8)])
def test_a_wrong_checksum_is_raised_and_what_follows_is_not_taken(broken, position):
    batches = [bytearray(batch(5, ODD)), bytearray(batch(8, ODD)), bytearray(batch(11, ODD))]
    batches[broken][-1] ^= 1
    unpacked = WholeBatches(stock(b"".join(batches), 5))
    with pytest.raises(CorruptRecordException, match="CRC"):
        iter(unpacked)
    assert (list(unpacked), unpacked.next_fetch_offset) == ([], position)
