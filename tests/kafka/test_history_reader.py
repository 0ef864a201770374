"""What a backfill reads: from the right offset, in order, no further than asked, and that it says
when the log has lost the rest.
"""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from cdp_stream.formats.backfill_rows import Source
from cdp_stream.kafka.history.reader import HistoryRange, HistoryReader, HistorySlice, Start
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.settings import Settings
from tests.brokers.fixtures import EITHER

T = 1_700_000_000_000
HOUR = 3_600_000


OWN = (Source(1, 0),)


class Log:
    def __init__(self, settings):
        self.client = {"bootstrap_servers": settings.brokers}
        self.topic = settings.topic("events")

    async def append(
        self, count, at, *, partition=1, transactional_id=None, abort=False, value=b"x" * 20
    ):
        """Append records of an hour each from `at` hours after T on."""
        producer = AIOKafkaProducer(**self.client, transactional_id=transactional_id)
        await producer.start()
        try:
            if transactional_id:
                await producer.begin_transaction()
            for number in range(at, at + count):
                await producer.send_and_wait(
                    self.topic,
                    value,
                    key=b"%d" % number,
                    partition=partition,
                    timestamp_ms=T + number * HOUR,
                )
            if transactional_id:
                await (producer.abort_transaction if abort else producer.commit_transaction)()
        finally:
            await producer.stop()

    async def cut_off(self, before, partition=1):
        admin = AIOKafkaAdminClient(**self.client)
        await admin.start()
        try:
            await admin.delete_records(
                {TopicPartition(self.topic, partition): RecordsToDelete(before)}
            )
        finally:
            await admin.close()

    def reader(self, since=None, resume=None, sources=OWN, live=100, **options):
        self.woken = asyncio.Event()
        wanted = HistoryRange(sources, live, since, resume)
        return HistoryReader(self.client, self.topic, wanted, wake=self.woken.set, **options)

    async def read(self, reader, through, limit=100):
        """Keys up to an offset; returns them and the offset that was reached."""
        keys, reached = [], -1
        async with asyncio.timeout(90):
            while reached < through:
                self.woken.clear()
                records, reached, _source = reader.next_slice(limit, through)
                keys += [int(record.key) for record in records]
                if not records and reached < through:
                    await self.woken.wait()
        return keys, reached


@pytest.fixture
async def log(request, topic_prefix):
    settings = Settings(broker=request.getfixturevalue(request.param), prefix=topic_prefix)
    await ensure_topics(settings)
    return Log(settings)


@pytest.mark.parametrize("log", EITHER[:1], indirect=True)
async def test_it_reads_from_the_first_record_that_is_new_enough(log):
    await log.append(20, 0)
    reader = log.reader(since=T + 5 * HOUR - 1)
    try:
        assert await log.read(reader, 12) == (list(range(5, 13)), 12)
        assert reader.start == Start(5, log_is_shorter=False)
        assert await log.read(reader, 19, limit=3) == (list(range(13, 20)), 19)
        assert reader.next_slice(5, 19)[:2] == ([], 19)
    finally:
        await reader.close()


@pytest.mark.parametrize("log", EITHER[:1], indirect=True)
async def test_what_it_reads_ahead_is_bounded_in_bytes(log):
    await log.append(60, 0, value=b"x" * 100_000)
    reader = log.reader(budget=MemoryBudget(1_000_000))
    try:
        async with asyncio.timeout(90):
            while (
                reader.next_slice(1, -1) == HistorySlice([], -1, 0)
                and reader._waiting_bytes < 1_000_000
            ):
                log.woken.clear()
                await log.woken.wait()
        # A fetch brings half of the budget, and whole batches.
        assert 1_000_000 <= reader._waiting_bytes < 1_700_000
        assert await log.read(reader, 59, limit=7) == (list(range(60)), 59)
        assert reader._waiting_bytes == 0
    finally:
        await reader.close()


@pytest.mark.parametrize("log", EITHER[1:], indirect=True)
async def test_a_broker_that_does_not_know_times_is_asked_for_more_not_for_less(log):
    await log.append(6, 0)
    reader = log.reader(since=T + 3 * HOUR)
    try:
        keys, _ = await log.read(reader, 5)
        assert keys[-3:] == [3, 4, 5]
    finally:
        await reader.close()


@pytest.mark.parametrize("log", EITHER, indirect=True)
async def test_what_is_appended_while_it_reads_comes_too(log):
    await log.append(3, 0)
    reader = log.reader()
    try:
        assert await log.read(reader, 2) == ([0, 1, 2], 2)
        await log.append(2, 3)
        assert await log.read(reader, 4) == ([3, 4], 4)
    finally:
        await reader.close()


@pytest.mark.parametrize("log", EITHER[:1], indirect=True)
async def test_a_log_without_anything_new_enough_is_read_from_its_end(log):
    await log.append(4, 0)
    reader = log.reader(since=T + 100 * HOUR)
    try:
        assert await log.read(reader, 3) == ([], 3)
        assert reader.start == Start(4, log_is_shorter=False)
    finally:
        await reader.close()


@pytest.mark.parametrize("log", EITHER, indirect=True)
async def test_it_goes_on_at_an_offset(log):
    await log.append(6, 0)
    reader = log.reader(since=T, resume=4)
    try:
        assert await log.read(reader, 5) == ([4, 5], 5)
        assert reader.start == Start(4, log_is_shorter=False)
    finally:
        await reader.close()


@pytest.mark.parametrize("log", EITHER[:1], indirect=True)
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


@pytest.mark.parametrize("log", EITHER[:1], indirect=True)
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


MOVED = (Source(0, 0, 4, 2), Source(1, 0, 3, 2), Source(0, 6, 8, 3, T), Source(1, 3, -1, 4, T))
"""Four records of partition 0, three of 1, then two more of 0, and what 1 has since."""


async def appended(log):
    await log.append(8, 0, partition=0)
    await log.append(6, 100)


@pytest.mark.parametrize("log", EITHER, indirect=True)
async def test_sources_are_read_one_after_the_other_as_if_they_were_one_log(log):
    await appended(log)
    expected = [0, 1, 2, 3, 100, 101, 102, 6, 7, 103, 104, 105]
    for limit in (1, 3, 100):
        reader = log.reader(sources=MOVED)
        try:
            assert await log.read(reader, 11, limit) == (expected, 11)
            assert (reader.start.offset, reader.history.sources) == (0, MOVED)
            assert reader.history.live(5) == 11
        finally:
            await reader.close()


@pytest.mark.parametrize("log", EITHER, indirect=True)
async def test_it_goes_on_in_the_source_where_it_was(log):
    await appended(log)
    whole = [0, 1, 2, 3, 100, 101, 102, 6, 7, 103, 104, 105]
    for at in range(12):
        reader = log.reader(sources=MOVED, resume=at)
        try:
            assert await log.read(reader, 11) == (whole[at:], 11)
        finally:
            await reader.close()


@pytest.mark.parametrize("log", EITHER, indirect=True)
async def test_what_is_taken_at_once_is_of_one_source(log):
    await appended(log)
    reader = log.reader(sources=MOVED)
    try:
        taken, reached = [], -1
        async with asyncio.timeout(90):
            while reached < 11:
                log.woken.clear()
                records, through, source = reader.next_slice(100, 11)
                if through <= reached:
                    await log.woken.wait()
                    continue
                taken += [(source, int(record.key)) for record in records]
                shift = reader.history.shift(source)
                assert all(reached < record.offset + shift <= through for record in records)
                reached = through
        assert [source for source, _ in taken] == [0] * 4 + [1] * 3 + [2] * 2 + [3] * 3
    finally:
        await reader.close()


@pytest.mark.parametrize("log", EITHER[:1], indirect=True)
async def test_of_each_source_what_is_too_old_is_left_out(log):
    await appended(log)
    for since, expected, sources in (
        (2, [2, 3, 100, 101, 102, 6, 7, 103], [(0, 2, 4), (1, 0, 3), (0, 6, 8), (1, 3, -1)]),
        (5, [100, 101, 102, 6, 7, 103], [(1, 0, 3), (0, 6, 8), (1, 3, -1)]),
        (7, [100, 101, 102, 7, 103], [(1, 0, 3), (0, 7, 8), (1, 3, -1)]),
        (102, [102, 103], [(1, 2, 3), (1, 3, -1)]),
        (103, [103], [(1, 3, -1)]),
    ):
        reader = log.reader(since=T + since * HOUR, sources=MOVED)
        try:
            end = len(expected) - 1 + (3 if len(sources) == 1 else 0)
            keys, _ = await log.read(reader, end)
            assert keys == expected
            assert [source[:3] for source in reader.history.sources] == sources
            assert not reader.start.log_is_shorter
        finally:
            await reader.close()


@pytest.mark.parametrize("log", EITHER[:1], indirect=True)
async def test_reading_begins_no_later_than_live_records_go_on(log):
    await appended(log)
    reader = log.reader(since=T + 105 * HOUR, sources=MOVED, live=4)
    try:
        assert (await log.read(reader, 5))[0] == [104, 105]
        assert reader.history.sources == (Source(1, 4, -1, 4, T),)
        assert reader.history.live(3) == 3
    finally:
        await reader.close()


@pytest.mark.parametrize("log", EITHER[:1], indirect=True)
async def test_a_source_that_has_lost_what_is_asked_for_says_so(log):
    await appended(log)
    await log.cut_off(2, partition=0)
    for since, expected, is_shorter in (
        (None, [2, 3, 100, 101, 102, 6, 7, 103], True),
        (2, [2, 3, 100, 101, 102, 6, 7, 103], True),
        (3, [3, 100, 101, 102, 6, 7, 103], False),
    ):
        reader = log.reader(since=since and T + since * HOUR, sources=MOVED)
        try:
            assert (await log.read(reader, len(expected) - 1))[0] == expected
            assert reader.start.log_is_shorter == is_shorter
        finally:
            await reader.close()
    await log.cut_off(7, partition=0)
    for resume, expected, is_shorter in (
        (1, [100, 101, 102, 7, 103], True),
        (4, [100, 101, 102, 7, 103], True),
        (8, [7, 103], False),
    ):
        reader = log.reader(resume=resume, sources=MOVED)
        try:
            assert (await log.read(reader, 9))[0] == expected
            assert reader.start.log_is_shorter == is_shorter
        finally:
            await reader.close()


@pytest.mark.parametrize("log", EITHER, indirect=True)
async def test_a_source_that_was_cut_off_at_its_end_holds_nothing_up(log):
    await appended(log)
    sources = (Source(0, 6, 20, 2), Source(1, 3, -1, 4, T))
    reader = log.reader(sources=sources, cut_off_s=0.2)
    try:
        assert (await log.read(reader, 16))[0] == [6, 7, 103, 104, 105]
        assert reader.start.log_is_shorter
    finally:
        await reader.close()
