"""Stopping an output or one connection, and going on: by faults, and by what `cdp.faults` says."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final

from cdp_stream.connectors.exchange import Fault
from cdp_stream.kafka.log import log
from cdp_stream.sinks.delivery.destination import Destination
from cdp_stream.sinks.delivery.pipeline import Pipeline
from cdp_stream.sinks.offsets.assigned_partition import AssignedPartition
from cdp_stream.sinks.offsets.assignment import Assignment
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.offsets.positions import SinkPlan
from cdp_stream.sinks.output.audience_deletions import AudienceDeletions
from cdp_stream.sinks.output.committer import Committer
from cdp_stream.sinks.reporting.metrics import OutputMetrics
from cdp_stream.sinks.reporting.showing import show_standing
from cdp_stream.sinks.state.faults import Faults, faulted
from cdp_stream.wall_clock import wall_ms

__all__ = ["PATIENCE_S", "PauseResume"]

_RESUME_POLL_S: Final = 0.05
PATIENCE_S: Final = 5.0
"""How long requests that are on their way may take to be answered once the sink has to stop."""


class PauseResume:
    """Stops what a fault or an operator stops, and lets it go on.

    Args:
        plan: Topics.
        partitions: What is held.
        faults: Who stands still.
        outgoing: What is on its way.
        deletions: Those under way.
        committing: Commits what is confirmed as the output comes to rest.
        metrics: Where to count.
        write: Runs what must not be cut short.

    Attributes:
        changes: Held by whoever takes partitions over, gives them up, stops or goes on.
        changed: Set when `cdp.faults` may say something else, or something may go on.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - put together in one place
        self,
        plan: SinkPlan,
        partitions: Assignment,
        faults: Faults,
        outgoing: Pipeline,
        deletions: AudienceDeletions,
        committing: Committer,
        metrics: OutputMetrics,
        write: Callable[[Any], None],
    ) -> None:
        self._plan = plan
        self._partitions = partitions
        self._faults = faults
        self._outgoing = outgoing
        self._deletions = deletions
        self._committing = committing
        self._metrics = metrics
        self._write = write
        self._at_rest = False
        self._faulting: set[str] = set()
        self._to_let_go: list[InFlight] = []
        self._resuming: set[str] = set()
        self._untold: Fault | None = None
        self.changes = asyncio.Lock()
        self.changed = asyncio.Event()

    def begin(self) -> None:
        """Take over how output and connections stand, before partitions are held."""
        output = self._plan.output
        self._partitions.stopped = set(self._faults.stopped_connections(output))
        self._partitions.halted = self._faults.record(output) is not None
        self._at_rest = False

    async def run(self) -> None:
        """Follow what is said, until cancelled."""
        while True:
            await self._wait_for_work()
            self.changed.clear()
            if self._partitions.is_open:
                async with self.changes:
                    await self._apply()
            else:
                self._resuming.clear()  # it is looked at again when partitions are assigned

    def fault(self, fault: Fault, connection: str) -> None:
        """Stop what the fault stops, at once, and have it written."""
        output, partitions = self._plan.output, self._partitions
        whole = fault.scope == "output"
        if partitions.halted or (not whole and connection in partitions.stopped):
            return
        if whole:
            partitions.halted = True
        else:
            self._stop_connection(connection)
        self._metrics.faulted(fault.scope)
        where = output if whole else f"{output} --connection '{connection}'"
        log("output_fault", level=logging.ERROR, output=output,
            connection=None if whole else connection, code=fault.code, status=fault.status,
            next=f"read `cdp outputs show {output}`, mend it, then `cdp outputs resume {where}`",
            )  # fmt: skip
        record = faulted(
            output, None if whole else connection, fault.message, wall_ms(),
            until_ready=fault.code == "settings",
        )  # fmt: skip
        self._faulting.add(record["id"])

        async def write() -> None:
            await self._faults.put(record)
            self._faulting.discard(record["id"])
            self.changed.set()

        self._write(write())

    async def tend(self, destination: Destination) -> None:
        """Let a destination do what is due from time to time; a fault in that is the output's.

        What was found while the output stands still is told as it goes on, unless that is why it
        stands still.
        """
        found: Fault | None = None
        try:
            await destination.idle()
        except Fault as fault:
            found = fault.told(fault.message)
            found.scope = "output"
        if self._partitions.is_open and not self._partitions.halted:
            found, self._untold = found or self._untold, None
            if found is not None:
                self.fault(found, "")
        elif found is not None:
            record = self._faults.record(self._plan.output) or {}
            if record.get("message") != found.message:
                self._untold = found

    def let_go(self, deletion: InFlight) -> None:
        """Go on with a connection behind the deletion that held it."""
        self._to_let_go.append(deletion)
        self.changed.set()

    async def come_to_rest(self) -> None:
        """Deliver nothing more; what has not been confirmed by the end will be read again."""
        partitions = self._partitions
        # One of which nothing has been seen is fetched until it is known since when it waits.
        if partitions.halted:
            partitions.pause(n for n, held in partitions.held.items() if held.oldest() is not None)
        await self._outgoing.come_to_rest(PATIENCE_S)
        for held in partitions.held.values():
            held.first_seen = held.oldest()
            held.drop_waiting()
            held.progress.step_back()
            held.dated.clear()
        self._deletions.clear()
        self._to_let_go.clear()

    def show(self) -> None:
        """Set the metrics of what stands still."""
        show_standing(self._faults, self._plan.output, self._metrics)

    async def _wait_for_work(self) -> None:
        """Return when `changed` is set, or one that is to go on has nothing on its way."""
        while not self.changed.is_set():
            if self._resuming - self._outgoing.on_their_way(self._resuming):
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RESUME_POLL_S if self._resuming else None):
                    await self.changed.wait()

    def _is_to_halt(self) -> bool:
        output = self._plan.output
        return self._faults.record(output) is not None or output in self._faulting

    async def _apply(self) -> None:
        output, partitions = self._plan.output, self._partitions
        halt = self._is_to_halt()
        if (halt or partitions.halted) and not self._at_rest:
            partitions.halted = self._at_rest = True
            await self.come_to_rest()
            await self._committing.commit()
            log("output_stopped", output=output)
        stopped = self._faults.stopped_connections(output) | (self._faulting - {output})
        for connection in stopped - partitions.stopped:
            self._stop_connection(connection)
            log("output_connection_stopped", output=output, connection=connection)
        resumed = partitions.stopped - stopped
        # What is on its way of one must have come to its end, which may take as long as `retry_for`
        # where it goes together with others: meanwhile whatever else is said has to be heard.
        self._resuming = self._outgoing.on_their_way(resumed)
        await self._resume_connections(resumed - self._resuming, seek=not halt)
        if self._to_let_go:
            await self._let_go(seek=not halt)
        # Asked again, for it may have faulted while something was awaited.
        if self._at_rest and partitions.is_open and not self._is_to_halt():
            partitions.halted = self._at_rest = False
            await partitions.seek(partitions.held)
            partitions.fetch(partitions.held)
            log("output_resumed", output=output)
        partitions.confirmed.set()
        partitions.wake.set()
        self.show()

    def _stop_connection(self, connection: str) -> None:
        partitions = self._partitions
        partitions.stopped.add(connection)
        for held in partitions.held.values():
            held.progress.stop(connection, held.dated)
        for item in self._outgoing.stop_connection(connection):
            if item.partition in partitions.held:
                partitions.held[item.partition].dated.pop(item.offset, None)
        self._deletions.drop(connection)
        partitions.confirmed.set()

    async def _resume_connections(self, connections: set[str], *, seek: bool) -> None:
        """Go on where each was; nothing of them may be on its way."""
        partitions = self._partitions
        again: dict[int, AssignedPartition] = {}
        for connection in sorted(connections):
            partitions.stopped.discard(connection)
            log("output_connection_resumed", output=self._plan.output, connection=connection)
        for number, held in partitions.held.items():
            for connection in connections:
                if held.progress.resume(connection):
                    again[number] = held
        if seek:
            await partitions.read_again(again)

    async def _let_go(self, *, seek: bool) -> None:
        again: dict[int, AssignedPartition] = {}
        for item in self._to_let_go:
            held = self._partitions.held.get(item.partition)
            if held is not None and held.progress.let_go(item.change.connection):
                again[item.partition] = held
        self._to_let_go.clear()
        if seek:
            await self._partitions.read_again(again)
