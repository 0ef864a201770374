"""Reads partitions from their beginning to their end, in bulk: recovery.

Faust's own recovery counts records up to an end offset that it requested beforehand. It never ends
on a changelog that ends in a transaction marker or whose tail was compacted away, and loses rows on
a broker that returns a wrong one. Here a partition has been read when a fetch, sent after we
began, is answered with "nothing beyond what you have", and that is confirmed
(aiokafka_patches/fetch_observer.py): no offset is counted.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaTimeoutError, OffsetOutOfRangeError

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.aiokafka_patches.fetch_observer import FetchObserver
from cdp_stream.kafka.clients.log_reader import log_reader
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.observability.log import log

__all__ = ["RecoveryProgress", "find_lost_positions", "read_to_end"]

_POLL_MS = 200
_FETCH_MS = 10
_STALLED_AFTER_S = 120.0
_LOG_EVERY_S = 5.0
_LOOK_AT_LEADERS = (
    "check that the leaders of its partitions are up, and as many replicas in sync with them as "
    "min.insync.replicas requires"
)


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

    Aborted transactions are left out. Returns when all records that the partitions had at the call
    have been passed on.

    Args:
        client: Connection settings of the aiokafka client.
        topic: The topic to read.
        partitions: Which of its partitions.
        take: Called with lists of records as aiokafka decoded them.
        starts: The offset to begin at, of partitions that are not read from their beginning.
        progress: Called from time to time with the next offset and the end of each partition, as
            far as they are known.

    Raises:
        BrokerError: The broker sent nothing for two minutes.
    """
    waiting = {TopicPartition(topic, partition) for partition in partitions}
    if not waiting:
        return
    observer = FetchObserver()
    async with log_reader(client, observer=observer, max_wait_ms=_FETCH_MS) as consumer:
        consumer.assign(list(waiting))
        for number, offset in (starts or {}).items():
            consumer.seek(TopicPartition(topic, number), offset)
        last: dict[TopicPartition, int] = {}
        loop = asyncio.get_running_loop()
        heard_at = loop.time()
        while waiting:
            fetched = await consumer.getmany(timeout_ms=_POLL_MS)
            for tp, records in fetched.items():  # no await in here: see FetchObserver.handed_over
                last[tp] = records[-1].offset
                observer.handed_over(tp, last[tp])
            for tp, records in fetched.items():
                take(tp.partition, records)
                heard_at = loop.time()
                await asyncio.sleep(0)
            if progress is not None:
                ends = {partition: end for (_, partition), end in observer.highwaters.items()}
                progress({tp.partition: offset + 1 for tp, offset in last.items()}, ends)
            done = {tp for tp in waiting if _at_end(observer, tp, last.get(tp, -1))}
            if done:
                consumer.pause(*done)
                waiting -= done
            elif loop.time() - heard_at > _STALLED_AFTER_S:
                raise BrokerError(
                    f"the broker sent nothing of {topic} for {_STALLED_AFTER_S:.0f} s",
                    _LOOK_AT_LEADERS,
                )


async def find_lost_positions(
    client: Mapping[str, Any],
    topic: str,
    positions: Mapping[int, int],
    *,
    believed_after_s: float = 0.0,
    answers_within_s: float = _STALLED_AFTER_S,
) -> dict[int, int]:
    """Find partitions that do not reach up to a position that was read from them before.

    Args:
        client: Connection settings of the aiokafka client.
        topic: The topic.
        positions: Next offset to read, per partition.
        believed_after_s: How long an end before the position is not believed, and asked for again.
        answers_within_s: How long the broker may take to answer, besides that.

    Returns:
        The end offset of each partition that ends before its position: the topic was deleted and
        created again, or truncated. A position that retention has passed is not among them.

    Raises:
        BrokerError: The broker does not answer.
    """
    waiting = {TopicPartition(topic, p): offset for p, offset in positions.items()}
    if not waiting:
        return {}
    observer = FetchObserver()
    reader = log_reader(client, observer=observer, auto_offset_reset="none", max_wait_ms=_FETCH_MS)
    try:
        async with asyncio.timeout(believed_after_s + answers_within_s), reader as consumer:
            return await _find_lost(consumer, observer, waiting, believed_after_s)
    except TimeoutError as error:
        numbers = ", ".join(str(tp.partition) for tp in sorted(waiting))
        noun = "partition" if len(waiting) == 1 else "partitions"
        raise BrokerError(
            f"the broker did not return the end of {topic} within {answers_within_s:g} s, "
            f"{noun} {numbers}",
            _LOOK_AT_LEADERS,
        ) from error


async def _find_lost(
    consumer: AIOKafkaConsumer,
    observer: FetchObserver,
    waiting: dict[TopicPartition, int],
    believed_after_s: float,
) -> dict[int, int]:
    """Ask until each partition is known to be long enough, or believed not to be; those that are
    not known yet stay in ``waiting``.
    """
    consumer.assign(list(waiting))
    for tp, offset in waiting.items():
        consumer.seek(tp, offset)
    lost: dict[int, int] = {}
    loop = asyncio.get_running_loop()
    believed_at = loop.time() + believed_after_s
    while True:
        # The ends first: most of the time they suffice.
        ends = await _ends(consumer, list(waiting))
        for tp, offset in list(waiting.items()):
            end = max(ends.get(tp, 0), observer.highwaters.get(tp, 0))
            if end < offset:
                answered = tp in ends and (tp in observer.ends or tp in observer.out_of_range)
                if not answered or loop.time() < believed_at:
                    continue
                lost[tp.partition] = end
            consumer.pause(tp)
            del waiting[tp]
        if not waiting:
            return lost
        # Some brokers return an end before the last records; a fetch at the position does not.
        try:
            await consumer.getmany(timeout_ms=_POLL_MS)
        except OffsetOutOfRangeError:
            await asyncio.sleep(_POLL_MS / 1000)


async def _ends(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
) -> dict[TopicPartition, int]:
    """Ends as the broker returns them; none while it does not know them."""
    try:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    except KafkaTimeoutError:
        return {}
    return ends


def _at_end(observer: FetchObserver, tp: TopicPartition, last: int) -> bool:
    end = observer.ends.get(tp)
    return end is not None and last >= end.after


class RecoveryProgress:
    """The progress of one reading of a changelog.

    Args:
        topic: The changelog.
        starts: The first offset to read, of partitions that are not read from their beginning.
        clock: Seconds of a steady clock.

    Attributes:
        records: How many were read.
    """

    def __init__(
        self, topic: str, starts: Mapping[int, int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.records = 0
        self._topic = topic
        self._starts = starts
        self._clock = clock
        self._began = self._logged = clock()

    def count(self, records: int) -> None:
        """Note records that were read."""
        self.records += records

    def note(self, read_to: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Log the progress, every few seconds.

        The share is one of offsets, in which compaction has left gaps: a changelog has no cheap
        count of its records.

        Args:
            read_to: The next offset of each partition of which something was read.
            ends: The end offset of each partition, as far as the broker has given it.
        """
        now = self._clock()
        if now - self._logged < _LOG_EVERY_S:
            return
        self._logged = now
        seconds = now - self._began
        starts = self._starts
        total = sum(end - starts.get(number, 0) for number, end in ends.items())
        done = sum(offset - starts.get(number, 0) for number, offset in read_to.items())
        log(
            "recovery_progress", topic=self._topic, records=self.records,
            records_per_second=round(self.records / seconds),
            percent=round(100 * done / total, 1) if total else 0.0,
            seconds_left=round(seconds * (total - done) / done) if done else None,
        )  # fmt: skip
