"""Where reading begins, in each of the sources of a partition's history.

What is too old to count is left out of each source by the times of its records, and a source of
which nothing is left goes. Where the log begins later than that, something that counts is gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer

from cdp_stream.formats.backfill_rows import OPEN, Source
from cdp_stream.kafka.topics.topic_partition import TopicPartition
from cdp_stream.partition.sources import JoinedLog

__all__ = ["Start", "Wanted", "find_start", "go_on_at"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read.

    Attributes:
        sources: in order; the last is the partition's own log.
        live: the offset in that at which live records are to go on: reading begins no later.
        since: no record of an earlier timestamp is needed, epoch ms; None needs all there is.
        resume: the offset to go on at instead, in just these sources; None begins.
    """

    sources: Sequence[Source]
    live: int
    since: int | None = None
    resume: int | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading begins.

    Attributes:
        offset: of the first record, in the sources joined end to end.
        log_is_shorter: whether the log began later than asked for; what was before is gone.
    """

    offset: int
    log_is_shorter: bool


async def find_start(
    consumer: AIOKafkaConsumer, topic: str, wanted: Wanted
) -> tuple[JoinedLog, Start]:
    """Find out what there is to read of a log: what is left of the sources, and where it begins."""
    sources, since = wanted.sources, wanted.since
    tps = [TopicPartition(topic, source.partition) for source in sources]
    beginnings = await consumer.beginning_offsets(list(set(tps)))
    offsets = dict(beginnings)
    if since is not None and since > 0:
        found = await consumer.offsets_for_times(dict.fromkeys(tps, since))
        ends = await consumer.end_offsets(list(set(tps)))
        # None: nothing is as new as that.
        offsets = {tp: ends[tp] if at is None else at.offset for tp, at in found.items()}
    left: list[Source] = []
    is_shorter = False
    for tp, source in zip(tps, sources, strict=True):
        beginning, offset = beginnings[tp], offsets[tp]
        # A log that reaches back to where the source begins has lost nothing of it.
        is_shorter |= source.first < beginning >= offset
        first = max(source.first, offset)
        if source.end != OPEN:
            if first < source.end:
                left.append(source._replace(first=first))
        elif source.partitions:
            left.append(source._replace(first=max(source.first, min(first, wanted.live))))
        else:
            return JoinedLog([source]), Start(first, is_shorter)
    history = JoinedLog(left)
    return history, Start(history.first, is_shorter)


async def go_on_at(
    consumer: AIOKafkaConsumer, topic: str, history: JoinedLog, offset: int
) -> Start:
    """Go on at an offset, or at the next that there is of its source."""
    index = history.index(offset)
    tp = TopicPartition(topic, history.sources[index].partition)
    beginning: int = (await consumer.beginning_offsets([tp]))[tp] + history.shift(index)
    if index + 1 < len(history.sources):
        beginning = min(beginning, history.begin(index + 1))
    return Start(max(offset, beginning), log_is_shorter=offset < beginning)
