"""Delivery of a partition's effects, at least once, in order.

For each piece: outputs delivered, then rows (the meta row last), then the input position may be
committed. Several pieces are in flight at a time; the outputs of a later one may overtake the
*rows* of an earlier one, for after a crash the same records make the same outputs again. Outputs
never overtake outputs, nor rows rows. A tick is a barrier: its outputs wait until everything
before it is durable, the partition's time above all, since no record is there to make them again.

A delivery that fails ends the worker, without moving the position.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.observation import wall_ms
from cdp_stream.partition.effects import Effects, Headers, Rejected

__all__ = ["MAX_BATCH_BYTES", "MAX_IN_FLIGHT", "Lane", "OutputTopics", "send_pairs", "send_records"]

MAX_IN_FLIGHT = 4
"""Pieces of one partition that may be on their way: enough to hide the broker's round trip."""

MAX_BATCH_BYTES = 900_000
"""Below what a Kafka topic takes at its defaults (1,048,588), compression aside."""
LARGE_RECORD_BYTES = 800_000
"""A rejected record above this travels alone, as the broker may refuse it."""

Item = tuple[bytes | None, bytes | None, Headers]
_NO_HEADERS: list[tuple[str, bytes | None]] = []


@dataclass(frozen=True, slots=True)
class OutputTopics:
    """Names of the topics that effects go to."""

    memberships: str
    state: str
    rejected: str
    changelog: str


async def send_records(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Iterable[Item]
) -> list[asyncio.Future[Any]]:
    """Enqueue records to one partition as ready-made batches; returns a future per batch.

    A record larger than a batch travels alone. Only one coroutine at a time may enqueue to a
    partition, or batches of two mix.
    """
    now, futures = wall_ms(), []
    batch = producer.create_batch()
    for key, value, headers in records:
        if batch.append(key=key, value=value, timestamp=now, headers=headers) is None:
            futures.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=now, headers=headers)
    if batch.record_count():
        batch.close()  # a closed batch does not linger
        futures.append(await producer.send_batch(batch, topic, partition=partition))
    return futures


async def send_pairs(
    producer: AIOKafkaProducer,
    topic: str,
    partition: int,
    pairs: Iterable[tuple[bytes, bytes | None]],
) -> list[asyncio.Future[Any]]:
    """:func:`send_records` for keys and values without headers, at a third of its time.

    It appends to what a ``BatchBuilder`` wraps, and so keeps its count of records itself.
    """
    now, futures = wall_ms(), []
    batch, count = producer.create_batch(), 0
    append = batch._builder.append
    for key, value in pairs:
        if append(count, now, key, value, _NO_HEADERS) is None:
            futures.append(await _send_filled(producer, topic, partition, batch, count))
            batch, count = producer.create_batch(), 0
            append = batch._builder.append
            append(count, now, key, value, _NO_HEADERS)
        count += 1
    if count:
        futures.append(await _send_filled(producer, topic, partition, batch, count))
    return futures


async def _send_filled(
    producer: AIOKafkaProducer, topic: str, partition: int, batch: Any, count: int
) -> asyncio.Future[Any]:
    batch._relative_offset = count
    batch.close()
    future: asyncio.Future[Any] = await producer.send_batch(batch, topic, partition=partition)
    return future


class _Piece:
    """One submission: set as its outputs are enqueued, and as all of it is durable."""

    __slots__ = ("durable", "enqueued")

    def __init__(self) -> None:
        self.enqueued = asyncio.Event()
        self.durable = asyncio.Event()


class Lane:
    """The deliveries of one partition.

    Args:
        producer: Gives the running producer.
        topics: Where effects go.
        partition: The partition number, the same in all of them.
        advance: Called with the next input offset once all below it is durable.
        fail: Called once with the reason when a delivery has failed; nothing moves after that.
        freed: Called whenever a piece is done.
    """

    def __init__(
        self,
        producer: Callable[[], AIOKafkaProducer],
        topics: OutputTopics,
        partition: int,
        *,
        advance: Callable[[int], None],
        fail: Callable[[BaseException], None],
        freed: Callable[[], None],
    ) -> None:
        self._producer = producer
        self._topics = topics
        self._partition = partition
        self._advance = advance
        self._fail = fail
        self._freed = freed
        self._last: _Piece | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.failed = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self.failed and not self._tasks

    @property
    def has_room(self) -> bool:
        """Whether another piece may be submitted now."""
        return not self.failed and len(self._tasks) < MAX_IN_FLIGHT

    def submit(self, effects: Effects, next_offset: int | None, *, barrier: bool = False) -> None:
        """Deliver ``effects``, then let the input position be ``next_offset`` (if any).

        Args:
            effects: What to deliver; it may be empty.
            next_offset: Offset of the first record that is not in it; ``None`` moves nothing.
            barrier: Send nothing of it before everything submitted earlier is durable.
        """
        piece, previous = _Piece(), self._last
        self._last = piece
        task = asyncio.create_task(self._deliver(piece, previous, effects, next_offset, barrier))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def drain(self) -> None:
        """Wait until everything submitted is durable, or has failed."""
        while self._tasks and not self.failed:
            await asyncio.wait(set(self._tasks), return_when=asyncio.FIRST_COMPLETED)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed = True
            for waiting in self._tasks:
                waiting.cancel()
            self._fail(_explained(error))
        self._freed()

    async def _deliver(
        self,
        piece: _Piece,
        previous: _Piece | None,
        effects: Effects,
        next_offset: int | None,
        barrier: bool,
    ) -> None:
        if previous is not None:
            # A predecessor that failed never sets its events: what follows it is never sent.
            await (previous.durable if barrier else previous.enqueued).wait()
        futures = await self._send_outputs(effects)
        piece.enqueued.set()
        if futures:
            await asyncio.gather(*futures)
        if previous is not None:
            await previous.durable.wait()
        if effects.rows:
            for future in await self._send_pairs(self._topics.changelog, effects.rows.items()):
                await future
        if next_offset is not None:
            self._advance(next_offset)
        piece.durable.set()

    async def _send_outputs(self, effects: Effects) -> list[Any]:
        futures: list[Any] = []
        topics = self._topics
        if effects.memberships:
            futures += await self._send_pairs(topics.memberships, effects.memberships)
        if effects.state:
            futures += await self._send_pairs(topics.state, effects.state)
        if effects.rejected:
            futures.append(await self._send_rejected(effects.rejected))
        return futures

    async def _send_pairs(
        self, topic: str, pairs: Iterable[tuple[bytes, bytes | None]]
    ) -> list[asyncio.Future[Any]]:
        return await send_pairs(self._producer(), topic, self._partition, pairs)

    async def _send(self, topic: str, records: Iterable[Item]) -> list[asyncio.Future[Any]]:
        return await send_records(self._producer(), topic, self._partition, records)

    async def _send_rejected(self, records: list[Rejected]) -> Any:
        """Enqueue rejected input; the answer resolves when all of it is delivered."""
        large: list[tuple[Rejected, asyncio.Future[Any]]] = []
        futures: list[asyncio.Future[Any]] = []
        for alone, group in itertools.groupby(records, key=_is_large):
            if alone:
                for record in group:
                    (future,) = await self._send(self._topics.rejected, [record])
                    large.append((record, future))
            else:
                futures += await self._send(self._topics.rejected, group)
        return asyncio.ensure_future(self._settle_rejected(futures, large))

    async def _settle_rejected(
        self,
        futures: list[asyncio.Future[Any]],
        large: list[tuple[Rejected, asyncio.Future[Any]]],
    ) -> None:
        await asyncio.gather(*futures)
        for (key, value, headers), future in large:
            try:
                await future
            except MessageSizeTooLargeError:
                # The input topic took it, compressed or under a higher limit. It goes without its
                # value; its headers say where that can be read.
                size = ("value_bytes", str(len(value or b"")).encode())
                for again in await self._send(
                    self._topics.rejected, [(key, None, [*headers, size])]
                ):
                    await again


def _is_large(record: Rejected) -> bool:
    key, value, headers = record
    size = len(key or b"") + len(value or b"") + sum(len(n) + len(v) for n, v in headers)
    return size > LARGE_RECORD_BYTES


def _explained(error: BaseException) -> BaseException:
    if isinstance(error, KafkaError):
        return BrokerError(
            f"the broker did not take a write: {error or type(error).__name__}",
            "nothing is lost: see the broker's log, then start the worker again",
        )
    return error
