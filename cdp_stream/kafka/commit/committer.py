"""One way to commit what a partition does, whatever the guarantee.

The two guarantees share order, gathering and barriers; they differ in how a batch becomes durable,
which is the :class:`Writer`'s: ``at_least_once.py``, ``exactly_once.py``.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from cdp_stream.kafka.commit.record_writer import explained
from cdp_stream.partition.effects import Effects
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.store.rows import RowStore

__all__ = ["MAX_WAITING", "Committer", "Writer"]

MAX_WAITING = 4
"""Pieces that may gather while a batch is being written."""


class Writer(Protocol):
    """Makes the batches of one partition durable, one after the other.

    Attributes:
        is_atomic: Whether outputs, rows and position of a batch take effect together or not at all.
    """

    is_atomic: bool

    async def open(self) -> None:
        """Prepare to write; called before the partition's position and rows are read.

        Raises:
            BrokerError: The broker refuses, or does not answer.
        """
        ...

    async def write(self, effects: Effects, next_offset: int | None) -> int:
        """Make a batch durable: outputs, then rows, then the input position.

        Returns:
            The offset up to which the changelog has nothing newer than these rows; -1 where that
            is not known.

        Raises:
            FencedError: Another worker owns the partition.
            KafkaError: The broker refused a record.
        """
        ...

    async def settle(self) -> None:
        """Make sure, after a batch, that no request of it takes effect later."""
        ...

    async def abort(self) -> None:
        """End the batch under way, so that no reader has to wait for its time-out."""
        ...

    async def close(self) -> None:
        """Close what was opened."""
        ...


class _Piece(NamedTuple):
    effects: Effects
    next_offset: int | None
    is_barrier: bool
    size: int


class Committer:
    """Commits the effects of one partition in the order in which they come.

    Args:
        writer: Makes batches durable; not open yet.
        store: The rows of all partitions.
        partition: The partition's number.
        budget: Memory for what is on its way, of all partitions together.
        progressed: Called whenever a batch begins, is durable, or has failed.

    Attributes:
        failure: Why a batch was not written, ``FencedError`` where the partition is another
            worker's; nothing is written after that. ``None``: all was.
    """

    def __init__(
        self,
        writer: Writer,
        store: RowStore,
        partition: int,
        *,
        budget: MemoryBudget,
        progressed: Callable[[], None],
    ) -> None:
        self._writer = writer
        self._store = store
        self._partition = partition
        self._budget = budget
        self._progressed = progressed
        self._waiting: list[_Piece] = []
        self._taken = 0
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        self.failure: BaseException | None = None

    @property
    def is_atomic(self) -> bool:
        """Whether the outputs of a piece become visible with its rows or not at all.

        If they may be visible before, time must be durable before a tick's outputs are sent.
        """
        return self._writer.is_atomic

    @property
    def failed(self) -> bool:
        """Whether nothing is written any more."""
        return self._is_closed or self.failure is not None

    @property
    def is_idle(self) -> bool:
        """Whether all is durable."""
        return not self.failed and self._task is None

    @property
    def is_ready(self) -> bool:
        """Whether another piece may be committed now."""
        return not self.failed and len(self._waiting) < MAX_WAITING and not self._budget.is_full

    async def open(self) -> None:
        """Prepare to commit; see :meth:`Writer.open`."""
        await self._writer.open()

    def commit(
        self, effects: Effects, next_offset: int | None = None, *, barrier: bool = False
    ) -> None:
        """Commit a piece of work, and return at once.

        The steps, in order:

        1. Its rows are in the local store, and the partition's next step reads them there.
        2. It waits while the batch before it is written. What waits then is written as one batch,
           rows in their last version.
        3. A batch's outputs are sent: memberships, state, messages to outputs, rejects.
        4. Its rows are sent to the changelog, the partition's own row last.
        5. The input position moves. At least once, each of 3 to 5 is durable before the next
           begins; exactly once, they are one transaction.
        6. The store notes that the rows are durable, memory is released, the next batch begins.

        Args:
            effects: What to commit; it may be empty.
            next_offset: Offset of the first record that is not in it; ``None`` moves nothing.
            barrier: Whether it is a batch of its own: a tick, whose outputs no record would
                produce again, or a switch of definitions.
        """
        self._store.write(self._partition, effects.rows)
        size = effects.size
        self._budget.reserve(size)
        self._taken += size
        self._waiting.append(_Piece(effects, next_offset, barrier, size))
        if self._task is None:
            self._begin()

    async def drain(self) -> None:
        """Wait until everything is durable, or has failed."""
        while self._task is not None:
            await asyncio.wait([self._task])
            await asyncio.sleep(0)  # the task's callback runs

    async def close(self) -> None:
        """End the batch under way, if there is one, and close the writer."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await self.drain()
            await self._writer.abort()
        await self._writer.close()

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._ended)

    async def _run(self) -> None:
        while self._waiting and not self.failed:
            count = self._batch_length()
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
            self._progressed()
            offsets = [piece.next_offset for piece in batch if piece.next_offset is not None]
            effects = _merged([piece.effects for piece in batch])
            reached = await self._writer.write(effects, max(offsets, default=None))
            self._store.confirm(self._partition, count, reached)
            await self._writer.settle()
            self._give_back(sum(piece.size for piece in batch))

    def _batch_length(self) -> int:
        """How many of the waiting pieces form the next batch."""
        for number, piece in enumerate(self._waiting):
            if piece.is_barrier:
                return max(1, number)
        return len(self._waiting)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = explained(error)
        if self.failed:
            self._waiting.clear()
            self._give_back(self._taken)
        elif self._waiting:  # committed since the last batch was durable
            self._begin()
        self._progressed()

    def _give_back(self, size: int) -> None:
        self._budget.release(size)
        self._taken -= size


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
