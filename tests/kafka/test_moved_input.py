"""Where records that came in by the old number of partitions belong, and how they get there."""

import asyncio
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from cdp_stream.kafka.commit.record_writer import send_records
from cdp_stream.kafka.produce import Routing
from cdp_stream.kafka.repartition import stopped_system
from cdp_stream.kafka.repartition.moved_input import by_place, forward
from cdp_stream.kafka.repartition.stopped_system import StoppedSystem
from tests.kafka.moved_inputs import MARKER, WAITING, forwarded, in_order, waiting_on


class Sent(NamedTuple):
    key: bytes | None
    offset: int


def test_what_has_a_key_goes_where_its_profile_goes_in_order_and_the_rest_stays():
    routing = Routing(5)
    keys = [b"7", None, b"8", b"7", None, b"9", b"8"]
    records = [Sent(key, offset) for offset, key in enumerate(keys)]
    places = by_place(records, 3, routing)
    assert [record.offset for record in places[3] if record.key is None] == [1, 4]
    for key in {*keys} - {None}:
        theirs = [record for record in places[routing.partition_of(key)] if record.key == key]
        assert theirs == [record for record in records if record.key == key]
    assert sum(map(len, places.values())) == len(records)


class BehindAnother(StoppedSystem):
    """One at which somebody else, who was taken for dead, has forwarded ten records: that takes
    effect as the next one who forwards opens its producer.
    """

    @asynccontextmanager
    async def producer(self, *grown, partitions=0, **options):
        async with AIOKafkaProducer(**self.client, **options) as first, first.transaction():
            for place, records in by_place(await self.ten(), 0, Routing(MARKER.after)).items():
                items = [(one.key, one.value, []) for one in records]
                await asyncio.gather(*await send_records(first, self.events, place, items))
            behind = {TopicPartition(self.events, 0): 10}
            await first.send_offsets_to_transaction(behind, self.group)
        async with super().producer(*grown, partitions=partitions, **options) as producer:
            yield producer

    async def ten(self):
        found = []
        async for records in self.pieces(self.events, 0, 0, 10):
            found += records
        return found


@pytest.mark.kafka
async def test_what_another_has_forwarded_by_the_time_it_is_fenced_is_left_out(
    kafka_broker, topic_prefix
):
    async with waiting_on(kafka_broker, topic_prefix, BehindAnother) as system:
        done = await forward(system, {0: {}}, MARKER, lambda _line: None, transactional=True)
        assert done == len(WAITING) - 10
        assert await forwarded(system) == in_order(range(len(WAITING)))


class Interrupted(StoppedSystem):
    """One that cannot be written to once two pieces are forwarded but for their rows."""

    pieces_sent = 0

    async def send(self, *args):
        self.pieces_sent += 1
        if self.pieces_sent == 2:
            raise KafkaError
        await super().send(*args)


@pytest.mark.embedded
async def test_without_transactions_the_piece_of_an_interruption_comes_twice_and_no_other(
    embedded_broker, topic_prefix, monkeypatch
):
    monkeypatch.setattr(stopped_system, "_RECORDS", 10)
    async with waiting_on(embedded_broker, topic_prefix, Interrupted) as system:
        with pytest.raises(KafkaError):
            await forward(system, {0: {}}, MARKER, lambda _line: None, transactional=False)
        done = await forward(system, {0: {}}, MARKER, lambda _line: None, transactional=False)
        assert done == len(WAITING) - 10
        numbers = [*range(20), *range(10, len(WAITING))]
        assert await forwarded(system) == in_order(numbers)
        assert await forward(system, {0: {}}, MARKER, lambda _l: None, transactional=False) == 0
