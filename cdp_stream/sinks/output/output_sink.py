"""The partitions of one output's topic that this worker is assigned, from assignment to release.

Each part of the work has a task and a module of its own. `intake.py` reads records and gives them
to the `Pipeline`, which batches and delivers them. `committer.py` commits what was confirmed.
`pause_resume.py` follows `cdp.faults`. The order in which they write is what loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import AnyConnector
from cdp_stream.connectors.exchange import Fault
from cdp_stream.kafka.faust_adapter.consumer import FETCHES_WAITING, Chunk
from cdp_stream.kafka.log import log
from cdp_stream.sinks.delivery.delivery_settings import DeliverySettings
from cdp_stream.sinks.delivery.destination import Destination, HttpDestination
from cdp_stream.sinks.delivery.partner_lists import PartnerLists
from cdp_stream.sinks.delivery.pipeline import Outlet, Pipeline, Reports
from cdp_stream.sinks.delivery.record_reader import RecordReader
from cdp_stream.sinks.offsets.assigned_partition import AssignedPartition
from cdp_stream.sinks.offsets.assignment import Assignment
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.offsets.positions import SinkPlan, starting_positions
from cdp_stream.sinks.offsets.progress import Progress
from cdp_stream.sinks.output.audience_deletions import AudienceDeletions
from cdp_stream.sinks.output.committer import Committer
from cdp_stream.sinks.output.intake import Intake
from cdp_stream.sinks.output.pause_resume import PATIENCE_S, PauseResume
from cdp_stream.sinks.reporting.metrics import OutputMetrics
from cdp_stream.sinks.reporting.showing import show_waiting
from cdp_stream.sinks.state.faults import Faults
from cdp_stream.sinks.state.sink_state import SinkState

__all__ = ["OutputSink"]

_TICK_S: Final = 1.0
_SAMPLE_S: Final = 5.0


class OutputSink:
    """One output's sink.

    Args:
        app: The Faust app; its consumer is used once it runs.
        plan: Topics.
        connector: Says how changes gather.
        reader: Reads records.
        destination: Takes batches; opened.
        faults: Who stands still.
        state: What sinks remember.
        delivery_settings: Told which settings a fault was about.
        producer: For rejected changes.
        metrics: Where to count.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - put together in one place
        self,
        app: Any,
        plan: SinkPlan,
        connector: AnyConnector,
        reader: RecordReader,
        destination: Destination,
        faults: Faults,
        state: SinkState,
        delivery_settings: DeliverySettings,
        producer: AIOKafkaProducer,
        metrics: OutputMetrics,
    ) -> None:
        self._plan = plan
        self._reader = reader
        self._destination = destination
        self._faults = faults
        self._state = state
        self._delivery_settings = delivery_settings
        self._metrics = metrics
        self._partitions = partitions = Assignment(app, plan)
        self._lists: PartnerLists | None = None
        if isinstance(destination, HttpDestination) and destination.connector.creates_lists:
            self._lists = PartnerLists(
                plan.output, destination, state, lambda: 0 in partitions.held
            )
        outgoing = Pipeline(
            Outlet(
                destination, connector.gathering, self._lists, producer, plan.rejected, plan.output
            ),
            Reports(partitions.goes_on, self._delivered, self._delivery_fault, self.fail),
            metrics,
            plan.sending,
        )
        self._deletions = AudienceDeletions(
            state, plan.partitions, act=outgoing.add_alone, done=self._deletion_done
        )
        self._committing = Committer(plan, partitions, state, self._deletions)
        self._stops = PauseResume(
            plan, partitions, faults, outgoing, self._deletions, self._committing, metrics,
            self._write,
        )  # fmt: skip
        self._taking = Intake(
            partitions, connector, reader, outgoing, self._deletions, metrics, self._fault,
            self._write,
        )  # fmt: skip
        self._releases = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._writes: set[asyncio.Task[None]] = set()
        self._unlisten: list[Any] = []
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self.ready = False

    # -- what Faust calls ------------------------------------------------------------------------

    def accept(self, partition: int, chunk: Chunk) -> None:
        """Take a chunk over from the agent."""
        self._partitions.accept(partition, chunk)

    async def release(self) -> None:
        """Let what is on its way be answered, commit that, and hold nothing any more."""
        self._releases += 1
        self._partitions.is_open = self.ready = False
        async with self._stops.changes:
            await self._stops.come_to_rest()
            await self._deletions.note_acted()
            await self._committing.commit(final=True)
            self._partitions.held.clear()

    async def restore(self, assigned: Collection[int], generation: int) -> bool:
        """Hold exactly these partitions, each going on where it was.

        Returns:
            Whether they are held now; not if they were released again meanwhile.
        """
        del generation
        releases, partitions = self._releases, self._partitions
        await self._faults.topic.caught_up()
        await self._state.topic.caught_up()
        async with self._stops.changes:
            positions = await starting_positions(
                partitions.consumer, self._plan, self._state, sorted(assigned)
            )
            if self._releases != releases or self.failure is not None:
                return False
            self._stops.begin()
            partitions.held = {}
            for number, position in positions.items():
                kept = self._state.kept(self._plan.output, number)
                progress = Progress(position, kept, partitions.stopped)
                held = partitions.held[number] = AssignedPartition(number, progress, kept)
                self._plan.waiting.join(held)
            await partitions.consumer.fetch_at_most(
                self._plan.waiting.share() // FETCHES_WAITING, len(positions)
            )
            await partitions.seek(partitions.held)
        self._start_tasks()
        partitions.is_open = self.ready = True
        self._stops.changed.set()
        partitions.wake.set()
        log("output_partitions_assigned", output=self._plan.output, partitions=sorted(assigned))
        return True

    async def stop(self) -> None:
        """Release everything, for good."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=PATIENCE_S)
        await self.release()
        for unlisten in self._unlisten:
            unlisten()
        self._unlisten.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def wake_up(self) -> None:
        """Look again whether there is something to do."""
        self._partitions.wake.set()

    def rests(self, partition: int) -> bool:
        """Whether a partition's records are not wanted for now."""
        return self._partitions.rests(partition)

    def fail(self, error: BaseException) -> None:
        """End the sink: nothing more is started, and the position stays where it is."""
        self._partitions.is_open = self.ready = False
        self.failure = self.failure or error
        self.failed.set()
        self._partitions.wake.set()

    # -- the tasks -------------------------------------------------------------------------------

    def _start_tasks(self) -> None:
        if self._tasks:
            return
        works = (self._taking.run(), self._committing.run(), self._stops.run(), self._tick())
        self._tasks = [asyncio.create_task(self._guarded(work)) for work in works]
        self._unlisten = [
            self._faults.topic.listen(lambda _key: self._stops.changed.set()),
            self._state.topic.listen(lambda _key: self._partitions.confirmed.set()),
        ]

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - the outer edge: it ends the sink, told once
            self.fail(error)

    def _write(self, work: Any) -> None:
        """Have something written that must not be cut short."""
        task = asyncio.create_task(self._guarded(work))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _tick(self) -> None:
        """Once a second what has to be looked at from time to time."""
        sampled, partitions = 0.0, self._partitions
        while self.failure is None:
            await asyncio.sleep(_TICK_S)
            partitions.confirmed.set()
            await self._stops.tend(self._destination)
            if self._lists is not None and partitions.is_open and not partitions.halted:
                self._lists.make_wanted(self._reader, self._fault)
            if partitions.is_open and time.monotonic() - sampled >= _SAMPLE_S:
                sampled = time.monotonic()
                await show_waiting(
                    partitions.consumer, self._plan.topic, partitions.held, self._metrics
                )
                self._stops.show()
                if not partitions.halted:
                    await self._deletions.look(time.monotonic(), self._reached, self._stops.fault)

    async def _reached(
        self, connection: str, numbers: Collection[int]
    ) -> Mapping[int, tuple[int, int]]:
        """How far a connection has been delivered in partitions, anybody's, and where they end."""
        tps = {self._partitions.tp(number): number for number in numbers}
        found: dict[int, tuple[int, int]] = {}
        with contextlib.suppress(KafkaError):
            ends = await self._partitions.consumer.highwaters(*tps)
            committed = await self._partitions.consumer.committed(list(tps))
            for tp, number in tps.items():
                kept = self._state.kept(self._plan.output, number) or {}
                own = kept.get("connections", {}).get(connection, {})
                at = committed.get(tp) or 0
                found[number] = min(at, own.get("offset", at)), ends[tp]
        return found

    # -- what came of it -------------------------------------------------------------------------

    def _delivered(self, items: Collection[InFlight]) -> None:
        self._partitions.confirm(self._deletions.acted(items))

    def _fault(self, fault: Fault, message: Mapping[str, Any]) -> None:
        connection = message["connection"]
        if self._stops_connection(fault, connection):
            self._write(self._delivery_settings.refuse(message))
        self._stops.fault(fault, connection)

    def _delivery_fault(self, fault: Fault, change: OutputChange[Any]) -> None:
        if self._lists is not None and self._stops_connection(fault, change.connection):
            self._write(self._lists.forget(change))
        self._fault(fault, change.message)

    def _stops_connection(self, fault: Fault, connection: str) -> bool:
        """Whether a fault is the one that makes a connection stand still."""
        partitions = self._partitions
        goes_on = not partitions.halted and connection not in partitions.stopped
        return fault.scope == "connection" and goes_on

    def _deletion_done(self, item: InFlight) -> None:
        self._partitions.confirm([item])
        self._stops.let_go(item)
