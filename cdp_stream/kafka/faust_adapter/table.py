"""Faust's recovery of tables, which waits for our own before records flow.

For Faust the rows of profiles are a table (:meth:`ChunkApp.join_changelog`). Faust neither stores
nor restores a row: its recovery asks the assignment to (``kafka/recovery/profile_rows.py``).
"""

import asyncio
from typing import Any

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery

__all__ = ["ChangelogTables"]


class BulkRecovery(Recovery):
    """Faust's recovery service, with the reading done by the assignment.

    Its state machine stays: each assignment starts it, the next one ends it, and at its end it
    resumes streams. It counts and seeks nothing (``recovery/restore.py`` has the reason).
    """

    def need_recovery(self) -> bool:
        """Never by Faust's count; :meth:`on_recovery_completed` reads the changelog."""
        return False

    async def _skip(self, *_args: Any, **_options: Any) -> None:
        return

    _build_highwaters = _build_offsets = _seek_offsets = _skip

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
        """The recovery service, created at first use."""
        if self._recovery is None:
            self._recovery = BulkRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Register the tables at once; stock Faust sleeps a second first."""
        await asyncio.sleep(0)
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()
