"""The sinks of one process: which outputs run, started, kept to the definitions, stopped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer

from cdp_stream.connectors.exchange import Fault
from cdp_stream.core.connection import Connection
from cdp_stream.errors import BrokerError
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.faust_adapter.app import ChunkApp, Hosting
from cdp_stream.kafka.faust_adapter.serve import serve_app, stop_app
from cdp_stream.kafka.log import log
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.settings import Settings
from cdp_stream.sinks.delivery.delivery_settings import DeliverySettings
from cdp_stream.sinks.delivery.destination import Destination, destination_of
from cdp_stream.sinks.delivery.record_reader import RecordReader
from cdp_stream.sinks.http.personal_data import PersonalData
from cdp_stream.sinks.http.secrets import Secrets
from cdp_stream.sinks.offsets.positions import SinkPlan
from cdp_stream.sinks.output.output_sink import OutputSink
from cdp_stream.sinks.outputs import PreparedOutput
from cdp_stream.sinks.reporting.metrics import OutputMetrics, SinkMetrics
from cdp_stream.sinks.reporting.showing import standing_of
from cdp_stream.sinks.state.faults import Faults
from cdp_stream.sinks.state.sink_state import SinkState

__all__ = ["CreateSink", "Supervisor", "Surroundings", "cut_short"]

CreateSink = Callable[..., ChunkApp]
"""`topologies.sinks.create_sink`."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all sinks of a process share.

    Attributes:
        secrets: fill in `${NAME}` of connections' settings.
        producer: for rejected changes.
        earlier: the connections of earlier versions of the definitions; called in a thread.
    """

    settings: Settings
    create_sink: CreateSink
    secrets: Secrets
    faults: Faults
    state: SinkState
    producer: AIOKafkaProducer
    metrics: SinkMetrics
    earlier: Callable[[], Iterable[Iterable[Connection]]] = lambda: ()


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
        around: what they share.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._waiting = MemoryBudget(around.settings.memory_for("outputs_waiting"))
        self._sending = MemoryBudget(around.settings.memory_for("outputs_sending"))
        self._delivery_settings = DeliverySettings(around.state, around.earlier)
        self._running: dict[str, _Running] = {}
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        # Without these no output hears of faults and resumptions any more.
        for topic in (around.faults.topic, around.state.topic):
            topic.watch(self._fail)

    @property
    def ready(self) -> bool:
        """Whether every output's partitions are assigned, and nothing has failed."""
        return self.failure is None and all(r.app.hosting.ready for r in self._running.values())

    @property
    def apps(self) -> list[ChunkApp]:
        """Those that run."""
        return [running.app for running in self._running.values()]

    def report(self) -> list[dict[str, Any]]:
        """How each output stands here, without a partner's words; asked by another thread."""
        return [
            standing_of(self._around.faults, output, is_ready=running.app.hosting.ready)
            for output, running in sorted(self._running.copy().items())
        ]

    async def apply(
        self,
        outputs: Sequence[PreparedOutput],
        connections: Sequence[Connection],
        *,
        defined: Collection[str] | None,
    ) -> None:
        """Run exactly these outputs; those that are as they were go on undisturbed.

        One that does not come to its end in time is a `failure`: nothing is started then.

        Args:
            outputs: What is to run here.
            connections: All that are defined.
            defined: The ids of all that are defined, so that others can be forgotten; None where
                this process runs but some.
        """
        await self._delivery_settings.define(connections)
        wanted = {prepared.definition.id: prepared for prepared in outputs}
        gone = [
            output
            for output, running in self._running.items()
            if output not in wanted or wanted[output].definition != running.prepared.definition
        ]
        if not await self._stop_all(gone):
            # It is a member of its group still, and would go on beside the one that came after it.
            self._fail(cut_short())
            return
        new = [output for output in wanted if output not in self._running]
        if new:
            partitions = await ensure_topics(self._around.settings)
            for output in new:
                await self._start(wanted[output], partitions)
        state = self._around.state
        for output in wanted:
            own = [connection.id for connection in connections if connection.output == output]
            await state.note_connections(output, own)
        if defined is not None:
            for output in set(state.outputs()) - set(defined):
                await state.note_connector(output, None)

    async def stop(self) -> bool:
        """Stop all; returns whether all came to their end in time."""
        return await self._stop_all(list(self._running))

    async def _start(self, prepared: PreparedOutput, partitions: int) -> None:
        around, definition = self._around, prepared.definition
        settings, metrics = around.settings, around.metrics.of(definition.id)
        destination = destination_of(
            prepared.connector, settings.data_dir / "outputs" / definition.id,
            prepared.redaction, metrics.watch, allow_private=settings.allow_private,
        )  # fmt: skip
        await destination.open()
        await around.state.note_connector(definition.id, definition.connector)
        app = around.create_sink(
            settings, definition.id,
            partial(self._host, prepared, destination, metrics, partitions),
            partitions=partitions,
        )  # fmt: skip
        stopping = asyncio.Event()
        task = asyncio.create_task(serve_app(app, stopping))
        running = _Running(prepared, app, destination, metrics, stopping, task)
        self._running[definition.id] = running
        task.add_done_callback(partial(self._ended, running))
        log("output_started", output=definition.id, connector=definition.connector)

    def _host(
        self,
        prepared: PreparedOutput,
        destination: Destination,
        metrics: OutputMetrics,
        partitions: int,
        app: ChunkApp,
    ) -> Hosting:
        around, output = self._around, prepared.definition.id
        settings = around.settings
        plan = SinkPlan(
            output,
            settings.topic(f"output.{output}"),
            settings.topic(f"output.{output}.rejected"),
            partitions,
            client_settings(settings),
            settings.session_timeout,
            self._waiting,
            self._sending,
        )
        reader = RecordReader(
            prepared.connector, around.secrets, prepared.redaction, self._delivery_settings,
            around.state,
        )  # fmt: skip
        return OutputSink(
            app, plan, prepared.connector, reader, destination, around.faults, around.state,
            self._delivery_settings, around.producer, metrics,
        )  # fmt: skip

    def _ended(self, running: _Running, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or running.stopping.is_set():
            return
        error = task.exception() or task.result()
        self._fail(error or RuntimeError("a sink ended by itself"))

    def _fail(self, error: BaseException) -> None:
        self.failure = self.failure or error
        self.failed.set()

    async def _stop_all(self, outputs: Collection[str]) -> bool:
        """Stop some, all to their end; returns whether all came to it in time."""
        ended = await asyncio.gather(*map(self._stop, outputs), return_exceptions=True)
        for one in ended:
            if isinstance(one, BaseException):
                raise one
        return all(ended)

    async def _stop(self, output: str) -> bool:
        running = self._running.pop(output)
        running.stopping.set()
        graceful = running.app.hosting.failure is None
        ended = await stop_app(running.app, commit=graceful)
        await asyncio.gather(running.task, return_exceptions=True)
        try:
            await running.destination.close()
        except Fault as fault:
            _tell_not_closed(output, PersonalData(())(fault.message))
        except Exception as error:  # noqa: BLE001 - it concerns this output alone
            _tell_not_closed(output, type(error).__name__)
        running.metrics.forget()
        log("output_ended", output=output)
        return ended


def cut_short() -> BrokerError:
    """Sinks were told to stop, and did not in time."""
    return BrokerError(
        "the sinks were told to stop, and could not in time",
        "nothing is lost: what was not committed is sent again by whoever takes over",
    )


def _tell_not_closed(output: str, why: str) -> None:
    log("output_not_closed", level=logging.ERROR, output=output, reason=why,
        next="look at what it says: the output's last changes may lack there")  # fmt: skip
