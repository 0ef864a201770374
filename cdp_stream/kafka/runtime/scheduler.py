"""Which partition's task takes the next step.

One loop goes round: a step of each task that is ready, and after each the event loop's other work.
So no partition starves another. A slice of one partition's backfill comes after each round, and
after each step of a task that is behind.
"""

import asyncio
import contextlib
from collections.abc import Mapping

from cdp_stream.kafka.runtime.partition_task import PartitionTask
from cdp_stream.kafka.runtime.task_context import TaskContext

__all__ = ["Scheduler"]

_SAMPLE_S = 1.0
_POLL_S = 0.05
"""How often an idle loop looks whether the clock may go on."""
_STEPS_BETWEEN_SLICES = 8
"""So many callbacks, one after the other, make the broker's answer to one request of a transaction
the next request. With a slice of a backfill between any two of them a transaction takes as long as
some forty slices; with one only while the broker is waited for, as long as five."""


class Scheduler:
    """Gives tasks their steps.

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
        """Let tasks take steps."""
        self._is_running = True
        self._context.work.set()

    def pause(self) -> None:
        """Let no task take a step before the next :meth:`resume`."""
        self._is_running = False

    async def run(self) -> None:
        """Go round until cancelled.

        Raises:
            CdpError: What a task cannot go on after.
        """
        work = self._context.work
        while True:
            # Before the round: what comes during it is not slept over.
            work.clear()
            for task in self._tasks.values():
                task.check_committer()
            if not await self.round():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_S):
                        await work.wait()
            self._sample()

    async def round(self) -> bool:
        """Give each task that is ready a step, and one backfill a slice, or more where tasks are
        behind; returns whether there was anything to do.
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
        """Whether this worker is certain to hold its partitions."""
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
        """All tasks, beginning with the one behind the task that was served last."""
        return sorted(self._tasks.values(), key=lambda task: (task.number <= last, task.number))

    def _sample(self) -> None:
        now = self._context.now()
        if now - self._sampled_at < _SAMPLE_S:
            return
        self._sampled_at = now
        for task in self._tasks.values():
            task.sample()
        self._context.report()
