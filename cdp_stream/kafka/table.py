"""The table of profiles: rows per partition, a compacted changelog, recovery in bulk.

To Faust it is a Table with a changelog topic: declared, assigned together with its input partition,
recovered before streams start. The rows themselves are written and read in whole batches, so none
of Faust's per-key calls is used.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Protocol

import faust
from faust.stores import memory
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery

from cdp_stream.kafka.changelog import read_to_end
from cdp_stream.kafka.chunks import ChunkSchema

__all__ = ["MemoryRows", "ProfileTable", "ProfileTables", "RowStore"]


class RowStore(Protocol):
    """Where the rows of the assigned partitions live; a cache of the changelog."""

    def rows(self, partition: int) -> Mapping[bytes, bytes]:
        """The live rows of a partition: later writes show."""
        ...

    def write(self, partition: int, rows: Mapping[bytes, bytes | None]) -> None:
        """Set rows, and delete those whose value is ``None``."""
        ...

    def drop(self, partition: int) -> None:
        """Forget a partition."""
        ...


class MemoryRows:
    """Rows in one dict per partition."""

    def __init__(self) -> None:
        self._partitions: dict[int, dict[bytes, Any]] = {}

    def rows(self, partition: int) -> Mapping[bytes, bytes]:
        """The live rows of a partition."""
        return self._partitions.setdefault(partition, {})

    def write(self, partition: int, rows: Mapping[bytes, bytes | None]) -> None:
        """Set rows; a ``None`` deletes."""
        stored = self._partitions.setdefault(partition, {})
        stored.update(rows)
        for key in [key for key, value in rows.items() if value is None]:
            del stored[key]

    def drop(self, partition: int) -> None:
        """Forget a partition, in constant time."""
        self._partitions.pop(partition, None)


class ProfileTable(faust.Table):
    """A Faust table whose rows are read and written by the batch."""

    def __init__(self, app: Any, *, changelog: str, partitions: int, **options: Any) -> None:
        schema = ChunkSchema(key_type=bytes, value_type=bytes, allow_empty=True)
        topic = app.topic(
            changelog, schema=schema, partitions=partitions, compacting=True, acks=False
        )
        super().__init__(
            app, changelog_topic=topic, partitions=partitions,
            key_type=bytes, value_type=bytes, **options,
        )  # fmt: skip
        self.store: RowStore = MemoryRows()

    def _new_store(self) -> Any:
        # Faust wants a store of its own; it stays empty, as no per-key call reaches it.
        return memory.Store(
            "memory://", self.app, self, table_name=self.name,
            key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw",
            loop=self.loop,
        )  # fmt: skip

    async def restore(self, client: Mapping[str, Any], partitions: Collection[int]) -> int:
        """Read these partitions' rows from the changelog; returns how many records that took."""
        count = 0

        def take(partition: int, records: list[Any]) -> None:
            nonlocal count
            count += len(records)
            # A later record of the same key takes the place of the earlier.
            self.store.write(partition, {record.key: record.value for record in records})

        for partition in partitions:
            self.store.drop(partition)
        await read_to_end(client, self.changelog_topic.get_topic_name(), partitions, take)
        return count


class BulkRecovery(Recovery):
    """Faust's recovery service, with the reading done by :class:`PartitionHosting`.

    Its state machine stays: started by each assignment, given up when another one comes, streams
    resumed at the end. What it would count and seek is skipped (``changelog.py`` says why).
    """

    def need_recovery(self) -> bool:
        """Never by Faust's count; :meth:`on_recovery_completed` reads the changelog."""
        return False

    async def _build_highwaters(self, *_args: Any, **_options: Any) -> None:
        return

    async def _build_offsets(self, *_args: Any, **_options: Any) -> None:
        return

    async def _seek_offsets(self, *_args: Any, **_options: Any) -> None:
        return

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Restore what is new here, seek, and only then let records flow."""
        app: Any = self.app
        consumer = app.consumer
        app.in_recovery = True
        partitions = {tp.partition for tp in self.active_tps}
        held = await app.hosting.restore(partitions, generation_id)
        if not held or app.consumer_generation_id != generation_id:
            return  # another rebalance is on its way, and brings another recovery
        self._set_recovery_ended()
        inputs = {tp for tp in consumer.assignment() if not self._is_changelog_tp(tp)}
        app.flow_control.resume()
        consumer.resume_partitions(inputs)
        consumer.resume_flow()
        self.completed.set()
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()
        await app.on_rebalance_complete.send()


class ProfileTables(TableManager):
    """Faust's table manager with :class:`BulkRecovery`."""

    _recovery: Recovery | None = None

    @property
    def recovery(self) -> Recovery:
        """The recovery service, made at first use."""
        if self._recovery is None:
            self._recovery = BulkRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Register the tables at once; stock Faust sleeps a second first."""
        await asyncio.sleep(0)
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()
