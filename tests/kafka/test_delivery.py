"""Delivery on a broker: order, outputs before rows before position, and records that do not fit."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from cdp_stream.errors import BrokerError
from cdp_stream.formats.limits import MESSAGE_BYTES
from cdp_stream.kafka.at_least_once import AtLeastOnceLane
from cdp_stream.kafka.changelog import read_to_end
from cdp_stream.kafka.delivery import MAX_BATCH_BYTES, OutputTopics
from cdp_stream.kafka.topics import ensure_topics
from cdp_stream.partition.effects import Effects
from cdp_stream.partition.room import Room
from cdp_stream.settings import Settings

pytestmark = pytest.mark.kafka


class Delivered:
    """A lane on partition 1, and what became of it."""

    def __init__(self, settings, producer):
        self.settings = settings
        self.positions, self.failures = [], []
        topic = settings.topic
        self.room = Room(1_000_000)
        self.lane = AtLeastOnceLane(
            lambda: producer,
            OutputTopics(
                memberships=topic("memberships"), state=topic("membership-state"),
                rejected=topic("rejected"), changelog=topic("profiles-changelog"),
                output=topic("output."),
            ),
            1,
            advance=self.positions.append, fail=self.failures.append, freed=lambda: None,
            confirm=lambda writes, position: None, room=self.room,
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
        delivered.lane.submit(
            Effects(memberships=[(b"%d" % number, b"x" * 400)] * size,
                    rows={b"%d-%d" % (number, n): b"y" * 400 for n in range(size)}),
            number * 10, barrier=number == 3,
        )  # fmt: skip
    await delivered.lane.drain()
    keys = [int(record.key) for record in await delivered.read("memberships")]
    assert keys == [number for number, size in enumerate(sizes) for _ in range(size)]
    rows = [int(r.key.split(b"-")[0]) for r in await delivered.read("profiles-changelog")]
    assert rows == keys
    assert delivered.positions == [0, 10, 20, 30, 40]


async def test_the_last_row_of_a_piece_is_written_last(delivered):
    rows = {b"%d" % n: b"y" * 3_000 for n in range(1_000)} | {b"~partition": b"meta"}
    delivered.lane.submit(Effects(rows=rows), 1)
    await delivered.lane.drain()
    assert [r.key for r in await delivered.read("profiles-changelog")] == list(rows)


async def test_a_rejected_record_larger_than_a_batch_is_delivered_whole(delivered):
    value = b"z" * 3_000_000
    headers = [("reason", b"too_large")]
    records = [(b"a", b"1", headers), (b"b", value, headers), (b"c", b"3", headers)]
    delivered.lane.submit(Effects(rejected=records), 5)
    await delivered.lane.drain()
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
    delivered.lane.submit(Effects(rejected=[(b"k", b"z" * 17_000_000, headers)]), 8)
    await delivered.lane.drain()
    (record,) = await delivered.read("rejected")
    assert (record.key, record.value) == (b"k", None)
    assert record.headers == [*headers, ("value_bytes", b"17000000")]
    assert delivered.positions == [8]


async def test_the_largest_message_of_an_output_fits_into_a_topic_at_its_defaults(delivered):
    message = (b"-9223372036854775808", b"x" * MESSAGE_BYTES)
    delivered.lane.submit(Effects(memberships=[message]), 1)
    await delivered.lane.drain()
    (record,) = await delivered.read("memberships")
    assert (record.key, record.value) == message


async def test_a_failed_delivery_moves_no_position_and_is_told(delivered):
    delivered.lane.submit(Effects(memberships=[(b"k", b"v")]), 1)
    assert (delivered.room.taken, delivered.lane.has_room) == (1, True)
    delivered.lane.submit(Effects(rows={b"too-large": b"y" * 17_000_000}), 2)
    assert (delivered.room.taken, delivered.lane.has_room) == (17_000_001, False)
    delivered.lane.submit(Effects(rows={b"after": b"z"}), 3)
    await delivered.lane.drain()
    await asyncio.sleep(0)
    assert delivered.room.taken == 0
    (failure,) = delivered.failures
    assert isinstance(failure, BrokerError)
    assert delivered.positions == [1]
    assert not delivered.lane.has_room
    assert await delivered.read("profiles-changelog") == []
