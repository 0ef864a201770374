"""One output's sink: its partitions from assignment to release.

Each part of the work has a module of its own. `intake.py` reads records and gives them to the
pipeline, which batches and delivers them. `committer.py` commits what was confirmed.
`pause_resume.py` follows `cdp.faults`. The order in which they write is what loses nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Any, Final

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.exchange import Fault
from cdp_stream.kafka.clients.chunk import Chunk
from cdp_stream.observability.log import log
from cdp_stream.sinks.delivery.partner_lists import PartnerLists
from cdp_stream.sinks.delivery.pipeline import Pipeline
from cdp_stream.sinks.http.sender import Sender
from cdp_stream.sinks.offsets.assignment import Assignment
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.output.audience_deletions import AudienceDeletions
from cdp_stream.sinks.output.committer import Committer
from cdp_stream.sinks.output.context import OutputContext
from cdp_stream.sinks.output.intake import Intake
from cdp_stream.sinks.output.pause_resume import DRAIN_S, PauseResume

__all__ = ["OutputSink"]

_TICK_S: Final = 1.0
_SAMPLE_S: Final = 5.0
_COMMIT_GAP_S: Final = 0.02
"""Between two commits: each costs as much as sending a change."""


class OutputSink:
    """One output's sink."""

    def __init__(self, context: OutputContext) -> None:
        self._context = context
        self._assignment = assignment = Assignment(context)
        self._lists: PartnerLists | None = None
        destination = context.destination
        if isinstance(destination, Sender) and destination.connector.creates_lists:
            self._lists = PartnerLists(context, assignment, destination)
        pipeline = Pipeline(context, assignment, self._lists, self)
        self._deletions = AudienceDeletions(
            context.state, context.partitions, send=pipeline.add_alone, over=self._deletion_over
        )
        self._committer = Committer(context, assignment)
        self._pause_resume = PauseResume(
            context, assignment, pipeline, self._deletions, self._committer
        )
        self._intake = Intake(context, assignment, pipeline, self._deletions, self._pause_resume)
        self._releases = 0
        self._unlisten: list[Any] = []
        self.failed = context.tasks.failed

    # -- what the Faust app calls ------------------------------------------------------------------

    @property
    def failure(self) -> BaseException | None:
        """What ended the sink; None while nothing has."""
        return self._context.tasks.failure

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned and records flow."""
        return self._assignment.is_open

    def accept(self, partition: int, chunk: Chunk) -> None:
        """Accept a chunk of records from the agent."""
        self._assignment.accept(partition, chunk)

    async def release(self) -> None:
        """Wait for the answers to requests under way, commit, and release the partitions."""
        self._releases += 1
        self._assignment.close()
        async with self._pause_resume.lock:
            await self._pause_resume.drain()
            await self._deletions.note_acted()
            await self._committer.commit(final=True)
            self._assignment.partitions.clear()

    async def restore(self, assigned: Collection[int], generation: int) -> bool:
        """Have exactly these partitions, each read from where it was confirmed.

        Returns:
            Whether they are assigned now; not if they were released again meanwhile.
        """
        del generation
        context, releases = self._context, self._releases
        await context.faults.topic.caught_up()
        await context.state.topic.caught_up()
        async with self._pause_resume.lock:
            positions = await self._assignment.starting_positions(sorted(assigned))
            if self._releases != releases or self.failure is not None:
                return False
            await self._pause_resume.assign(positions)
        self._start_tasks()
        self._assignment.open()
        self._pause_resume.changed.set()
        log("output_partitions_assigned", output=context.output, partitions=sorted(assigned))
        return True

    async def stop(self) -> None:
        """Release everything; the sink ends."""
        await self._context.tasks.finish_writes(DRAIN_S)
        await self.release()
        for unlisten in self._unlisten:
            unlisten()
        self._unlisten.clear()
        await self._context.tasks.stop()

    def wake_up(self) -> None:
        """Let records that wait for definitions be read again."""
        self._assignment.readable.set()

    def is_paused(self, partition: int) -> bool:
        """Whether a partition's records are not wanted for now."""
        return self._assignment.is_paused(partition)

    # -- the tasks ---------------------------------------------------------------------------------

    def _start_tasks(self) -> None:
        context = self._context
        if context.tasks.are_running:
            return
        for loop in (self._intake.run, self._commit, self._pause_resume.run, self._tick):
            context.tasks.run(loop())
        self._unlisten = [
            context.faults.topic.listen(lambda _key: self._pause_resume.changed.set()),
            context.state.topic.listen(lambda _key: self._assignment.confirmed.set()),
        ]

    async def _commit(self) -> None:
        """Commit what is confirmed, and go on with deletions behind it, until cancelled."""
        confirmed = self._assignment.confirmed
        while True:
            await confirmed.wait()
            confirmed.clear()
            if self._assignment.is_open:
                await self._committer.commit()
                await self._deletions.advance(self._committer.is_next)
                await asyncio.sleep(_COMMIT_GAP_S)

    async def _tick(self) -> None:
        """Do once a second what has to be done from time to time."""
        sampled, assignment, context = 0.0, self._assignment, self._context
        while self.failure is None:
            await asyncio.sleep(_TICK_S)
            assignment.confirmed.set()
            await self._pause_resume.check_destination()
            if self._lists is not None and assignment.is_running:
                self._lists.make_wanted(self._pause_resume.fault)
            if assignment.is_open and time.monotonic() - sampled >= _SAMPLE_S:
                sampled = time.monotonic()
                if (waiting := await assignment.waiting()) is not None:
                    context.metrics.waiting(*waiting)
                context.metrics.show_stopped(context.faults)
                if not assignment.output_stopped:
                    await self._deletions.look(
                        time.monotonic(), assignment.reached, self._pause_resume.fault
                    )

    # -- outcomes of deliveries --------------------------------------------------------------------

    def delivered(self, items: Collection[InFlight]) -> None:
        """The partner has accepted these changes, or never will."""
        self._assignment.confirm(self._deletions.acted(items))

    def delivery_failed(self, fault: Fault, change: OutputChange[Any]) -> None:
        """Stop what a fault stops; the list made for its connection may have been deleted."""
        stopped = self._pause_resume.fault(fault, change.connection, change.message)
        if stopped and self._lists is not None:
            self._context.tasks.write(self._lists.forget(change))

    def _deletion_over(self, item: InFlight) -> None:
        self._assignment.confirm([item])
        self._pause_resume.resume_behind(item)
