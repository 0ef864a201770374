"""What a broker says of topics and of itself."""

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient

from cdp_stream.kafka.aiokafka_patches.broker_metadata import known_requests, partitions_of
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings

pytestmark = pytest.mark.kafka


async def test_a_broker_is_asked_for_the_partitions_of_a_topic(kafka_broker, topic_prefix):
    await ensure_topics(Settings(broker=kafka_broker, prefix=topic_prefix))
    async with AIOKafkaConsumer(bootstrap_servers=kafka_broker) as consumer:
        assert await partitions_of(consumer, f"{topic_prefix}.events") == {0, 1, 2, 3}
        assert await partitions_of(consumer, f"{topic_prefix}.no-such-topic") == set()


async def test_a_broker_lists_the_requests_that_it_knows(kafka_broker):
    client = AIOKafkaClient(bootstrap_servers=kafka_broker)
    try:
        await client.bootstrap()
        known = await known_requests(client)
        assert 22 in known
        assert 9_999 not in known
    finally:
        await client.close()
