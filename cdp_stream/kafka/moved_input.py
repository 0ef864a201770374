"""The input at a change of its number of partitions: how far it was applied, and what a producer
has published meanwhile by the old number, which is published again where it belongs.

Source: docs/operations.md, more partitions.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from cdp_stream.formats.rows import (
    PARTITION_KEY,
    PartitionState,
    decode_partition,
    encode_partition,
)
from cdp_stream.kafka.delivery import send_records
from cdp_stream.kafka.produce import Routing
from cdp_stream.kafka.stopped_system import Rows, StoppedSystem
from cdp_stream.partition.relocation import Marker, own_rows

__all__ = ["forward", "positions"]

_NEVER = encode_partition(PartitionState(-1, -1))


async def positions(system: StoppedSystem, own: Mapping[int, Rows], before: int) -> dict[int, int]:
    """The next offset of the input that each old partition has yet to apply.

    Args:
        system: Its topics.
        own: The partitions' own rows.
        before: How many old partitions there are.
    """
    async with system.as_group() as consumer:
        found = {}
        for number in range(before):
            tp = TopicPartition(system.events, number)
            consumer.assign([tp])
            state = own[number].get(PARTITION_KEY)
            applied = -1 if state is None else decode_partition(state).position
            found[number] = max(await consumer.committed(tp) or 0, applied + 1)
        return found


async def forward(
    system: StoppedSystem, own: Mapping[int, Rows], marker: Marker, *, transactional: bool
) -> tuple[dict[int, int], int]:
    """Publish again, where they belong now, the records that came in by the old number.

    Those of a partition and the group's position behind them are one transaction, where there are
    transactions.

    Returns:
        The next offset that each old partition has to apply now, and how many records were
        published again.
    """
    group, events, routing = system.group, system.events, Routing(marker.after)
    rows = own_rows({number: own[number] for number in range(marker.before)}, marker)
    starts = await positions(system, own, marker.before)
    forwarded = 0
    for number, records in (await system.records(events, starts)).items():
        if all(_is_placed(routing, record, number) for record in records):
            continue
        last = records[-1].offset
        starts[number] = last + 1
        behind = {TopicPartition(events, number): last + 1}
        # A position of the group without one in the rows would tell of a lost changelog.
        state = decode_partition(rows[number].get(PARTITION_KEY, _NEVER))
        row = [(PARTITION_KEY, encode_partition(state._replace(position=last)))]
        if not transactional:
            async with system.producer(events, partitions=marker.after) as producer:
                await _publish(producer, events, routing, records)
                await system.send(producer, system.changelog, number, row)
            await system.commit(behind)
        else:
            options = {"transactional_id": f"{group}-repartition"}
            sending = system.producer(events, partitions=marker.after, **options)
            async with sending as producer, producer.transaction():
                await _publish(producer, events, routing, records)
                await system.send(producer, system.changelog, number, row)
                await producer.send_offsets_to_transaction(behind, group)
        forwarded += len(records)
    return starts, forwarded


def _is_placed(routing: Routing, record: Any, number: int) -> bool:
    return record.key is None or routing.partition_of(record.key) == number


async def _publish(
    producer: AIOKafkaProducer, events: str, routing: Routing, records: Iterable[Any]
) -> None:
    for record in records:
        place = routing.partition_of(record.key)
        item = (record.key, record.value, list(record.headers))
        sent = await send_records(producer, events, place, [item], timestamp=record.timestamp)
        await asyncio.gather(*sent)
