"""Delivery on a broker: order, outputs before rows before position, and records that do not fit."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from cdp_stream.errors import BrokerError
from cdp_stream.formats.limits import MESSAGE_BYTES
from cdp_stream.kafka.commit.at_least_once import AtLeastOnceWriter
from cdp_stream.kafka.commit.committer import Committer
from cdp_stream.kafka.commit.record_writer import MAX_BATCH_BYTES, OutputTopics
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.partition.effects import Effects
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.settings import Settings
from cdp_stream.store.rows import MemoryRows

pytestmark = pytest.mark.kafka


class Delivered:
    """The committer of partition 1, and what became of it."""

    def __init__(self, settings, producer):
        self.settings = settings
        self.positions = []
        topic = settings.topic
        self.budget = MemoryBudget(1_000_000)
        topics = OutputTopics(
            memberships=topic("memberships"), state=topic("membership-state"),
            rejected=topic("rejected"), changelog=topic("profiles-changelog"),
            output=topic("output."),
        )  # fmt: skip
        self.committer = Committer(
            AtLeastOnceWriter(lambda: producer, topics, 1, self.positions.append),
            MemoryRows(), 1, budget=self.budget, progressed=lambda: None,
        )  # fmt: skip

    async def read(self, suffix):
        found = []
        await read_to_end(
            {"bootstrap_servers": self.settings.brokers}, self.settings.topic(suffix), [1],
            lambda _, records: found.extend(records),
        )  # fmt: skip
        return found


@pytest.fixture
async def delivered(kafka_broker, topic_prefix):
    settings = Settings(broker=kafka_broker, prefix=topic_prefix)
    await ensure_topics(settings)
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka_broker, acks="all", max_batch_size=MAX_BATCH_BYTES
    )
    await producer.start()
    yield Delivered(settings, producer)
    await producer.stop()


async def test_pieces_arrive_in_order_whatever_their_size(delivered):
    sizes = [3, 3_000, 1, 2_500, 2]
    for number, size in enumerate(sizes):
        delivered.committer.commit(
            Effects(memberships=[(b"%d" % number, b"x" * 400)] * size,
                    rows={b"%d-%d" % (number, n): b"y" * 400 for n in range(size)}),
            number * 10, barrier=number == 3,
        )  # fmt: skip
    await delivered.committer.drain()
    keys = [int(record.key) for record in await delivered.read("memberships")]
    assert keys == [number for number, size in enumerate(sizes) for _ in range(size)]
    rows = [int(r.key.split(b"-")[0]) for r in await delivered.read("profiles-changelog")]
    assert rows == keys
    # What waited was one batch; the barrier was one of its own.
    assert delivered.positions == [20, 30, 40]


async def test_the_last_row_of_a_piece_is_written_last(delivered):
    rows = {b"%d" % n: b"y" * 3_000 for n in range(1_000)} | {b"~partition": b"meta"}
    delivered.committer.commit(Effects(rows=rows), 1)
    await delivered.committer.drain()
    assert [r.key for r in await delivered.read("profiles-changelog")] == list(rows)


async def test_a_rejected_record_larger_than_a_batch_is_delivered_whole(delivered):
    value = b"z" * 3_000_000
    headers = [("reason", b"too_large")]
    records = [(b"a", b"1", headers), (b"b", value, headers), (b"c", b"3", headers)]
    delivered.committer.commit(Effects(rejected=records), 5)
    await delivered.committer.drain()
    found = {r.key: (r.value, r.headers) for r in await delivered.read("rejected")}
    expected_headers = [("reason", b"too_large")]
    assert found == {
        b"a": (b"1", expected_headers),
        b"b": (value, expected_headers),
        b"c": (b"3", expected_headers),
    }
    assert delivered.positions == [5]


async def test_one_that_the_broker_refuses_is_delivered_without_its_value(delivered):
    headers = [("reason", b"too_large"), ("offset", b"7")]
    delivered.committer.commit(Effects(rejected=[(b"k", b"z" * 17_000_000, headers)]), 8)
    await delivered.committer.drain()
    (record,) = await delivered.read("rejected")
    assert (record.key, record.value) == (b"k", None)
    assert record.headers == [*headers, ("value_bytes", b"17000000")]
    assert delivered.positions == [8]


async def test_the_largest_message_of_an_output_fits_into_a_topic_at_its_defaults(delivered):
    message = (b"-9223372036854775808", b"x" * MESSAGE_BYTES)
    delivered.committer.commit(Effects(memberships=[message]), 1)
    await delivered.committer.drain()
    (record,) = await delivered.read("memberships")
    assert (record.key, record.value) == message


async def test_a_failed_delivery_moves_no_position_and_is_told(delivered):
    delivered.committer.commit(Effects(memberships=[(b"k", b"v")]), 1)
    assert (delivered.budget.used, delivered.committer.is_ready) == (1, True)
    await delivered.committer.drain()
    delivered.committer.commit(Effects(rows={b"too-large": b"y" * 17_000_000}), 2)
    assert (delivered.budget.used, delivered.committer.is_ready) == (17_000_000, False)
    delivered.committer.commit(Effects(rows={b"after": b"z"}), 3)
    await delivered.committer.drain()
    await asyncio.sleep(0)
    assert delivered.budget.used == 0
    failure = delivered.committer.failure
    assert isinstance(failure, BrokerError)
    assert delivered.positions == [1]
    assert not delivered.committer.is_ready
    assert await delivered.read("profiles-changelog") == []
