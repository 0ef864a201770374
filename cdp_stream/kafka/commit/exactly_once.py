"""Delivery of a partition's effects, exactly once.

Outputs, rows and the input position of a few pieces are one Kafka transaction: they take effect
together or not at all. While a transaction is under way the next pieces gather, and are the next
one. A tick, and a switch of definitions, is one of its own.

Being fenced is no failure: another worker goes on from what was committed.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from cdp_stream.kafka.commit.partition_producer import FencedError, PartitionProducer
from cdp_stream.kafka.commit.record_writer import (
    Confirm,
    OutputTopics,
    explained,
    reached,
    send_effects,
    send_pairs,
    without_value,
)
from cdp_stream.partition.effects import Effects, Rejected
from cdp_stream.partition.memory_budget import MemoryBudget

__all__ = ["MAX_WAITING", "ExactlyOnceLane"]

MAX_WAITING = 4
"""Pieces that may gather while a transaction is under way."""


class _Piece(NamedTuple):
    """What was submitted at once, and how many bytes it is."""

    effects: Effects
    next_offset: int | None
    is_alone: bool
    size: int


class ExactlyOnceLane:
    """The deliveries of one partition.

    Args:
        producer: The partition's own, not yet open.
        topics: Where effects go.
        partition: The partition number, the same in all of them.
        committed: Called with the next input offset once it is committed.
        freed: Called whenever there is memory again, or a transaction has failed.
        confirm: Called as the rows of pieces are in the changelog, for good.
        budget: Memory for what is on its way, of all partitions together.

    Attributes:
        failed: Whether a transaction has failed, or this was closed; nothing moves after that.
        failure: Why it failed, ``FencedError`` where the partition is another worker's.
    """

    is_atomic = True

    def __init__(  # noqa: PLR0913 - one for each thing that can happen
        self,
        producer: PartitionProducer,
        topics: OutputTopics,
        partition: int,
        *,
        committed: Callable[[int], None],
        freed: Callable[[], None],
        confirm: Confirm,
        budget: MemoryBudget,
    ) -> None:
        self._budget = budget
        self._taken = 0
        self._producer = producer
        self._topics = topics
        self._partition = partition
        self._committed = committed
        self._freed = freed
        self._confirm = confirm
        self._waiting: list[_Piece] = []
        self._task: asyncio.Task[None] | None = None
        self.failed = False
        self.failure: BaseException | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self.failed and self._task is None

    @property
    def has_room(self) -> bool:
        """Whether another piece may be submitted now."""
        return not self.failed and len(self._waiting) < MAX_WAITING and not self._budget.is_full

    async def open(self) -> None:
        """Fence the partition's last owner, and settle what it left open.

        Raises:
            BrokerError: The broker refuses, or does not answer.
        """
        await self._producer.open()

    def submit(self, effects: Effects, next_offset: int | None, *, barrier: bool = False) -> None:
        """Let ``effects`` and the position take effect with the next transaction.

        Args:
            effects: What to deliver; it may be empty.
            next_offset: Offset of the first record that is not in it; ``None`` moves nothing.
            barrier: It is a transaction of its own, which nothing else may share.
        """
        size = effects.size
        self._budget.reserve(size)
        self._taken += size
        self._waiting.append(_Piece(effects, next_offset, barrier, size))
        if self._task is None:
            self._begin()

    async def drain(self) -> None:
        """Wait until everything submitted is committed, or has failed."""
        while self._task is not None:
            await asyncio.wait([self._task])
            await asyncio.sleep(0)  # let the task's callback run

    async def close(self) -> None:
        """Abort what is under way, if anything is, and close the producer."""
        self.failed = True
        if self._task is not None:
            self._task.cancel()
            await self.drain()
            await self._producer.abort()
        await self._producer.close()

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._finished)

    def _give_back(self, size: int) -> None:
        self._budget.release(size)
        self._taken -= size

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed = True
            self.failure = explained(error)
        if self.failed:
            self._waiting.clear()
            self._give_back(self._taken)
        elif self._waiting:  # submitted since the last of them was done
            self._begin()
        self._freed()

    async def _run(self) -> None:
        while self._waiting and not self.failed:
            count = self._together()
            pieces, self._waiting = self._waiting[:count], self._waiting[count:]
            self._freed()
            await self._commit(pieces)
            self._give_back(sum(piece.size for piece in pieces))

    def _together(self) -> int:
        """How many of the pieces that wait are the next transaction."""
        for number, piece in enumerate(self._waiting):
            if piece.is_alone:
                return max(1, number)
        return len(self._waiting)

    async def _commit(self, pieces: Sequence[_Piece]) -> None:
        effects = _merged([piece.effects for piece in pieces])
        offsets = [piece.next_offset for piece in pieces if piece.next_offset is not None]
        next_offset = max(offsets, default=None)
        transaction = _Transaction(self._topics, self._partition, effects)
        try:
            while True:
                try:
                    await self._producer.transact(transaction.send, next_offset)
                    break
                except MessageSizeTooLargeError:
                    if not transaction.drop_refused_values():
                        raise
                    await self._producer.reopen("a record was too large")
        except FencedError:
            raise
        except Exception:
            await self._producer.abort()
            raise
        self._confirm(len(pieces), transaction.reached())
        if next_offset is not None:
            self._committed(next_offset)
        await self._producer.settle()


class _Transaction:
    """What one transaction writes."""

    def __init__(self, topics: OutputTopics, partition: int, effects: Effects) -> None:
        self._topics = topics
        self._partition = partition
        self._effects = effects
        self._alone: list[tuple[Rejected, asyncio.Future[Any]]] = []
        self._batches: list[asyncio.Future[Any]] = []

    async def send(self, producer: AIOKafkaProducer) -> list[asyncio.Future[Any]]:
        """Enqueue everything; returns what to wait for."""
        effects, partition = self._effects, self._partition
        futures, self._alone = await send_effects(producer, self._topics, partition, effects)
        futures += [future for _, future in self._alone]
        rows = effects.rows.items()
        self._batches = await send_pairs(producer, self._topics.changelog, partition, rows)
        return futures + self._batches

    def reached(self) -> int:
        """An offset up to which the changelog holds nothing newer, once it is committed."""
        return reached(self._batches, len(self._effects.rows))

    def drop_refused_values(self) -> bool:
        """Leave out the values of rejected records that were refused; False when none was."""
        refused = {
            id(record)
            for record, future in self._alone
            if future.done() and isinstance(future.exception(), MessageSizeTooLargeError)
        }
        self._effects.rejected = [
            without_value(record) if id(record) in refused else record
            for record in self._effects.rejected
        ]
        return bool(refused)


def _merged(pieces: Sequence[Effects]) -> Effects:
    """Several pieces as one; of a row, the last version remains."""
    if len(pieces) == 1:
        return pieces[0]
    merged = Effects()
    for effects in pieces:
        merged.memberships += effects.memberships
        merged.state += effects.state
        merged.outputs += effects.outputs
        merged.rejected += effects.rejected
        merged.rows |= effects.rows
    return merged
