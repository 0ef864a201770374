"""The procedure of `cdp repartition` while something happens that it cannot see beforehand."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from cdp_stream.errors import BrokerError
from cdp_stream.formats.rows import (
    PARTITION_KEY,
    REPARTITION_KEY,
    PartitionState,
    decode_partition,
    encode_partition,
)
from cdp_stream.kafka.changelog import read_to_end
from cdp_stream.kafka.repartition import repartition
from cdp_stream.kafka.topics import ensure_topics, partition_counts
from cdp_stream.settings import Settings

pytestmark = pytest.mark.kafka

BEFORE, AFTER = 2, 3


class System:
    """A stopped one, with a move that waits at one of its steps."""

    def __init__(self, settings):
        self.settings = settings
        self.client = {"bootstrap_servers": settings.brokers}
        self.events = settings.topic("events")
        self.changelog = settings.topic("profiles-changelog")

    @asynccontextmanager
    async def moving(self, step):
        """Runs a move in another thread; the body of this runs as it comes to the step."""
        reached, go_on = threading.Event(), threading.Event()

        def tell(line):
            if line.startswith(step):
                reached.set()
                assert go_on.wait(30)

        move = asyncio.create_task(
            asyncio.to_thread(lambda: asyncio.run(repartition(self.settings, AFTER, tell=tell)))
        )
        try:
            assert await asyncio.to_thread(reached.wait, 30)
            yield move
        finally:
            go_on.set()
            await asyncio.wait([move])

    @asynccontextmanager
    async def with_a_worker_from(self, step):
        """Runs a move, and from that step on somebody is a member of the workers' group."""
        consumer = AIOKafkaConsumer(self.events, **self.client, group_id=self.settings.group_id)
        try:
            async with self.moving(step) as move:
                await consumer.start()
            yield move
        finally:
            await consumer.stop()

    async def write(self, topic, number, *pairs):
        async with AIOKafkaProducer(**self.client) as producer:
            for key, value in pairs:
                await producer.send_and_wait(topic, value, key=key, partition=number)

    async def rows(self):
        admin = AIOKafkaAdminClient(**self.client)
        await admin.start()
        try:
            counts = await partition_counts(admin)
        finally:
            await admin.close()
        found = {number: {} for number in range(counts[self.changelog])}

        def take(number, records):
            for record in records:
                found[number].pop(record.key, None)
                if record.value is not None:
                    found[number][record.key] = record.value

        await read_to_end(self.client, self.changelog, found.keys(), take)
        return found


@pytest.fixture
async def system(kafka_broker, topic_prefix):
    settings = Settings(broker=kafka_broker, prefix=topic_prefix, partitions=BEFORE)
    await ensure_topics(settings)
    return System(settings)


async def test_who_began_to_work_after_the_first_look_keeps_it_from_moving_anything(system):
    with pytest.raises(BrokerError, match="workers are still running"):
        async with system.with_a_worker_from("keeping workers") as move:
            await move
    assert await system.rows() == {0: {}, 1: {}}


async def test_what_the_last_worker_wrote_while_it_was_asked_who_works_is_what_is_moved(system):
    state = PartitionState(90, -1)
    async with system.moving("keeping workers") as move:
        await system.write(system.changelog, 1, (PARTITION_KEY, encode_partition(state)))
    done = await move
    assert (done.before, done.after, done.resumed) == (BEFORE, AFTER, False)
    found = await system.rows()
    assert [decode_partition(found[n][PARTITION_KEY]).time for n in range(AFTER)] == [90] * AFTER
    assert REPARTITION_KEY not in {key for rows in found.values() for key in rows}
