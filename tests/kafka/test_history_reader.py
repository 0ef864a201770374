"""What a backfill reads: from the right offset, in order, no further than asked, and that it says
when the log has lost the rest.
"""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from cdp_stream.kafka.history_reader import HistoryReader, Start
from cdp_stream.kafka.topics import ensure_topics
from cdp_stream.settings import Settings

T = 1_700_000_000_000
HOUR = 3_600_000
BROKERS = [
    pytest.param("kafka_broker", marks=pytest.mark.kafka),
    pytest.param("embedded_broker", marks=pytest.mark.embedded),
]


class Log:
    def __init__(self, settings):
        self.client = {"bootstrap_servers": settings.brokers}
        self.topic = settings.topic("events")

    async def append(self, count, at, *, transactional_id=None, abort=False):
        """Append records of an hour each from `at` hours after T on."""
        producer = AIOKafkaProducer(**self.client, transactional_id=transactional_id)
        await producer.start()
        try:
            if transactional_id:
                await producer.begin_transaction()
            for number in range(at, at + count):
                await producer.send_and_wait(
                    self.topic,
                    b"x" * 20,
                    key=b"%d" % number,
                    partition=1,
                    timestamp_ms=T + number * HOUR,
                )
            if transactional_id:
                await (producer.abort_transaction if abort else producer.commit_transaction)()
        finally:
            await producer.stop()

    async def cut_off(self, before):
        admin = AIOKafkaAdminClient(**self.client)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(self.topic, 1): RecordsToDelete(before)})
        finally:
            await admin.close()

    def reader(self, since=None, resume=None):
        self.woken = asyncio.Event()
        return HistoryReader(
            self.client, self.topic, 1, since=since, resume=resume, wake=self.woken.set
        )

    async def read(self, reader, through, limit=100):
        """Keys up to an offset; returns them and the offset that was reached."""
        keys, reached = [], -1
        async with asyncio.timeout(30):
            while reached < through:
                self.woken.clear()
                records, reached = reader.take(limit, through)
                keys += [int(record.key) for record in records]
                if not records and reached < through:
                    await self.woken.wait()
        return keys, reached


@pytest.fixture
async def log(request, topic_prefix):
    settings = Settings(broker=request.getfixturevalue(request.param), prefix=topic_prefix)
    await ensure_topics(settings)
    return Log(settings)


@pytest.mark.parametrize("log", BROKERS[:1], indirect=True)
async def test_it_reads_from_the_first_record_that_is_new_enough(log):
    await log.append(20, 0)
    reader = log.reader(since=T + 5 * HOUR - 1)
    try:
        assert await log.read(reader, 12) == (list(range(5, 13)), 12)
        assert reader.start == Start(5, log_is_shorter=False)
        assert await log.read(reader, 19, limit=3) == (list(range(13, 20)), 19)
        assert reader.take(5, 19) == ([], 19)
    finally:
        await reader.close()


@pytest.mark.parametrize("log", BROKERS[1:], indirect=True)
async def test_a_broker_that_does_not_know_times_is_asked_for_more_not_for_less(log):
    await log.append(6, 0)
    reader = log.reader(since=T + 3 * HOUR)
    try:
        keys, _ = await log.read(reader, 5)
        assert keys[-3:] == [3, 4, 5]
    finally:
        await reader.close()


@pytest.mark.parametrize("log", BROKERS, indirect=True)
async def test_what_is_appended_while_it_reads_comes_too(log):
    await log.append(3, 0)
    reader = log.reader()
    try:
        assert await log.read(reader, 2) == ([0, 1, 2], 2)
        await log.append(2, 3)
        assert await log.read(reader, 4) == ([3, 4], 4)
    finally:
        await reader.close()


@pytest.mark.parametrize("log", BROKERS[:1], indirect=True)
async def test_a_log_without_anything_new_enough_is_read_from_its_end(log):
    await log.append(4, 0)
    reader = log.reader(since=T + 100 * HOUR)
    try:
        assert await log.read(reader, 3) == ([], 3)
        assert reader.start == Start(4, log_is_shorter=False)
    finally:
        await reader.close()


@pytest.mark.parametrize("log", BROKERS, indirect=True)
async def test_it_goes_on_at_an_offset(log):
    await log.append(6, 0)
    reader = log.reader(since=T, resume=4)
    try:
        assert await log.read(reader, 5) == ([4, 5], 5)
        assert reader.start == Start(4, log_is_shorter=False)
    finally:
        await reader.close()


@pytest.mark.parametrize("log", BROKERS[:1], indirect=True)
async def test_it_says_so_when_the_log_has_lost_what_is_asked_for(log):
    await log.append(10, 0)
    await log.cut_off(4)
    for since, resume, expected in (
        (None, None, Start(4, log_is_shorter=True)),
        (T + HOUR, None, Start(4, log_is_shorter=True)),
        (T + 6 * HOUR, None, Start(6, log_is_shorter=False)),
        (T, 2, Start(4, log_is_shorter=True)),
        (T, 7, Start(7, log_is_shorter=False)),
    ):
        reader = log.reader(since, resume)
        try:
            keys, _ = await log.read(reader, 9)
            assert (keys, reader.start) == (list(range(expected.offset, 10)), expected)
        finally:
            await reader.close()


@pytest.mark.parametrize("log", BROKERS[:1], indirect=True)
async def test_aborted_transactions_are_left_out_and_do_not_hold_it_up(log):
    await log.append(2, 0, transactional_id="writer", abort=True)
    await log.append(2, 10, transactional_id="writer")
    await log.append(2, 20, transactional_id="writer", abort=True)
    reader = log.reader()
    try:
        keys, _ = await log.read(reader, 4)
        assert keys == [10, 11]
    finally:
        await reader.close()
