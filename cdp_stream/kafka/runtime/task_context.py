"""What the partition tasks of one worker share."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.definitions.source import DefinitionsSource
from cdp_stream.kafka.history.reader import HistoryRange, HistoryReader
from cdp_stream.kafka.runtime.input_facts import InputFacts
from cdp_stream.observability.metrics import Metrics
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.partition.placement import Placement
from cdp_stream.settings import Settings
from cdp_stream.store.rows import RowStore

__all__ = ["TaskContext"]


class TaskContext:
    """What the partition tasks of one worker share.

    Args:
        app: The Faust app; its consumer is used once it runs.
        settings: The worker's.
        store: The rows of all partitions.
        metrics: Where to count.
        definitions: Source of the definitions; ``None`` if processors have their own.
        now: Seconds of a steady clock.

    Attributes:
        topic: Name of the input topic.
        client: Connection settings of aiokafka clients.
        waiting: Memory for records that were fetched and wait.
        placement: Which profiles are placed in which partition.
        input_facts: What is wrong with the input as a whole.
        work: Set when a task may have something to do.
        preparation: Locked while a switch of definitions is prepared, as the result for one
            partition serves the next.
        position_doubted: Set when a broker has reported that a task's position does not exist.
    """

    def __init__(
        self,
        app: Any,
        settings: Settings,
        store: RowStore,
        metrics: Metrics,
        definitions: DefinitionsSource | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self.settings = settings
        self.store = store
        self.metrics = metrics
        self.definitions = definitions
        self.now = now
        self.topic = settings.topic("events")
        self.client: Mapping[str, Any] = client_settings(settings)
        self.waiting = MemoryBudget(settings.memory_for("waiting"))
        self.placement = Placement()
        self.input_facts = InputFacts(now)
        self.work = asyncio.Event()
        self.preparation = asyncio.Lock()
        self.position_doubted = asyncio.Event()

    def history_reader(self, wanted: HistoryRange) -> HistoryReader:
        """Read the history of a partition, beside its live records, from now on."""
        return HistoryReader(
            self.client, self.topic, wanted, wake=self.work.set, budget=self.waiting
        )

    def report(self) -> None:
        """Log, and count, what concerns the whole worker; called about once a second."""
        self.metrics.backfill.log_now_and_then()
        self.input_facts.log_now_and_then()
        self.metrics.log_rejects()
        if self.definitions is not None:
            self.metrics.definitions_invalid(self.definitions.invalid)
