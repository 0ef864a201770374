"""Recovery reads all of a changelog, whatever it ends with, on both brokers."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.changelog import find_lost_positions, read_to_end
from cdp_stream.kafka.delivery import send_records
from cdp_stream.kafka.topics import ensure_topics
from cdp_stream.settings import Settings

BROKERS = [
    pytest.param("kafka_broker", marks=pytest.mark.kafka),
    pytest.param("embedded_broker", marks=pytest.mark.embedded),
]


class Changelog:
    def __init__(self, settings):
        self.settings = settings
        self.client = {"bootstrap_servers": settings.brokers}
        self.topic = settings.topic("profiles-changelog")

    async def write(self, partition, rows, *, transactional_id=None, abort=False):
        producer = AIOKafkaProducer(**self.client, transactional_id=transactional_id)
        await producer.start()
        try:
            if transactional_id:
                await producer.begin_transaction()
            futures = await send_records(
                producer, self.topic, partition, [(key, value, []) for key, value in rows]
            )
            await asyncio.gather(*futures)
            if transactional_id:
                await (producer.abort_transaction if abort else producer.commit_transaction)()
        finally:
            await producer.stop()

    async def read(self, partitions=range(4)):
        rows = {number: {} for number in partitions}

        def take(partition, records):
            rows[partition].update((record.key, record.value) for record in records)

        async with asyncio.timeout(20):
            await read_to_end(self.client, self.topic, partitions, take)
        return rows


@pytest.fixture
async def changelog(request, topic_prefix):
    settings = Settings(broker=request.getfixturevalue(request.param), prefix=topic_prefix)
    await ensure_topics(settings)
    return Changelog(settings)


@pytest.mark.parametrize("changelog", BROKERS, indirect=True)
async def test_an_empty_changelog_is_read_at_once(changelog):
    assert await changelog.read() == {0: {}, 1: {}, 2: {}, 3: {}}


@pytest.mark.parametrize("changelog", BROKERS, indirect=True)
async def test_every_row_of_every_partition_is_read(changelog):
    rows = {number: {b"%d-%d" % (number, n): b"x" * 300 for n in range(2_000 + number)}
            for number in range(4)}  # fmt: skip
    for number, written in rows.items():
        await changelog.write(number, written.items())
    assert await changelog.read() == rows


@pytest.mark.parametrize("changelog", BROKERS, indirect=True)
async def test_rows_of_the_last_batch_are_read_though_it_is_large(changelog):
    await changelog.write(1, [(b"first", b"1")])
    last = {b"%d" % n: b"2" for n in range(5_000)}
    await changelog.write(1, last.items())
    assert (await changelog.read([1]))[1] == {b"first": b"1", **last}


@pytest.mark.parametrize("changelog", BROKERS[:1], indirect=True)
async def test_a_changelog_that_ends_in_transaction_markers_ends(changelog):
    await changelog.write(0, [(b"a", b"kept")], transactional_id=f"{changelog.topic}-tx")
    await changelog.write(0, [(b"a", b"aborted")], transactional_id=f"{changelog.topic}-tx",
                          abort=True)  # fmt: skip
    assert await changelog.read([0]) == {0: {b"a": b"kept"}}


@pytest.mark.parametrize("changelog", BROKERS[:1], indirect=True)
async def test_a_changelog_of_an_aborted_transaction_alone_is_empty(changelog):
    await changelog.write(2, [(b"a", b"b")], transactional_id=f"{changelog.topic}-tx", abort=True)
    assert await changelog.read([2]) == {2: {}}


@pytest.mark.parametrize("changelog", BROKERS, indirect=True)
async def test_a_position_up_to_the_end_is_fine_and_one_beyond_it_is_told(changelog):
    await changelog.write(0, [(b"%d" % n, b"") for n in range(5)])
    await changelog.write(3, [(b"%d" % n, b"") for n in range(5)])
    lost = await find_lost_positions(changelog.client, changelog.topic, {0: 5, 1: 0, 3: 6})
    assert lost == {3: 5}


async def test_a_broker_that_does_not_answer_is_told_in_time_and_what_to_look_at():
    silent = []  # connections that nobody reads
    accept = asyncio.start_server(lambda _, writer: silent.append(writer), "127.0.0.1", 0)
    async with await accept as server:
        host, port = server.sockets[0].getsockname()
        client = {"bootstrap_servers": f"{host}:{port}"}
        with pytest.raises(BrokerError) as raised:
            await find_lost_positions(client, "log", {2: 6, 0: 1}, answers_within_s=0.5)
    for writer in silent:
        writer.close()
        await writer.wait_closed()
    assert silent
    assert "did not tell within 0.5 s how far log reaches, partitions 0, 2" in str(raised.value)
    assert "min.insync.replicas" in str(raised.value)
