"""Delivery of a partition's effects, at least once, in order.

For each piece: outputs delivered, then rows (the meta row last), then the input position may be
committed. Several pieces are in flight at a time; the outputs of a later one may overtake the
*rows* of an earlier one, for after a crash the same records make the same outputs again. Outputs
never overtake outputs, nor rows rows. A tick is a barrier: its outputs wait until everything
before it is durable, the partition's time above all, since no record is there to make them again.

A delivery that fails ends the worker, without moving the position.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from cdp_stream.kafka.commit.record_writer import (
    Confirm,
    OutputTopics,
    explained,
    reached,
    send_effects,
    send_pairs,
    send_records,
    without_value,
)
from cdp_stream.partition.effects import Effects, Rejected
from cdp_stream.partition.memory_budget import MemoryBudget

__all__ = ["MAX_IN_FLIGHT", "AtLeastOnceLane"]

MAX_IN_FLIGHT = 4
"""Pieces of one partition that may be on their way: enough to hide the broker's round trip."""


class _Piece:
    """One submission: set as its outputs are enqueued, and as all of it is durable."""

    __slots__ = ("durable", "enqueued")

    def __init__(self) -> None:
        self.enqueued = asyncio.Event()
        self.durable = asyncio.Event()


class AtLeastOnceLane:
    """The deliveries of one partition.

    Args:
        producer: Gives the running producer.
        topics: Where effects go.
        partition: The partition number, the same in all of them.
        advance: Called with the next input offset once all below it is durable.
        freed: Called whenever a piece is done, or has failed.
        confirm: Called as the rows of a piece are in the changelog.
        budget: Memory for what is on its way, of all partitions together.

    Attributes:
        failed: Whether a delivery has failed; nothing moves after that.
        failure: Why it has.
    """

    is_atomic = False

    def __init__(  # noqa: PLR0913 - one for each thing that can happen
        self,
        producer: Callable[[], AIOKafkaProducer],
        topics: OutputTopics,
        partition: int,
        *,
        advance: Callable[[int], None],
        freed: Callable[[], None],
        confirm: Confirm,
        budget: MemoryBudget,
    ) -> None:
        self._budget = budget
        self._producer = producer
        self._topics = topics
        self._partition = partition
        self._advance = advance
        self._freed = freed
        self._confirm = confirm
        self._alone = True
        self._behind: int | None = None
        self._last: _Piece | None = None
        self._tasks: dict[asyncio.Task[None], int] = {}
        self.failed = False
        self.failure: BaseException | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self.failed and not self._tasks

    @property
    def has_room(self) -> bool:
        """Whether another piece may be submitted now."""
        return not self.failed and len(self._tasks) < MAX_IN_FLIGHT and not self._budget.is_full

    async def open(self) -> None:
        """Nothing to do: the worker's producer runs."""

    async def close(self) -> None:
        """Nothing to do: the worker's producer stays."""

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
        self._tasks[task] = effects.size
        self._budget.reserve(effects.size)
        task.add_done_callback(self._finished)

    async def drain(self) -> None:
        """Wait until everything submitted is durable, or has failed."""
        while self._tasks and not self.failed:
            await asyncio.wait(set(self._tasks), return_when=asyncio.FIRST_COMPLETED)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._budget.release(self._tasks.pop(task))
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed = True
            for waiting in self._tasks:
                waiting.cancel()
            self.failure = explained(error)
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
        batches: list[asyncio.Future[Any]] = []
        if effects.rows:
            batches = await send_pairs(
                self._producer(), self._topics.changelog, self._partition, effects.rows.items()
            )
            for batch in batches:
                await batch
        self._confirm(1, self._reached(batches, len(effects.rows)))
        if next_offset is not None:
            self._advance(next_offset)
        piece.durable.set()

    def _reached(self, batches: list[asyncio.Future[Any]], rows: int) -> int:
        """How far these rows reach, -1 as soon as the changelog holds others in between.

        Nothing fences a worker that lost the partition and whose write was long on its way.
        """
        if not batches:
            return -1
        if self._behind not in (None, batches[0].result().offset):
            self._alone = False
        behind = reached(batches, rows)
        self._behind = behind if len(batches) == 1 else None
        return behind if self._alone else -1

    async def _send_outputs(self, effects: Effects) -> list[asyncio.Future[Any]]:
        futures, alone = await send_effects(
            self._producer(), self._topics, self._partition, effects
        )
        if alone:
            futures.append(asyncio.ensure_future(self._settle(alone)))
        return futures

    async def _settle(self, alone: list[tuple[Rejected, asyncio.Future[Any]]]) -> None:
        for record, future in alone:
            try:
                await future
            except MessageSizeTooLargeError:
                again = await send_records(
                    self._producer(), self._topics.rejected, self._partition,
                    [without_value(record)],
                )  # fmt: skip
                await asyncio.gather(*again)
