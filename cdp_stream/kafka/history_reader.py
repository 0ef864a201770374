"""Reading one partition of the log from far back, beside its live consumer: what backfills read.

A consumer without a group reads ahead, a little: what waits is bounded by `_AHEAD` records and one
fetch. When the broker does not answer it is tried again: live traffic does not depend on it, and
what was read is kept.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from cdp_stream.kafka.log import log
from cdp_stream.kafka.observation import Observation
from cdp_stream.kafka.unpacking import unpack_whole_batches
from cdp_stream.partition.effects import Record

__all__ = ["HistoryReader", "Start"]

_AHEAD = 5_000
_FETCH_BYTES = 512 * 1024
"""Unpacked at once, between two slices of live records: about 3 ms."""
_POLL_MS = 500
_RETRY_S = 2.0


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading begins.

    Attributes:
        offset: of the first record.
        log_is_shorter: whether the log began later than asked for; what was before is gone.
    """

    offset: int
    log_is_shorter: bool


class HistoryReader:
    """Reads one partition.

    Args:
        client: Connection settings of the aiokafka client.
        topic: The log.
        partition: Its partition.
        since: No record of an earlier timestamp is needed, epoch ms; ``None`` reads all there is.
        resume: The offset to go on at instead; ``None`` begins.
        wake: Called when there is something to take.

    Attributes:
        start: Where it began, or went on; ``None`` until that is known.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        partition: int,
        *,
        since: int | None,
        resume: int | None,
        wake: Callable[[], None],
    ) -> None:
        self._client = client
        self._tp = TopicPartition(topic, partition)
        self._since = since
        self._next = resume
        self._wake = wake
        self._chunks: deque[list[Any]] = deque()
        self._cursor = 0
        self._held = 0
        self._has_room = asyncio.Event()
        self.start: Start | None = None
        self._task = asyncio.create_task(self._run())

    def take(self, limit: int, through: int) -> tuple[list[Record], int]:
        """The next records up to an offset, at most so many.

        Returns:
            The records, and the offset up to which all has now been taken; -1 while nothing is
            known.
        """
        taken: list[Record] = []
        while self._chunks and len(taken) < limit:
            chunk = self._chunks[0]
            part = chunk[self._cursor : self._cursor + limit - len(taken)]
            if part[-1].offset > through:
                part = [record for record in part if record.offset <= through]
                if not part:
                    break
            taken += part
            self._held -= len(part)
            self._cursor += len(part)
            if self._cursor == len(chunk):
                self._chunks.popleft()
                self._cursor = 0
        if self._held < _AHEAD:
            self._has_room.set()
        last = taken[-1].offset if taken else -1
        if len(taken) == limit:
            return taken, last
        if self._chunks:  # the next record is behind the offset
            return taken, through
        known = -1 if self._next is None or self.start is None else self._next - 1
        return taken, max(last, min(through, known))

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
                log("backfill_waits", level=logging.WARNING, partition=self._tp.partition,
                    error=str(error) or type(error).__name__,
                    next="nothing: it goes on by itself when the broker answers")  # fmt: skip
            await asyncio.sleep(_RETRY_S)

    async def _read(self) -> None:
        tp, observation = self._tp, Observation()
        consumer = AIOKafkaConsumer(
            **self._client,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        observation.attach(consumer)
        await consumer.start()
        try:
            unpack_whole_batches(consumer)
            consumer.assign([tp])
            if self.start is None:
                self.start = await self._find_start(consumer)
                self._next = self.start.offset
                self._wake()
            assert self._next is not None
            consumer.seek(tp, self._next)
            while True:
                if self._held >= _AHEAD:
                    self._has_room.clear()
                    await self._has_room.wait()
                fetched = await consumer.getmany(timeout_ms=_POLL_MS)
                if (tp.topic, tp.partition) in observation.out_of_range:
                    # Retention was faster than we are; aiokafka goes on at the beginning.
                    observation.forget((tp.topic, tp.partition))
                    self.start = Start(self.start.offset, log_is_shorter=True)
                for records in fetched.values():
                    self._chunks.append(records)
                    self._held += len(records)
                self._next = await consumer.position(tp)
                self._wake()
        finally:
            await consumer.stop()

    async def _find_start(self, consumer: AIOKafkaConsumer) -> Start:
        tp = self._tp
        beginning: int = (await consumer.beginning_offsets([tp]))[tp]
        if self._next is not None:
            return Start(max(self._next, beginning), log_is_shorter=self._next < beginning)
        offset = beginning
        if self._since is not None and self._since > 0:
            found = (await consumer.offsets_for_times({tp: self._since}))[tp]
            # None: nothing is as new as that.
            offset = (await consumer.end_offsets([tp]))[tp] if found is None else found.offset
        # A log that begins at 0 has never lost anything.
        return Start(offset, log_is_shorter=0 < beginning >= offset)
