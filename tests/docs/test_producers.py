"""Producers as docs/events.md shows them put batches where `cdp produce` puts them."""

import asyncio
import json

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from cdp_stream.kafka.produce import Routing
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings
from tests.docs.programs import programs_of

pytestmark = pytest.mark.kafka

PARTITIONS = 4
PROGRAMS = programs_of("docs/events.md")
MPIDS = (*range(196), -1, 2**53 + 1, 2**63 - 1, -(2**63))
BATCHES = {b"%d" % mpid: json.dumps({"mpid": mpid, "user_attributes": {}}) for mpid in MPIDS}


async def published(broker, topic):
    """Partition and value of the 200 records of a topic, by key."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
    found = {}
    async with asyncio.timeout(90), consumer:
        while len(found) < len(MPIDS):
            record = await consumer.getone()
            found[record.key] = record.partition, record.value.decode()
    return found


def placed_by(program, broker, prefix, folder):
    settings = Settings(broker=broker, prefix=prefix, partitions=PARTITIONS)
    asyncio.run(ensure_topics(settings))
    (folder / "batches.ndjson").write_text("".join(f"{line}\n" for line in BATCHES.values()))
    program.at(broker, prefix).run(folder)
    return asyncio.run(published(broker, f"{prefix}.events"))


def test_the_page_shows_the_usual_clients():
    assert list(PROGRAMS) == [
        "Python: confluent-kafka",
        "Python: aiokafka",
        "Python: kafka-python",
        "Node.js: kafkajs",
    ]


@pytest.mark.parametrize("title", PROGRAMS)
def test_a_client_as_shown_places_keys_as_we_do(title, kafka_broker, topic_prefix, tmp_path):
    found = placed_by(PROGRAMS[title], kafka_broker, topic_prefix, tmp_path)
    place = Routing(PARTITIONS).partition_of
    assert found == {key: (place(key), value) for key, value in BATCHES.items()}


@pytest.mark.parametrize(
    ("title", "setting", "other"),
    [
        ("Python: confluent-kafka", '    "partitioner": "murmur2_random",', ""),
        ("Node.js: kafkajs", "DefaultPartitioner", "LegacyPartitioner"),
    ],
)
def test_the_setting_that_is_shown_is_needed(
    title, setting, other, kafka_broker, topic_prefix, tmp_path
):
    program = PROGRAMS[title]
    assert setting in program.text
    without = type(program)(title, program.language, program.text.replace(setting, other))
    found = placed_by(without, kafka_broker, topic_prefix, tmp_path)
    place = Routing(PARTITIONS).partition_of
    elsewhere = [key for key in BATCHES if found[key][0] != place(key)]
    assert len(elsewhere) > len(BATCHES) / 2
