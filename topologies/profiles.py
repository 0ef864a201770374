"""The profiles topology: what flows between which topics.

::

    cdp.events ──> [profiles] ──> cdp.memberships, cdp.membership-state, cdp.output.<id>,
    cdp.definitions ──┘│  ▲        cdp.rejected
                      ▼  │
              table: profiles (changelog cdp.profiles-changelog, compacted)

One agent takes chunks, one partition's records of one fetch, and passes them to the hosting of
that partition, which asks its processor and delivers what it answers. Every arrow keeps the
partition number.
"""

from collections.abc import Callable

from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.commit.record_writer import MOST_DELIVERING, OutputTopics
from cdp_stream.kafka.definitions_source import DefinitionsSource
from cdp_stream.kafka.faust_adapter.app import ChunkApp
from cdp_stream.kafka.faust_adapter.table import ProfileTable
from cdp_stream.kafka.metrics import Metrics
from cdp_stream.kafka.runtime.assignment import PartitionHosting
from cdp_stream.kafka.runtime.task_context import HostingPlan
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.partition.processor import ProfileProcessor
from cdp_stream.settings import Settings
from cdp_stream.store.rocks_rows import RocksRows
from cdp_stream.store.rows import MemoryRows, RowStore
from cdp_stream.wall_clock import wall_ms

__all__ = ["create_app"]


def create_app(
    settings: Settings,
    processor_factory: Callable[[int], ProfileProcessor],
    *,
    partitions: int,
    definitions: DefinitionsSource | None = None,
    metrics: Metrics | None = None,
) -> ChunkApp:
    """Make the Faust app of the profiles topology.

    Args:
        settings: The worker's settings.
        processor_factory: Makes the processor of a partition, by its number.
        partitions: How many partitions the input topic has.
        definitions: What the partitions are evaluated by, and follow as it changes.
        metrics: Where to count; new ones unless given.
    """
    app = ChunkApp(settings)
    app.metrics = metrics or Metrics()
    table = ProfileTable(
        app,
        name="profiles",
        changelog=settings.topic("profiles-changelog"),
        partitions=partitions,
        rows=_rows(settings, lambda: app.consumer.observer.lease_ms),
    )
    app.tables.add(table)
    plan = HostingPlan(
        events=settings.topic("events"),
        topics=OutputTopics(
            memberships=settings.topic("memberships"),
            state=settings.topic("membership-state"),
            rejected=settings.topic("rejected"),
            changelog=settings.topic("profiles-changelog"),
            output=settings.topic("output."),
        ),
        group=settings.group_id,
        exactly_once=settings.guarantee == "exactly-once",
        client=client_settings(settings),
        clock=settings.clock,
        grace_ms=settings.grace,
        session_timeout_s=settings.session_timeout,
        waiting=MemoryBudget(settings.memory_for("waiting")),
        delivering=MemoryBudget(min(settings.memory_for("delivering"), MOST_DELIVERING)),
    )
    app.hosting = PartitionHosting(
        app, processor_factory, table=table, plan=plan, metrics=app.metrics,
        definitions=definitions,
    )  # fmt: skip
    app.each_chunk(settings.topic("events"), name="profiles", partitions=partitions)
    return app


def _rows(settings: Settings, held_ms: Callable[[], int]) -> RowStore:
    if settings.store == "memory":
        return MemoryRows()
    directory = settings.data_dir / settings.topic("profiles-changelog")
    return RocksRows(directory, wall_ms, settings.memory_for("store"), held_ms)
