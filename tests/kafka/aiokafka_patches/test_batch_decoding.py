"""Whole batches unpack to what aiokafka makes of them record by record."""

import inspect
import struct

import aiokafka
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record import default_records
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from faust.transport.drivers import aiokafka as driver

from cdp_stream.kafka.aiokafka_patches.batch_decoding import WholeBatches, decode_whole_batches

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


# -- what the patch relies on inside aiokafka 0.14.0 -----------------------------------------------


def source(thing) -> str:
    return inspect.getsource(thing)


def test_the_codecs_are_compiled_ones():
    for codec in (default_records.DefaultRecordBatch, default_records.DefaultRecordBatchBuilder):
        assert codec.__module__ == "aiokafka.record._crecords.default_records"


def test_the_fetcher_keeps_results_in_a_dict_of_its_own_and_drains_them_whole():
    assert "self._records = collections.OrderedDict()" in source(fetcher.Fetcher.__init__)
    assert "self._records[tp] = FetchResult(" in source(fetcher.Fetcher._proc_fetch_request)
    drained = source(fetcher.Fetcher.fetched_records)
    assert "type(res_or_error) is FetchResult" in drained
    assert "for msg in self._partition_records:" in source(fetcher.FetchResult.getall)
    started = source(aiokafka.AIOKafkaConsumer.start)
    assert started.count("self._fetcher = Fetcher(") == 1
    assert "await self._consumer.start()" in source(driver.AIOKafkaConsumerThread.on_start)


async def test_a_result_that_is_stored_unpacks_whole_batches_and_moves_the_position():
    consumer, tp = aiokafka.AIOKafkaConsumer(), aiokafka.TopicPartition("t", 0)
    consumer.assign([tp])
    assignment = consumer._subscription.subscription.assignment
    consumer._fetcher = fetcher.Fetcher(consumer._client, consumer._subscription)
    try:
        decode_whole_batches(consumer)
        assignment.state_value(tp).reset_to(0)
        builder = default_records.DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 1_000)
        for number in range(3):
            builder.append(number, 1, b"k", b"%d" % number, [])
        records = fetcher.PartitionRecords(
            tp, MemoryRecords(bytes(builder.build())), [], 0, None, None, True, 1
        )
        consumer._fetcher._records[tp] = result = fetcher.FetchResult(
            tp, assignment=assignment, partition_records=records, backoff=0
        )
        assert isinstance(result._partition_records, WholeBatches)
        drained = await consumer._fetcher.fetched_records([tp])
        assert [record.value for record in drained[tp]] == [b"0", b"1", b"2"]
        assert assignment.state_value(tp).position == 3
        assert not consumer._fetcher._records
    finally:
        await consumer._fetcher.close()
        await consumer.stop()
