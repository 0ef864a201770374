"""What the parts of one output's sink share: the output, its budgets, and the tasks that run it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer

from cdp_stream.connectors.connector import AnyConnector
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.settings import Settings
from cdp_stream.sinks.delivery.destination import Destination
from cdp_stream.sinks.delivery.record_reader import RecordReader
from cdp_stream.sinks.reporting.metrics import OutputMetrics
from cdp_stream.sinks.state.faults import Faults
from cdp_stream.sinks.state.sink_state import SinkState

__all__ = ["OutputContext", "SinkTasks"]


class SinkTasks:
    """The tasks of one sink; the first that fails ends the sink.

    Attributes:
        failure: What failed first; None while nothing has.
        failed: Set as `failure` is known.
    """

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self._loops: set[asyncio.Task[None]] = set()
        self._writes: set[asyncio.Task[None]] = set()

    def fail(self, error: BaseException) -> None:
        """End the sink: nothing more is started, and the committed position does not move."""
        self.failure = self.failure or error
        self.failed.set()

    @property
    def are_running(self) -> bool:
        """Whether loops have been started."""
        return bool(self._loops)

    def run(self, loop: Coroutine[Any, Any, None]) -> None:
        """Run a loop until `stop`."""
        self._start(loop, self._loops)

    def write(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something written that must not be cut short."""
        self._start(work, self._writes)

    async def finish_writes(self, timeout_s: float) -> None:
        """Wait until everything has been written, within reason."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=timeout_s)

    async def stop(self) -> None:
        """Cancel the loops."""
        loops = list(self._loops)
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(self._guarded(work))
        among.add(task)
        task.add_done_callback(among.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - the outer edge: it ends the sink, logged once
            self.fail(error)


@dataclass(frozen=True, slots=True)
class OutputContext:
    """One output, and what the parts of its sink use.

    Attributes:
        app: The Faust app that reads the output's topic; it has a consumer once it runs.
        output: The output's id.
        partitions: How many its topic has.
        connector: What the partner wants to be sent.
        reader: Reads records of the output's topic.
        destination: Delivers batches; opened.
        faults: What is stopped, of all outputs.
        state: What sinks remember, of all outputs.
        producer: Writes rejected changes.
        waiting: Memory for records that wait, of all outputs of the process.
        sending: Memory for changes that are batched or in flight, of all outputs of the process.
    """

    app: Any
    settings: Settings
    output: str
    partitions: int
    connector: AnyConnector
    reader: RecordReader
    destination: Destination
    faults: Faults
    state: SinkState
    producer: AIOKafkaProducer
    metrics: OutputMetrics
    waiting: MemoryBudget = field(default_factory=MemoryBudget)
    sending: MemoryBudget = field(default_factory=MemoryBudget)
    tasks: SinkTasks = field(default_factory=SinkTasks)

    @property
    def topic(self) -> str:
        """The name of the topic of its changes."""
        return self.settings.topic(f"output.{self.output}")

    @property
    def rejected_topic(self) -> str:
        """The name of the topic of changes that the partner will never accept."""
        return f"{self.topic}.rejected"
