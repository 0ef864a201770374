"""Stops an output or one connection, and resumes it: by faults, and by records of `cdp.faults`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any, Final

from cdp_stream.connectors.exchange import Fault
from cdp_stream.observability.log import log
from cdp_stream.sinks.delivery.pipeline import Pipeline
from cdp_stream.sinks.offsets.assignment import Assignment
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.output.audience_deletions import AudienceDeletions
from cdp_stream.sinks.output.committer import Committer
from cdp_stream.sinks.output.context import OutputContext
from cdp_stream.sinks.state.faults import faulted
from cdp_stream.wall_clock import wall_ms

__all__ = ["DRAIN_S", "PauseResume"]

_POLL_S: Final = 0.05
DRAIN_S: Final = 5.0
"""How long the partner may take to answer requests under way once the sink has to stop."""


class PauseResume:
    """Stops what a fault or an operator stops, and resumes it.

    Attributes:
        lock: Guards the assignment and release of partitions, stops and resumptions.
        changed: Set when `cdp.faults` may have changed, or a connection may go on.
    """

    def __init__(
        self,
        context: OutputContext,
        assignment: Assignment,
        pipeline: Pipeline,
        deletions: AudienceDeletions,
        committer: Committer,
    ) -> None:
        self._context = context
        self._assignment = assignment
        self._pipeline = pipeline
        self._deletions = deletions
        self._committer = committer
        self._at_rest = False
        self._faults_unwritten: set[str] = set()
        self._deletions_over: list[InFlight] = []
        self._resuming: set[str] = set()
        self._fault_for_later: Fault | None = None
        self.lock = asyncio.Lock()
        self.changed = asyncio.Event()

    async def run(self) -> None:
        """Follow `cdp.faults`, until cancelled."""
        while True:
            await self._wait_for_work()
            self.changed.clear()
            if self._assignment.is_open:
                async with self.lock:
                    await self._apply()
            else:
                self._resuming.clear()  # read anew when partitions are assigned

    def fault(
        self, fault: Fault, connection: str, message: Mapping[str, Any] | None = None
    ) -> bool:
        """Stop what the fault stops, at once, and have it written.

        Args:
            connection: Of the change that the fault was about.
            message: That change, where its settings may be what is wrong.

        Returns:
            Whether that stopped the connection, which ran before.
        """
        context, assignment, whole = self._context, self._assignment, fault.scope == "output"
        if assignment.output_stopped or (
            not whole and connection in assignment.stopped_connections
        ):
            return False
        if whole:
            assignment.stop_output()
        else:
            if message is not None:
                context.tasks.write(context.reader.refuse(message))
            self._stop_connection(connection)
        context.metrics.faulted(fault.scope)
        output, stopped = context.output, None if whole else connection
        where = output if whole else f"{output} --connection '{connection}'"
        log("output_fault", level=logging.ERROR, output=output,
            connection=stopped, code=fault.code, status=fault.status,
            next=f"read `cdp outputs show {output}`, correct it, then `cdp outputs resume {where}`",
            )  # fmt: skip
        record = faulted(
            output, stopped, fault.message, wall_ms(), until_ready=fault.code == "settings"
        )
        self._faults_unwritten.add(record["id"])

        async def write() -> None:
            await context.faults.put(record)
            self._faults_unwritten.discard(record["id"])
            self.changed.set()

        context.tasks.write(write())
        return not whole

    async def check_destination(self) -> None:
        """Let the destination do what is due from time to time; a fault in that is the output's.

        What is found while the output is stopped is a fault as it is resumed, unless it is the one
        that stopped it.
        """
        found: Fault | None = None
        try:
            await self._context.destination.idle()
        except Fault as fault:
            found = fault.reworded(fault.message)
            found.scope = "output"
        if self._assignment.is_running:
            found, self._fault_for_later = found or self._fault_for_later, None
            if found is not None:
                self.fault(found, "")
        elif found is not None:
            record = self._context.faults.record(self._context.output) or {}
            if record.get("message") != found.message:
                self._fault_for_later = found

    def resume_behind(self, deletion: InFlight) -> None:
        """Go on with a connection behind the deletion that blocked it."""
        self._deletions_over.append(deletion)
        self.changed.set()

    async def drain(self) -> None:
        """Deliver nothing more; what has not been confirmed by the end will be read again."""
        await self._pipeline.drain(DRAIN_S)
        self._assignment.step_back()
        self._deletions.clear()
        self._deletions_over.clear()

    async def assign(self, positions: Mapping[int, int]) -> None:
        """Have exactly these partitions, stopped or not as `cdp.faults` has it."""
        self._at_rest = False
        await self._assignment.assign(positions)

    async def _wait_for_work(self) -> None:
        """Return when `changed` is set, or a connection to be resumed has nothing in flight."""
        while not self.changed.is_set():
            if self._resuming - self._pipeline.in_flight(self._resuming):
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S if self._resuming else None):
                    await self.changed.wait()

    def _must_stop(self) -> bool:
        output = self._context.output
        return self._context.faults.record(output) is not None or output in self._faults_unwritten

    async def _apply(self) -> None:
        output, assignment = self._context.output, self._assignment
        must_stop = self._must_stop()
        if (must_stop or assignment.output_stopped) and not self._at_rest:
            assignment.stop_output()
            self._at_rest = True
            await self.drain()
            await self._committer.commit()
            log("output_stopped", output=output)
        stopped = self._context.faults.stopped_connections(output)
        stopped |= self._faults_unwritten - {output}
        for connection in stopped - assignment.stopped_connections:
            self._stop_connection(connection)
            log("output_connection_stopped", output=output, connection=connection)
        resumed = assignment.stopped_connections - stopped
        # What is in flight of one must have ended, which may take as long as `retry_for` where it
        # is batched with others: other changes must be applied meanwhile.
        self._resuming = self._pipeline.in_flight(resumed)
        resumed -= self._resuming
        for connection in sorted(resumed):
            log("output_connection_resumed", output=output, connection=connection)
        await assignment.resume_connections(resumed)
        over, self._deletions_over = self._deletions_over, []
        await assignment.unblock(over)
        # Checked again: it may have had a fault during an await.
        if self._at_rest and assignment.is_open and not self._must_stop():
            self._at_rest = False
            await assignment.resume_output()
            log("output_resumed", output=output)
        assignment.notify()
        self._context.metrics.show_stopped(self._context.faults)

    def _stop_connection(self, connection: str) -> None:
        self._assignment.stop_connection(connection)
        self._pipeline.stop_connection(connection)
        self._deletions.drop(connection)
