"""The input when its number of partitions changes: how far it was applied, and what a producer has
published meanwhile by the old number, which is published again where it belongs.

Source: docs/operations.md, more partitions.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing, nullcontext
from typing import Any

from aiokafka import AIOKafkaProducer

from cdp_stream.formats.rows import (
    PARTITION_KEY,
    PartitionState,
    decode_partition,
    encode_partition,
)
from cdp_stream.kafka.aiokafka_patches.transaction_sender import note_unanswered
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.kafka.produce import Routing
from cdp_stream.kafka.recovery.replaced_topics import check_applied
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.kafka.repartition.stopped_system import Rows, StoppedSystem
from cdp_stream.partition.relocation import Marker, own_rows

__all__ = ["by_place", "forward", "positions", "starts_after"]

_NEVER = encode_partition(PartitionState(-1, -1))


async def positions(
    system: StoppedSystem, own: Mapping[int, Rows], before: int, *, is_begin: bool = False
) -> dict[int, int]:
    """The next offset of the input that each old partition has yet to apply.

    Args:
        system: Its topics.
        own: The partitions' own rows.
        before: How many old partitions there are.
        is_begin: Nothing was moved yet, so no position of the group can be ahead of the rows.

    Raises:
        ReplacedError: One is.
    """
    async with system.as_group() as consumer:
        found = {}
        for number in range(before):
            tp = TopicPartition(system.events, number)
            consumer.assign([tp])
            state = own[number].get(PARTITION_KEY)
            applied = -1 if state is None else decode_partition(state).position
            committed = await consumer.committed(tp) or 0
            if is_begin:
                check_applied(system.group, tp, system.changelog, committed, applied)
            found[number] = max(committed, applied + 1)
        return found


async def starts_after(
    system: StoppedSystem, own: Mapping[int, Rows], marker: Marker
) -> tuple[int, ...]:
    """The next offset that each old partition applies after the move: its end, if some waiting
    records belong elsewhere and all are forwarded; otherwise its position.
    """
    starts = await positions(system, own, marker.before)
    routing = Routing(marker.after)
    found = dict(starts)
    behind: dict[int, int] = {}

    def take(number: int, records: list[Any]) -> None:
        behind[number] = records[-1].offset + 1
        if found[number] != starts[number] or by_place(records, number, routing).keys() != {number}:
            found[number] = behind[number]

    await read_to_end(system.client, system.events, list(starts), take, starts=starts)
    return tuple(found.values())


async def forward(
    system: StoppedSystem,
    own: Mapping[int, Rows],
    marker: Marker,
    report: Callable[[str], None],
    *,
    transactional: bool,
) -> int:
    """Publish again, where they belong now, the records that came in by the old number: all that
    no partition has applied before `marker.starts`.

    Records are published piece by piece. A piece and the group's position after it are one
    transaction, where there are transactions; so an interrupted run resumes where it was. Without
    transactions the piece that was under way is published again, whole.

    Args:
        system: Its topics.
        own: The partitions' own rows.
        marker: It has the offsets to end at.
        report: Called with the progress.
        transactional: Whether there are transactions.

    Returns:
        How many records were published again.
    """
    forwarded = 0
    while await _waiting(system, own, marker):
        async for count in _forward(system, own, marker, transactional=transactional):
            forwarded += count
            report(f"forwarding what came by the old number: {forwarded:,} so far")
    return forwarded


async def _forward(
    system: StoppedSystem, own: Mapping[int, Rows], marker: Marker, *, transactional: bool
) -> AsyncGenerator[int]:
    """Forward with one producer; yields how many records were in each piece.

    It ends early if a request was not answered: in the epoch of the next producer that request can
    have no effect any more.
    """
    events, routing = system.events, Routing(marker.after)
    rows = own_rows({number: own[number] for number in range(marker.before)}, marker)
    options = {"transactional_id": f"{system.group}-repartition"} if transactional else {}
    async with system.producer(events, partitions=marker.after, **options) as producer:
        unanswered = note_unanswered(producer)
        # Read again, as the start has ended what another, perhaps alive, had under way.
        waiting = await _waiting(system, own, marker)
        for number, (start, end) in waiting.items():
            # A position of the group without one in the rows would look like a lost changelog.
            state = decode_partition(rows[number].get(PARTITION_KEY, _NEVER))
            async with aclosing(system.pieces(events, number, start, end)) as pieces:
                async for records in pieces:
                    last = records[-1].offset
                    row = (PARTITION_KEY, encode_partition(state._replace(position=last)))
                    behind = {TopicPartition(events, number): last + 1}
                    async with producer.transaction() if transactional else nullcontext():
                        await _publish(producer, events, by_place(records, number, routing))
                        await system.send(producer, system.changelog, number, [row])
                        if transactional:
                            await producer.send_offsets_to_transaction(behind, system.group)
                    if not transactional:
                        await system.commit(behind)
                    yield len(records)
                    if transactional and unanswered.is_set():
                        return


async def _waiting(
    system: StoppedSystem, own: Mapping[int, Rows], marker: Marker
) -> dict[int, tuple[int, int]]:
    """The range of offsets to forward from each old partition that has any."""
    starts = await positions(system, own, marker.before)
    ends = enumerate(marker.starts)
    return {number: (starts[number], end) for number, end in ends if starts[number] < end}


def by_place(records: Iterable[Any], number: int, routing: Routing) -> dict[int, list[Any]]:
    """Records of a partition by where they belong, each in order.

    Args:
        records: Of the input.
        number: The partition. Records without a key, such as time markers, belong to it.
        routing: By the new number.
    """
    places: dict[int, list[Any]] = {}
    for record in records:
        place = number if record.key is None else routing.partition_of(record.key)
        places.setdefault(place, []).append(record)
    return places


async def _publish(
    producer: AIOKafkaProducer, topic: str, places: Mapping[int, Iterable[Any]]
) -> None:
    """Publish records with their timestamps, and wait until they are there."""
    sent = []
    for place, records in places.items():
        batch = producer.create_batch()
        for record in records:
            item = {
                "key": record.key,
                "value": record.value,
                "timestamp": record.timestamp,
                "headers": list(record.headers),
            }
            if batch.append(**item) is None:
                sent.append(await producer.send_batch(batch, topic, partition=place))
                batch = producer.create_batch()
                batch.append(**item)
        batch.close()
        sent.append(await producer.send_batch(batch, topic, partition=place))
    await asyncio.gather(*sent)
