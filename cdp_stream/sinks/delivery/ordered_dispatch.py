"""Which batches are delivered now, and which wait for others.

At most so many run at a time, and of two batches with a change of the same profile (and, where they
are batched so, of the same connection) the later begins when the earlier has ended. That is what
keeps a profile's changes in order, whatever is retried meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from cdp_stream.sinks.offsets.in_flight import Batch

__all__ = ["OrderedDispatch"]

Key = tuple[str, str]


@dataclass(slots=True, eq=False)
class _Delivery:
    batch: Batch
    keys: frozenset[Key]
    waits_for: int = 0
    followers: list[_Delivery] = field(default_factory=list)


class OrderedDispatch:
    """The batches of one output that are in flight, or wait behind others.

    Args:
        perform: delivers one; must not raise, but for cancellation.
        most: how many at a time.
        per_connection: whether changes of one profile for different connections are independent.

    Attributes:
        count: how many changes are in flight or wait.
        memory: about the bytes of these changes.
    """

    def __init__(
        self, perform: Callable[[Batch], Awaitable[None]], most: int, *, per_connection: bool
    ) -> None:
        self._perform = perform
        self._most = most
        self._per_connection = per_connection
        self._last: dict[Key, _Delivery] = {}
        self._ready: deque[_Delivery] = deque()
        self._running: dict[asyncio.Task[None], _Delivery] = {}
        self._waiting: set[_Delivery] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.count = self.memory = 0

    def submit(self, batch: Batch) -> None:
        """Deliver a batch as soon as it may go."""
        apart = self._per_connection
        keys = frozenset(
            (item.change.connection if apart else "", item.change.mpid) for item in batch.items
        )
        delivery = _Delivery(batch, keys)
        last = self._last
        before = {earlier for key in keys if (earlier := last.get(key)) is not None}
        for earlier in before:
            earlier.followers.append(delivery)
        delivery.waits_for = len(before)
        for key in keys:
            last[key] = delivery
        self.count += len(batch.items)
        self.memory += batch.memory
        self._idle.clear()
        if before:
            self._waiting.add(delivery)
        else:
            self._ready.append(delivery)
            self._start()

    async def drain(self, timeout_s: float) -> None:
        """Wait until nothing is in flight, and cancel what still is at the time-out.

        The caller ensures that a batch which has not begun is not delivered.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            while self._running:
                for task in self._running:
                    task.cancel()
                await asyncio.wait(self._running)
                await asyncio.sleep(0)  # the ends of tasks are noted by callbacks

    @property
    def batches(self) -> list[Batch]:
        """Those that are in flight or wait."""
        every = (*self._running.values(), *self._ready, *self._waiting)
        return [delivery.batch for delivery in every]

    def _start(self) -> None:
        while self._ready and len(self._running) < self._most:
            delivery = self._ready.popleft()
            task = asyncio.ensure_future(self._perform(delivery.batch))
            self._running[task] = delivery
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        delivery = self._running.pop(task)
        if not task.cancelled():
            task.exception()
        self._end(delivery)
        self._start()

    def _end(self, delivery: _Delivery) -> None:
        self.count -= len(delivery.batch.items)
        self.memory -= delivery.batch.memory
        for key in delivery.keys:
            if self._last.get(key) is delivery:
                del self._last[key]
        for follower in delivery.followers:
            if follower.waits_for > 0:
                follower.waits_for -= 1
                if follower.waits_for == 0:
                    self._waiting.discard(follower)
                    self._ready.append(follower)
        if not (self._running or self._ready or self._waiting):
            self._idle.set()
