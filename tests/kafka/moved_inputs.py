"""An input whose records were published by the old number of partitions."""

import asyncio
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer

from cdp_stream.kafka.clients.admin import started_admin
from cdp_stream.kafka.commit.record_writer import send_records
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.kafka.repartition.stopped_system import StoppedSystem
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.partition.relocation import FORWARD, Marker
from cdp_stream.settings import Settings

WAITING = [(b"%d" % (n % 9), b"%d" % n, []) for n in range(25)]


MARKER = Marker(1, 2, FORWARD, starts=(len(WAITING),))
"""Of a move from one partition to two, in whose first these records wait."""


@asynccontextmanager
async def waiting_on(broker, prefix, kind=StoppedSystem):
    """A system at that step of the move."""
    settings = Settings(broker=broker, prefix=prefix, partitions=MARKER.after)
    await ensure_topics(settings)
    admin = await started_admin(settings)
    system = kind(settings, admin)
    try:
        async with AIOKafkaProducer(**system.client) as producer:
            await asyncio.gather(*await send_records(producer, system.events, 0, WAITING))
        yield system
    finally:
        await admin.close()


async def forwarded(system):
    """The values that were published again, by key, in their order."""
    found = {}

    def take(_number, records):
        for record in records:
            found.setdefault(record.key, []).append(int(record.value))

    starts = {0: len(WAITING), 1: 0}
    await read_to_end(system.client, system.events, starts.keys(), take, starts=starts)
    return found


def in_order(numbers):
    found = {}
    for number in numbers:
        found.setdefault(WAITING[number][0], []).append(number)
    return found
