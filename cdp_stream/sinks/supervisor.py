"""The sinks of one process: which outputs run; started, changed as definitions are, stopped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer

from cdp_stream.connectors.exchange import Fault
from cdp_stream.connectors.registry import connector_class
from cdp_stream.core.model.connection import Connection, Output
from cdp_stream.core.model.definition import Account
from cdp_stream.errors import BrokerError
from cdp_stream.kafka.faust_adapter.app import AssignedPartitions, ChunkApp
from cdp_stream.kafka.faust_adapter.serve import serve_app, stop_app
from cdp_stream.kafka.topics.ensure import ensure_output_topics, ensure_topics
from cdp_stream.observability.log import log
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.settings import Settings
from cdp_stream.sinks.delivery.delivery_settings import DeliverySettings
from cdp_stream.sinks.delivery.destination import Destination, destination_of
from cdp_stream.sinks.delivery.record_reader import RecordReader
from cdp_stream.sinks.http.personal_data import PersonalData
from cdp_stream.sinks.http.secrets import Secrets
from cdp_stream.sinks.output.context import OutputContext
from cdp_stream.sinks.output.output_sink import OutputSink
from cdp_stream.sinks.preparation import Preparation, PreparedOutput, selected
from cdp_stream.sinks.reporting.metrics import OutputMetrics, SinkMetrics
from cdp_stream.sinks.state.faults import Faults
from cdp_stream.sinks.state.sink_state import SinkState

__all__ = ["CreateSink", "SinkJob", "Supervisor", "cut_short"]

CreateSink = Callable[..., ChunkApp]
"""`topologies.sinks.create_sink`."""


@dataclass(frozen=True, slots=True)
class SinkJob:
    """What one process has to do.

    Attributes:
        secrets: Fill in `${NAME}`.
        only: Ids of the outputs to run; empty is all.
        find: A connector's class by its name.
        is_child: Whether a parent waits for the port of its metrics on standard output, and ends
            standard input as it ends.
        may_lack: Whether ids in `only` may be unknown at its start too: it is started again, and
            they may have been removed meanwhile.
    """

    settings: Settings
    create_sink: CreateSink
    secrets: Secrets
    only: Sequence[str] = ()
    find: Callable[[str], type[Any]] = connector_class
    is_child: bool = False
    may_lack: bool = False

    def wanted(self, account: Account, *, at_start: bool = False) -> list[Output]:
        """The outputs to run, of those that are defined.

        Raises:
            UsageError: As the process starts: one is named that is not defined.
        """
        known = {output.id for output in account.outputs}
        unknown = [output for output in self.only if output not in known]
        if not unknown or (at_start and not self.may_lack):
            return selected(account.outputs, self.only)
        log("outputs_not_defined", level=logging.WARNING, outputs=unknown,
            next="nothing: they run as soon as they are defined; otherwise remove them from "
            "--output")  # fmt: skip
        return [output for output in account.outputs if output.id in self.only]


@dataclass(slots=True)
class _Running:
    prepared: PreparedOutput
    app: ChunkApp
    destination: Destination
    metrics: OutputMetrics
    stopping: asyncio.Event
    task: asyncio.Task[BaseException | None]


class Supervisor:
    """Runs one app per output.

    Args:
        producer: Writes rejected changes.
        earlier: The connections of earlier versions of the definitions; called in a thread.

    Attributes:
        failure: What ended a sink that was not to end; None while nothing has.
        failed: Set as `failure` is known.
    """

    def __init__(
        self,
        job: SinkJob,
        faults: Faults,
        state: SinkState,
        producer: AIOKafkaProducer,
        metrics: SinkMetrics,
        earlier: Callable[[], Iterable[Iterable[Connection]]] = lambda: (),
    ) -> None:
        settings = job.settings
        self._job = job
        self._faults = faults
        self._state = state
        self._producer = producer
        self._metrics = metrics
        self._waiting = MemoryBudget(settings.memory_for("outputs_waiting"))
        self._sending = MemoryBudget(settings.memory_for("outputs_sending"))
        self._delivery_settings = DeliverySettings(state, earlier)
        self._preparation = Preparation(
            job.secrets, job.find, partial(ensure_output_topics, settings), faults, state, metrics,
            settings.outputs_dir,
        )  # fmt: skip
        self._running: dict[str, _Running] = {}
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        # Without these no output learns of faults and resumptions any more.
        for topic in (faults.topic, state.topic):
            topic.watch(self._fail)

    @property
    def ready(self) -> bool:
        """Whether every output's partitions are assigned, and nothing has failed."""
        return self.failure is None and all(r.app.assignment.ready for r in self._running.values())

    @property
    def resumed(self) -> asyncio.Event:
        """Set when an output that could not run is resumed: apply the definitions again."""
        return self._preparation.resumed

    @property
    def apps(self) -> list[ChunkApp]:
        """Those that run."""
        return [running.app for running in self._running.values()]

    def report(self) -> list[dict[str, Any]]:
        """The state of each output here, without a partner's words; asked by another thread."""
        running = [
            self._faults.report(output, is_ready=running.app.assignment.ready)
            for output, running in sorted(self._running.copy().items())
        ]
        return [*running, *self._preparation.report()]

    async def apply(self, outputs: Sequence[Output], connections: Sequence[Connection]) -> None:
        """Run exactly these outputs, as far as they can run.

        Args:
            outputs: Those to run here.
            connections: All that are defined.
        """
        await self.run(await self._preparation.prepare(outputs), connections)
        if not self._job.only and self.failure is None:
            for removed in set(self._state.outputs()) - {output.id for output in outputs}:
                await self._state.note_connector(removed, None)

    async def run(
        self, outputs: Sequence[PreparedOutput], connections: Sequence[Connection]
    ) -> None:
        """Run exactly these outputs; those that are as they were go on undisturbed.

        One that does not end in time is a `failure`: nothing is started then.
        """
        await self._delivery_settings.define(connections)
        wanted = {prepared.definition.id: prepared for prepared in outputs}
        ended = [
            output
            for output, running in self._running.items()
            if output not in wanted or wanted[output].definition != running.prepared.definition
        ]
        if not await self._stop_all(ended):
            # It is still a member of its group, and would run beside its successor.
            self._fail(cut_short())
            return
        new = [output for output in wanted if output not in self._running]
        if new:
            partitions = await ensure_topics(self._job.settings)
            for output in new:
                await self.start(wanted[output], partitions)
        for output in wanted:
            own = [connection.id for connection in connections if connection.output == output]
            await self._state.note_connections(output, own)

    async def start(self, prepared: PreparedOutput, partitions: int) -> None:
        """Start the sink of one output, whose topic has so many partitions."""
        settings, definition = self._job.settings, prepared.definition
        metrics = self._metrics.of(definition.id)
        destination = destination_of(
            prepared.connector, settings.data_dir / "outputs" / definition.id,
            prepared.redaction, metrics, allow_private=settings.allow_private,
        )  # fmt: skip
        await destination.open()
        await self._state.note_connector(definition.id, definition.connector)
        reader = RecordReader(
            prepared.connector, self._job.secrets, prepared.redaction, self._delivery_settings,
            self._state,
        )  # fmt: skip

        def assign(app: ChunkApp) -> AssignedPartitions:
            context = OutputContext(
                app, settings, definition.id, partitions, prepared.connector, reader, destination,
                self._faults, self._state, self._producer, metrics, self._waiting, self._sending,
            )  # fmt: skip
            return OutputSink(context)

        app = self._job.create_sink(settings, definition.id, assign, partitions=partitions)
        stopping = asyncio.Event()
        task = asyncio.create_task(serve_app(app, stopping))
        running = _Running(prepared, app, destination, metrics, stopping, task)
        self._running[definition.id] = running
        task.add_done_callback(partial(self._ended, running))
        log("output_started", output=definition.id, connector=definition.connector)

    async def stop(self) -> bool:
        """Stop all; returns whether all ended in time."""
        return await self._stop_all(list(self._running))

    def _ended(self, running: _Running, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or running.stopping.is_set():
            return
        error = task.exception() or task.result()
        self._fail(error or RuntimeError("a sink ended by itself"))

    def _fail(self, error: BaseException) -> None:
        self.failure = self.failure or error
        self.failed.set()

    async def _stop_all(self, outputs: Collection[str]) -> bool:
        """Stop some, each to its end; returns whether all ended in time."""
        ended = await asyncio.gather(*map(self._stop, outputs), return_exceptions=True)
        for one in ended:
            if isinstance(one, BaseException):
                raise one
        return all(ended)

    async def _stop(self, output: str) -> bool:
        running = self._running.pop(output)
        running.stopping.set()
        graceful = running.app.assignment.failure is None
        ended = await stop_app(running.app, commit=graceful)
        await asyncio.gather(running.task, return_exceptions=True)
        why: str | None = None
        try:
            await running.destination.close()
        except Fault as fault:
            why = PersonalData(())(fault.message)
        except Exception as error:  # noqa: BLE001 - it concerns this output alone
            why = type(error).__name__
        if why is not None:
            log("output_close_failed", level=logging.ERROR, output=output, reason=why,
                next="check the reason: the output's last changes may be missing there",
                )  # fmt: skip
        running.metrics.forget()
        log("output_closed", output=output)
        return ended


def cut_short() -> BrokerError:
    """Sinks had to stop, and did not in time."""
    return BrokerError(
        "the sinks had to stop, and could not in time",
        "nothing is lost: what was not committed is sent again by the next worker",
    )
