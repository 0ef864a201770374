"""What is checked behind each test of workers is noticed when it does not hold."""

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from cdp_stream.formats.rows import PartitionState, encode_partition
from cdp_stream.kafka.observation import wall_ms
from cdp_stream.partition.effects import META_ROW
from cdp_stream.settings import Settings
from tests.brokers.records import write
from tests.topologies.invariants import SKEW_MS, broken_invariants
from tests.topologies.running import Running

pytestmark = pytest.mark.kafka


@pytest.fixture
async def settings(kafka_broker, topic_prefix, tmp_path):
    found = Settings(broker=kafka_broker, prefix=topic_prefix)
    await Running(found, tmp_path).create_topics()
    return found


async def own_row(settings, partition, time, position):
    row = encode_partition(PartitionState(time, position))
    await write(settings.broker, settings.topic("profiles-changelog"), partition, [(META_ROW, row)])


async def commit(settings, partition, offset):
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.brokers, group_id=settings.group_id, enable_auto_commit=False
    )
    tp = TopicPartition(settings.topic("events"), partition)
    async with consumer:
        consumer.assign([tp])
        await consumer.commit({tp: offset})


async def test_a_position_that_is_ahead_of_the_rows_is_noticed(settings):
    await own_row(settings, 1, 1_000, 6)
    await commit(settings, 1, 7)
    assert await broken_invariants(settings) == []
    await commit(settings, 1, 8)
    await commit(settings, 3, 1)
    assert await broken_invariants(settings, settled_s=0) == [
        "partition 1 is committed up to 8, and applied up to 6",
        "partition 3 is committed up to 1, and applied up to -1",
    ]


async def test_a_time_that_was_ahead_of_the_clock_is_noticed_though_it_is_over(settings):
    now = wall_ms()
    await own_row(settings, 0, now + SKEW_MS - 1_000, -1)
    assert await broken_invariants(settings) == []
    await own_row(settings, 2, now + SKEW_MS + 60_000, -1)
    await own_row(settings, 2, now, -1)
    (told,) = await broken_invariants(settings)
    assert told.startswith(f"partition 2 is at {now + SKEW_MS + 60_000}, ")
