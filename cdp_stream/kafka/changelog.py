"""Reading partitions from their beginning to their end, in bulk: recovery.

Faust's own recovery counts records up to an end offset that it asked for beforehand. That hangs on
a changelog that ends in a transaction marker or whose tail was compacted away, and loses rows on a
broker that tells that offset wrong. Here a partition has been read when a fetch, sent after we
began, is answered with "nothing beyond what you have": no offset is counted, none is asked for.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.chunks import FETCH_BYTES
from cdp_stream.kafka.observation import Observation
from cdp_stream.kafka.unpacking import unpack_whole_batches

__all__ = ["find_lost_positions", "read_to_end"]

_POLL_MS = 200
_STALLED_AFTER_S = 120.0


async def read_to_end(
    client: Mapping[str, Any],
    topic: str,
    partitions: Collection[int],
    take: Callable[[int, list[Any]], None],
    *,
    starts: Mapping[int, int] | None = None,
    progress: Callable[[Mapping[int, int], Mapping[int, int]], None] | None = None,
) -> None:
    """Pass every record of these partitions to ``take(partition, records)``, in order.

    Aborted transactions are left out. Returns when all that the partitions held as this was called
    has been passed on.

    Args:
        client: Connection settings of the aiokafka client.
        topic: The topic to read.
        partitions: Which of its partitions.
        take: Gets lists of records as aiokafka decoded them.
        starts: The offset to begin at, of partitions that are not read from their beginning.
        progress: Called now and then with the next offset and the end of each partition, as far as
            they are known.

    Raises:
        BrokerError: The broker sent nothing for two minutes.
    """
    waiting = {TopicPartition(topic, partition) for partition in partitions}
    if not waiting:
        return
    observation = Observation()
    consumer = _reader(client, observation)
    await consumer.start()
    try:
        unpack_whole_batches(consumer)
        consumer.assign(list(waiting))
        for number, offset in (starts or {}).items():
            consumer.seek(TopicPartition(topic, number), offset)
        last: dict[TopicPartition, int] = {}
        loop = asyncio.get_running_loop()
        heard_at = loop.time()
        while waiting:
            fetched = await consumer.getmany(timeout_ms=_POLL_MS)
            for tp, records in fetched.items():  # no await in here: see Observation.handed_over
                last[tp] = records[-1].offset
                observation.handed_over((tp.topic, tp.partition), last[tp])
            for tp, records in fetched.items():
                take(tp.partition, records)
                heard_at = loop.time()
                await asyncio.sleep(0)
            if progress is not None:
                ends = {partition: end for (_, partition), end in observation.highwaters.items()}
                progress({tp.partition: offset + 1 for tp, offset in last.items()}, ends)
            done = {tp for tp in waiting if _at_end(observation, tp, last.get(tp, -1))}
            if done:
                consumer.pause(*done)
                waiting -= done
            elif loop.time() - heard_at > _STALLED_AFTER_S:
                raise BrokerError(
                    f"the broker sent nothing of {topic} for {_STALLED_AFTER_S:.0f} s",
                    "check that the leaders of its partitions are up",
                )
    finally:
        await consumer.stop()


async def find_lost_positions(
    client: Mapping[str, Any], topic: str, positions: Mapping[int, int]
) -> dict[int, int]:
    """Tell which partitions do not reach up to a position that was read from them before.

    Args:
        client: Connection settings of the aiokafka client.
        topic: The input topic.
        positions: Next offset to read, per partition.

    Returns:
        The end offset of each partition that ends before its position: the topic was deleted and
        made anew, or cut off. Empty when all is well. A position that retention has passed is well.
    """
    waiting = {TopicPartition(topic, p): offset for p, offset in positions.items()}
    if not waiting:
        return {}
    observation = Observation()
    consumer = _reader(client, observation)
    await consumer.start()
    try:
        consumer.assign(list(waiting))
        for tp, offset in waiting.items():
            consumer.seek(tp, offset)
        while any(not _answered(observation, tp) for tp in waiting):
            await consumer.getmany(timeout_ms=_POLL_MS)
        ends = {}
        for tp, offset in waiting.items():
            key = (tp.topic, tp.partition)
            if key in observation.out_of_range:
                ends[tp] = (await consumer.end_offsets([tp]))[tp]
            elif observation.highwaters[key] < offset:
                ends[tp] = observation.highwaters[key]
        return {tp.partition: end for tp, end in ends.items() if end < waiting[tp]}
    finally:
        await consumer.stop()


def _answered(observation: Observation, tp: TopicPartition) -> bool:
    key = (tp.topic, tp.partition)
    return key in observation.highwaters or key in observation.out_of_range


def _at_end(observation: Observation, tp: TopicPartition, last: int) -> bool:
    end = observation.ends.get((tp.topic, tp.partition))
    return end is not None and last >= end.after


def _reader(client: Mapping[str, Any], observation: Observation) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(
        **client,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=10,
        max_partition_fetch_bytes=4 * 1024 * 1024,
        fetch_max_bytes=FETCH_BYTES,
    )
    observation.attach(consumer)
    return consumer
