"""Which partition's task runs the next step.

One loop runs rounds: a step of each task that is ready, and after each step the event loop's other
work. So no partition starves another. A slice of one partition's backfill follows each round, and
each step of a task that is behind.
"""

import asyncio
import contextlib
from collections.abc import Mapping

from cdp_stream.kafka.runtime.partition_task import PartitionTask
from cdp_stream.kafka.runtime.task_context import TaskContext

__all__ = ["Scheduler"]

_SAMPLE_S = 1.0
_POLL_S = 0.05
"""How often an idle loop checks whether time may move."""
_STEPS_BETWEEN_SLICES = 8
"""So many callbacks run between the broker's answer to one request of a transaction and the next
request. With a slice of a backfill between any two of them, a transaction takes as long as some
forty slices; with one slice only while the broker answers, as long as five."""


class Scheduler:
    """Runs the steps of tasks, one task after the other.

    Args:
        tasks: Those of the assigned partitions, by number; live.
        context: What the tasks share.
    """

    def __init__(self, tasks: Mapping[int, PartitionTask], context: TaskContext) -> None:
        self._tasks = tasks
        self._context = context
        self._is_running = False
        self._sampled_at = 0.0
        self._read_last = self._stepped_last = -1

    def resume(self) -> None:
        """Start the steps of tasks, or resume them."""
        self._is_running = True
        self._context.work.set()

    def pause(self) -> None:
        """Stop the steps of all tasks until the next :meth:`resume`."""
        self._is_running = False

    async def run(self) -> None:
        """Run rounds until cancelled.

        Raises:
            CdpError: A task cannot continue.
        """
        work = self._context.work
        while True:
            # Before the round, so that no work which arrives during it is missed.
            work.clear()
            for task in self._tasks.values():
                task.check_committer()
            if not await self.round():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_S):
                        await work.wait()
            self._sample()

    async def round(self) -> bool:
        """Run a step of each task that is ready and a slice of one backfill, or more slices where
        tasks are behind; returns whether there was anything to do.
        """
        worked = False
        for task in self._from_next(self._stepped_last):
            if not self._may_step():
                return False
            if not task.is_ready:
                continue
            is_behind = task.is_behind
            if task.step():
                worked, self._stepped_last = True, task.number
            await asyncio.sleep(0)
            if is_behind:
                worked |= await self._read_history()
        return await self._read_history() or worked

    def _may_step(self) -> bool:
        """Whether this worker is certain to own its partitions."""
        return self._is_running and self._context.app.holds_lease

    async def _read_history(self) -> bool:
        """Read a slice of one backfill: of one that live records wait for, if there is any, else of
        the next that has something to read.
        """
        waiting = [task for task in self._tasks.values() if task.waits_for_history]
        for task in waiting or self._from_next(self._read_last):
            if not self._may_step():
                return False
            if task.read_history():
                self._read_last = task.number
                if not waiting:
                    for _ in range(_STEPS_BETWEEN_SLICES):
                        await asyncio.sleep(0)
                return True
        return False

    def _from_next(self, last: int) -> list[PartitionTask]:
        """All tasks, starting with the one after the task that was served last."""
        return sorted(self._tasks.values(), key=lambda task: (task.number <= last, task.number))

    def _sample(self) -> None:
        now = self._context.now()
        if now - self._sampled_at < _SAMPLE_S:
            return
        self._sampled_at = now
        for task in self._tasks.values():
            task.sample()
        self._context.report()
