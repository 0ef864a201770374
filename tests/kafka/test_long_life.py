"""What happens to a partition's producer in weeks and months: brokers forget it when it was idle
for long, and its epochs come to an end.
"""

import asyncio
import struct

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from cdp_stream.brokers.apache import ApacheKafka, resolve_jars
from cdp_stream.kafka.commit.partition_producer import FencedError
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings
from cdp_stream.wall_clock import wall_ms
from tests.kafka.transactional import SUFFIXES, Partition, effects, epoch

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

_HOUR_MS = 3_600_000
_LAST_EPOCH = 32_766
"""The greatest that a producer is given; Kafka keeps the one behind it for fencing."""
_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


@pytest.fixture(scope="module")
def forgetful_kafka():
    settings = {
        "transactional.id.expiration.ms": "5000",
        "transaction.remove.expired.transaction.cleanup.interval.ms": "500",
        "producer.id.expiration.ms": "1000",
        "producer.id.expiration.check.interval.ms": "300",
    }
    with ApacheKafka(resolve_jars(), is_brief=True, settings=settings) as kafka:
        yield kafka


@pytest.fixture
async def partition(forgetful_kafka, topic_prefix):
    settings = Settings(broker=forgetful_kafka.bootstrap, prefix=topic_prefix)
    await ensure_topics(settings)
    made = Partition(settings)
    yield made
    for owner in made.owners:
        await owner.committer.close()


class ProducersResponse(Response):
    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("topics", CompactArray(
            ("name", _TEXT),
            ("partitions", CompactArray(
                ("number", Int32), ("error_code", Int16), ("error_message", _TEXT),
                ("producers", CompactArray(
                    ("producer_id", Int64), ("producer_epoch", Int32), ("last_sequence", Int32),
                    ("last_timestamp", Int64), ("coordinator_epoch", Int32),
                    ("transaction_start", Int64), _TAGS,
                )),
                _TAGS,
            )),
            _TAGS,
        )),
        _TAGS,
    )  # fmt: skip


class ProducersRequest(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 61
    API_VERSION = 0
    RESPONSE_TYPE = ProducersResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("name", _TEXT), ("partitions", CompactArray(Int32)), _TAGS)), _TAGS
    )


class TransactionsResponse(Response):
    API_KEY = 66
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32), ("error_code", Int16), ("unknown", CompactArray(_TEXT)),
        ("transactions", CompactArray(
            ("transactional_id", _TEXT), ("producer_id", Int64), ("state", _TEXT), _TAGS
        )),
        _TAGS,
    )  # fmt: skip


class TransactionsRequest(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 66
    API_VERSION = 0
    RESPONSE_TYPE = TransactionsResponse
    SCHEMA = Schema(("states", CompactArray(_TEXT)), ("producers", CompactArray(Int64)), _TAGS)


class Producers(Request[ProducersRequest]):
    API_KEY = 61

    def __init__(self, topic):
        self.topic = topic

    def build(self, struct):
        return struct([(self.topic, [1], {})], {})


class Transactions(Request[TransactionsRequest]):
    API_KEY = 66

    def build(self, struct):
        return struct([], [], {})


async def forgotten(partition, request, known):
    """Wait until the broker's answer has nothing that is known."""
    client = AIOKafkaClient(**partition.client)
    await client.bootstrap()
    try:
        async with asyncio.timeout(90):
            while known(await client.send(client.get_random_node(), request)):  # noqa: ASYNC110 - the broker has no event
                await asyncio.sleep(0.1)
    finally:
        await client.close()


async def forgotten_id(partition):
    """Wait until the broker does not know the partition's transactional id."""
    name = f"{partition.settings.group_id}-1"
    await forgotten(
        partition, Transactions(), lambda answer: name in {one[0] for one in answer.transactions}
    )


async def test_a_producer_that_partitions_have_forgotten_goes_on(partition):
    owner = await partition.owner()
    await owner.submit((effects(), 1))
    for suffix in SUFFIXES:
        await forgotten(
            partition, Producers(partition.settings.topic(suffix)),
            lambda answer: answer.topics[0][1][0][3],
        )  # fmt: skip
    await owner.submit((effects({b"later": b""}), 2))
    assert owner.committer.failure is None
    assert await partition.counts() == [20, 20, 2, 3]
    assert await partition.position() == 2


async def test_a_transactional_id_that_was_idle_for_long_is_taken_again(partition):
    owner = await partition.owner()
    await owner.submit((effects(), 1))
    await forgotten_id(partition)
    before = epoch(owner)
    await owner.submit((effects({b"later": b""}), 2))
    assert owner.committer.failure is None
    assert epoch(owner)[0] != before[0]
    assert await partition.counts() == [20, 20, 2, 3]
    assert await partition.position() == 2


async def test_who_was_followed_while_it_was_idle_for_long_is_not_let_in_again(partition):
    idle = await partition.owner()
    await forgotten_id(partition)
    owner = await partition.owner()
    await owner.submit((effects(), 1))
    await idle.submit((effects({b"its": b""}), 1))
    assert isinstance(idle.committer.failure, FencedError)
    await owner.submit((effects({b"later": b""}), 2))
    assert owner.committer.failure is None
    assert await partition.counts() == [20, 20, 2, 3]


async def age(partition, kafka, producer_id, last):
    """Let the broker believe that so many epochs of a producer id have been given."""
    name = f"{partition.settings.group_id}-1".encode()
    key = struct.pack(f">hh{len(name)}s", 0, len(name), name)
    empty, now = 0, wall_ms()
    value = struct.pack(">hqhibiqq", 0, producer_id, last, 60_000, empty, -1, now + _HOUR_MS, -1)
    topic = "__transaction_state"
    # Of other clients Kafka takes nothing into its own topics.
    client = {**partition.client, "client_id": "__admin_client"}
    async with AIOKafkaProducer(**client, acks="all") as producer:
        count = len(await producer.partitions_for(topic))
        await producer.send_and_wait(topic, value, key, partition=java_hash(name) % count)
    await asyncio.to_thread(kafka.restart)


def java_hash(text):
    """What Java's ``String.hashCode`` gives, without its sign, as Kafka takes it."""
    found = 0
    for letter in text:
        found = (31 * found + letter) % 2**32
    return min(found, 2**32 - found) % 2**31


async def test_epochs_come_to_an_end_and_another_producer_id_follows(partition, forgetful_kafka):
    first = await partition.owner()
    await first.submit((effects(), 1))
    producer_id, _ = epoch(first)
    await first.committer.close()
    await age(partition, forgetful_kafka, producer_id, _LAST_EPOCH - 3)
    owner = await partition.owner()
    seen = []
    for number in range(5):
        await owner.submit((effects({b"%d" % number: b""}), number + 2))
        seen.append(epoch(owner))
        await owner.producer.reopen("the next epoch")
    assert owner.committer.failure is None
    assert seen[:3] == [(producer_id, _LAST_EPOCH - left) for left in (2, 1, 0)]
    assert [number for _, number in seen[3:]] == [0, 1]
    assert seen[3][0] == seen[4][0] != producer_id
    assert await partition.counts() == [60, 60, 6, 7]
    assert await partition.position() == 6


async def test_who_has_the_last_epoch_is_fenced_as_well(partition, forgetful_kafka):
    first = await partition.owner()
    producer_id, _ = epoch(first)
    await first.committer.close()
    await age(partition, forgetful_kafka, producer_id, _LAST_EPOCH - 1)
    last = await partition.owner()
    assert epoch(last) == (producer_id, _LAST_EPOCH)
    owner = await partition.owner()
    assert epoch(owner)[0] != producer_id
    await last.submit((effects({b"late": b""}), 9))
    assert isinstance(last.committer.failure, FencedError)
    await owner.submit((effects(), 1))
    assert owner.committer.failure is None
    assert await partition.counts() == [10, 10, 1, 2]
    assert await partition.position() == 1
