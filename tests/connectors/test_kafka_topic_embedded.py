"""Changes in a topic of a broker that knows no idempotent producers: the embedded one."""

import json
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer

from cdp_stream.connectors.partners.kafka_topic import KafkaConnector
from tests.connectors.changes import change
from tests.connectors.conformance_local import opened

pytestmark = pytest.mark.embedded


async def test_a_broker_without_idempotent_producers_takes_changes_too(embedded_broker, tmp_path):
    topic = f"test-connector-{uuid4().hex}"
    settings = {"broker": embedded_broker, "topic": topic}
    changes = [change(mpid="7", ordinal=n) for n in range(3)]

    async with opened(KafkaConnector, settings, tmp_path) as connector:
        outcome = await connector.write(changes)

    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=embedded_broker, auto_offset_reset="earliest"
    )
    async with consumer:
        found = [await consumer.getone() for _ in changes]
    assert not outcome.rejected
    assert {one.key for one in found} == {b"7"}
    assert [json.loads(one.value) for one in found] == [one.message for one in changes]
