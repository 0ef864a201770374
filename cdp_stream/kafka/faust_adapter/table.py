"""What Faust knows of the profiles' rows: a table with a changelog topic, and when to restore it.

To Faust the rows are a table, so that it assigns their changelog together with the input, and
waits for its recovery before records flow. It neither keeps nor restores a row: the recovery asks
the assignment to (``kafka/recovery/profile_rows.py``).
"""

import asyncio
from typing import Any

import faust
from faust.stores import memory
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery

from cdp_stream.kafka.faust_adapter.consumer import ChunkSchema

__all__ = ["ChangelogTable", "ChangelogTables"]


class ChangelogTable(faust.Table):
    """A table without rows: it makes its changelog a topic of the group."""

    def __init__(self, app: Any, *, name: str, changelog: str, partitions: int) -> None:
        schema = ChunkSchema(key_type=bytes, value_type=bytes, allow_empty=True)
        topic = app.topic(
            changelog, schema=schema, partitions=partitions, compacting=True, acks=False
        )
        super().__init__(
            app, name=name, changelog_topic=topic, partitions=partitions,
            key_type=bytes, value_type=bytes,
        )  # fmt: skip
        app.tables.add(self)

    def _new_store(self) -> Any:
        # Faust wants a store; it stays empty, as no per-key call reaches it.
        return memory.Store(
            "memory://", self.app, self, table_name=self.name,
            key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw",
            loop=self.loop,
        )  # fmt: skip


class BulkRecovery(Recovery):
    """Faust's recovery service, with the reading done by the assignment.

    Its state machine stays: started by each assignment, given up when another one comes, streams
    resumed at the end. What it would count and seek is skipped (``recovery/restore.py`` says why).
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

    async def _resume_streams(self, generation_id: int = 0) -> None:
        """An app without tables restores its partitions too."""
        await self.on_recovery_completed(generation_id)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Restore what is new here, seek, and only then let records flow."""
        app: Any = self.app
        consumer = app.consumer
        app.in_recovery = True
        partitions = {tp.partition for tp in self.active_tps or consumer.assignment()}
        ready = await app.assignment.restore(partitions, generation_id)
        if not ready or app.consumer_generation_id != generation_id:
            return  # another rebalance follows, with another recovery
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


class ChangelogTables(TableManager):
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
