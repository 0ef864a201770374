"""Reads the log from far back, beside the live consumer of a partition: what backfills read.

One source after the other (partition/sources.py), its offsets as if all were one log. A consumer
without a group reads ahead: what waits is bounded by its share of the memory for records that wait,
and one fetch. A broker that does not answer is asked again: live records do not depend on it, and
what was read is kept.

The reader skips records that are too old to count, by their timestamps, and sources that have no
others. If the log begins later than the oldest record that counts, records that count are lost.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from cdp_stream.formats.backfill_rows import OPEN, Source
from cdp_stream.kafka.aiokafka_patches.fetch_observer import FetchObserver
from cdp_stream.kafka.clients.chunk import LEAST_FETCHED, memory_of
from cdp_stream.kafka.clients.log_reader import log_reader
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.observability.log import log
from cdp_stream.partition.effects import Record
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.partition.sources import JoinedLog

__all__ = ["HistoryRange", "HistoryReader", "HistorySlice", "Start"]

_AHEAD_BYTES = 4 * 1024 * 1024
"""No more is read ahead, however much memory is free."""
_FETCH_BYTES = 512 * 1024
"""Unpacked at once, between two slices of live records: about 3 ms."""
_POLL_MS = 500
_RETRY_S = 2.0
_CUT_OFF_S = 30.0
"""How long an end before an earlier end is not believed: a new leader may briefly report one."""


@dataclass(frozen=True, slots=True)
class HistoryRange:
    """What is to be read.

    Attributes:
        sources: in order; the last is the partition's own log.
        live: the offset in that log at which live records continue: reading begins no later.
        since: no record of an earlier timestamp is needed, epoch ms; None needs all there is.
        resume: the offset to resume at instead, in exactly these sources; None starts afresh.
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
        log_is_shorter: whether the log began later than asked for, and records before it are lost.
    """

    offset: int
    log_is_shorter: bool


class HistorySlice(NamedTuple):
    """Some more records of a partition's history.

    Attributes:
        records: of one source, with the offsets of their partition.
        through: the offset up to which all has now been returned; -1 while nothing is known.
        source: the source of the records.
    """

    records: list[Record]
    through: int
    source: int


class HistoryReader:
    """Reads the history of one partition.

    Args:
        client: Connection settings of the aiokafka client.
        topic: The log.
        wanted: What to read of it.
        wake: Called when there are more records.
        budget: Memory for records that wait.
        cut_off_s: How long an end that is too early is not believed.

    Attributes:
        history: The sources to read, without what is too old once that is known.
        start: Where reading began, or resumed; ``None`` until that is known.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        wanted: HistoryRange,
        *,
        wake: Callable[[], None],
        budget: MemoryBudget | None = None,
        cut_off_s: float = _CUT_OFF_S,
    ) -> None:
        self._client = client
        self._topic = topic
        self._wanted = wanted
        self._next = wanted.resume
        self._wake = wake
        self._cut_off_s = cut_off_s
        self._budget = budget if budget is not None else MemoryBudget()
        self._budget.join(self)
        self._chunks: deque[tuple[int, list[Any], int]] = deque()
        self._cursor = 0
        self._waiting_bytes = 0
        self._may_read = asyncio.Event()
        self.history = JoinedLog(wanted.sources)
        self.start: Start | None = None
        self._task = asyncio.create_task(self._run())

    def next_slice(self, limit: int, through: int) -> HistorySlice:
        """The next records up to an offset, at most so many."""
        records: list[Record] = []
        index = self._chunks[0][0] if self._chunks else 0
        shift = self.history.shift(index)
        while self._chunks and len(records) < limit:
            of, chunk, size = self._chunks[0]
            if of != index:
                break
            part = chunk[self._cursor : self._cursor + limit - len(records)]
            if part[-1].offset + shift > through:
                part = [record for record in part if record.offset + shift <= through]
                if not part:
                    break
            records += part
            self._cursor += len(part)
            if self._cursor == len(chunk):
                self._chunks.popleft()
                self._waiting_bytes -= size
                self._cursor = 0
        if self._waiting_bytes < self._most():
            self._may_read.set()
        last = records[-1].offset + shift if records else -1
        if len(records) == limit:
            return HistorySlice(records, last, index)
        if self._chunks:
            of, chunk, _size = self._chunks[0]
            before = chunk[self._cursor].offset + self.history.shift(of) - 1
            return HistorySlice(records, min(through, before), index)
        known = -1 if self._next is None or self.start is None else self._next - 1
        return HistorySlice(records, max(last, min(through, known)), index)

    def _most(self) -> int:
        return min(self._budget.share(), _AHEAD_BYTES)

    async def close(self) -> None:
        """Stop reading."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._read()
            except (KafkaError, OSError) as error:
                log("backfill_waiting", level=logging.WARNING,
                    partition=self.history.sources[-1].partition,
                    error=str(error) or type(error).__name__,
                    next="nothing: it continues by itself when the broker answers")  # fmt: skip
            await asyncio.sleep(_RETRY_S)

    async def _read(self) -> None:
        observer = FetchObserver()
        fetched = max(LEAST_FETCHED, min(self._most() // 2, _FETCH_BYTES))
        async with log_reader(self._client, observer=observer, partition_bytes=fetched) as consumer:
            if self.start is None:
                await self._begin(consumer)
            while True:
                assert self._next is not None
                await self._read_source(consumer, observer, self.history.index(self._next))

    async def _begin(self, consumer: AIOKafkaConsumer) -> None:
        if self._next is None:
            self.history, start = await _find_start(consumer, self._topic, self._wanted)
        else:
            start = await _go_on_at(consumer, self._topic, self.history, self._next)
        self._next, self.start = start.offset, start
        self._wake()

    async def _read_source(
        self, consumer: AIOKafkaConsumer, observer: FetchObserver, index: int
    ) -> None:
        """Read a source to its end; the last source has none."""
        source, shift = self.history.sources[index], self.history.shift(index)
        tp = TopicPartition(self._topic, source.partition)
        assert self._next is not None
        consumer.assign([tp])
        observer.forget(tp)
        consumer.seek(tp, self._next - shift)
        cut_off_at: float | None = None
        loop = asyncio.get_running_loop()
        while True:
            if self._waiting_bytes >= self._most():
                self._may_read.clear()
                await self._may_read.wait()
            fetched = await consumer.getmany(timeout_ms=_POLL_MS)
            if tp in observer.out_of_range:
                # Retention has deleted the next record; aiokafka continues at the log's beginning.
                observer.forget(tp)
                self._note_gap()
            for records in fetched.values():
                self._keep(index, source, records)
            position: int = await consumer.position(tp)
            if source.end == OPEN or position < source.end:
                self._next = position + shift
                self._wake()
            if source.end == OPEN:
                continue
            if position >= source.end:
                break
            seen = observer.ends.get(tp)
            if seen is None or seen.end >= source.end:
                cut_off_at = None
            elif cut_off_at is None:
                cut_off_at = loop.time()
            elif loop.time() - cut_off_at > self._cut_off_s:
                self._note_gap()
                break
        self._next = self.history.begin(index + 1)
        self._wake()

    def _keep(self, index: int, source: Source, records: list[Any]) -> None:
        if source.end != OPEN and records[-1].offset >= source.end:
            records = [record for record in records if record.offset < source.end]
        if records:
            size = memory_of(records)
            self._chunks.append((index, records, size))
            self._waiting_bytes += size

    def _note_gap(self) -> None:
        assert self.start is not None
        self.start = Start(self.start.offset, log_is_shorter=True)


async def _find_start(
    consumer: AIOKafkaConsumer, topic: str, wanted: HistoryRange
) -> tuple[JoinedLog, Start]:
    """Find what can be read of a log: the rest of its sources, and where reading begins."""
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


async def _go_on_at(
    consumer: AIOKafkaConsumer, topic: str, history: JoinedLog, offset: int
) -> Start:
    """Where to resume: at an offset, or at the next one that its source still has."""
    index = history.index(offset)
    tp = TopicPartition(topic, history.sources[index].partition)
    beginning: int = (await consumer.beginning_offsets([tp]))[tp] + history.shift(index)
    if index + 1 < len(history.sources):
        beginning = min(beginning, history.begin(index + 1))
    return Start(max(offset, beginning), log_is_shorter=offset < beginning)
