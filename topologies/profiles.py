"""The profiles topology: what flows between which topics.

::

    cdp.events ──> [profiles] ──> cdp.memberships, cdp.membership-state, cdp.output.<id>,
    cdp.definitions ──┘│  ▲        cdp.rejected
                      ▼  │
              table: profiles (changelog cdp.profiles-changelog, compacted)

One agent takes chunks, one partition's records of one fetch, and passes them to the task of that
partition, which asks its processor and delivers what it answers. Every arrow keeps the partition
number.
"""

from collections.abc import Callable

from cdp_stream.kafka.definitions.source import DefinitionsSource
from cdp_stream.kafka.faust_adapter.app import ChunkApp
from cdp_stream.kafka.runtime.assignment import Assignment
from cdp_stream.observability.metrics import Metrics
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
    changelog = settings.topic("profiles-changelog")
    app.join_changelog(changelog, name="profiles", partitions=partitions)
    app.assignment = Assignment(
        app, processor_factory, settings=settings, metrics=app.metrics, definitions=definitions,
        store=_store(settings, lambda: app.consumer.observer.lease_ms),
    )  # fmt: skip
    app.each_chunk(settings.topic("events"), name="profiles", partitions=partitions)
    return app


def _store(settings: Settings, held_ms: Callable[[], int]) -> RowStore:
    if settings.store == "memory":
        return MemoryRows()
    directory = settings.data_dir / settings.topic("profiles-changelog")
    return RocksRows(directory, wall_ms, settings.memory_for("store"), held_ms)
