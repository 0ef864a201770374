"""The table of profiles: rows per partition, a compacted changelog, recovery in bulk.

To Faust it is a Table with a changelog topic: declared, assigned together with its input partition,
recovered before streams start. The rows themselves are written and read in whole batches, so none
of Faust's per-key calls is used.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.stores import memory
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery

from cdp_stream.errors import BrokerError, DiskError
from cdp_stream.formats.rows import VERSION
from cdp_stream.kafka.faust_adapter.consumer import ChunkSchema
from cdp_stream.kafka.log import log
from cdp_stream.kafka.recovery.recovery_progress import RecoveryProgress
from cdp_stream.kafka.recovery.restore import find_lost_positions, read_to_end
from cdp_stream.kafka.recovery.topic_identity import read_topic_identity
from cdp_stream.partition.processor import ProfileProcessor
from cdp_stream.store.damage import StoreDamagedError
from cdp_stream.store.rows import LogIdentity, MemoryRows, RowStore

__all__ = ["ProfileTable", "ProfileTables"]

_TIDY_S = 60.0


class ProfileTable(faust.Table):
    """A Faust table whose rows are read and written by the batch."""

    def __init__(
        self,
        app: Any,
        *,
        changelog: str,
        partitions: int,
        rows: RowStore | None = None,
        **options: Any,
    ) -> None:
        schema = ChunkSchema(key_type=bytes, value_type=bytes, allow_empty=True)
        topic = app.topic(
            changelog, schema=schema, partitions=partitions, compacting=True, acks=False
        )
        super().__init__(
            app, changelog_topic=topic, partitions=partitions,
            key_type=bytes, value_type=bytes, **options,
        )  # fmt: skip
        self.store: RowStore = rows if rows is not None else MemoryRows()
        self._client: Mapping[str, Any] = {}

    def _new_store(self) -> Any:
        # Faust wants a store of its own; it stays empty, as no per-key call reaches it.
        return memory.Store(
            "memory://", self.app, self, table_name=self.name,
            key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw",
            loop=self.loop,
        )  # fmt: skip

    async def on_start(self) -> None:
        """Look after the store from now on."""
        await super().on_start()
        self.add_future(self._keep_tidy())

    async def on_stop(self) -> None:
        """Close the store."""
        await super().on_stop()
        self.store.close()

    async def _keep_tidy(self) -> None:
        while not self.should_stop:
            await self.sleep(_TIDY_S)
            await self.refresh(self._client)
            self.store.tidy()

    async def refresh(self, client: Mapping[str, Any]) -> None:
        """Let rows that have not changed for an hour count as fresh, if they are the changelog's.

        Whoever took a partition over, unnoticed by a worker that is cut off, may have deleted rows.
        Compaction forgets that in time; rows that look fresh would come back then. So such a worker
        refreshes none, and others are as fresh as the last answer of the group's coordinator.
        """
        if not self.app.holds_lease:
            return
        held_ms = self.app.consumer.observer.lease_ms
        aging = self.store.aging()
        behind: set[int] = set()
        try:
            await read_to_end(
                client, self.changelog_topic.get_topic_name(), aging.keys(),
                lambda partition, _records: behind.add(partition), starts=aging,
            )  # fmt: skip
        except (BrokerError, KafkaError, OSError):
            return  # in a minute again; rows that grow too old are read anew
        for partition, position in aging.items():
            if partition not in behind:
                self.store.refresh(partition, position, held_ms)

    async def restore(self, client: Mapping[str, Any], partitions: Collection[int]) -> int:
        """Bring the rows of these partitions up to the end of the changelog.

        What the store has of them counts, if it is certain to be the changelog's; damaged rows are
        read anew.

        Returns:
            How many records that took.

        Raises:
            DiskError: The local store cannot be used.
        """
        self._client = client
        if not partitions:
            return 0
        topic = self.changelog_topic.get_topic_name()
        cluster, topic_id = await read_topic_identity(client, topic)
        identity = LogIdentity(cluster, topic, topic_id, VERSION)
        count = 0
        rebuilt: set[int] = set()
        while True:
            starts = await self._open(client, identity, partitions)
            progress = RecoveryProgress(topic, starts)

            def take(partition: int, records: list[Any], done: RecoveryProgress = progress) -> None:
                done.count(len(records))
                # A later record of the same key takes the place of the earlier.
                rows = {record.key: record.value for record in records}
                self.store.load(partition, rows, records[-1].offset + 1)

            try:
                await read_to_end(
                    client, topic, partitions, take, starts=starts, progress=progress.note
                )
                for partition in partitions:
                    self.store.loaded(partition)
            except StoreDamagedError as error:
                if error.partition in rebuilt:
                    raise _damaged_again(error) from error
                rebuilt.add(error.partition)
                self._rebuild(error.partition, f"damaged: {error}")
            else:
                return count + progress.records
            count += progress.records

    async def revive(
        self, client: Mapping[str, Any], partition: int, create: Callable[[int], ProfileProcessor]
    ) -> ProfileProcessor:
        """A partition's processor, with what its rows say.

        It reads them all, and damage that shows only now is mended too.

        Raises:
            DiskError: The local store cannot be used.
        """
        processor = create(partition)
        try:
            processor.restore(self.store.rows(partition))
        except StoreDamagedError as error:
            reason = f"damaged: {error}"
        else:
            return processor
        self._rebuild(partition, reason)
        await self.restore(client, [partition])
        processor = create(partition)
        try:
            processor.restore(self.store.rows(partition))
        except StoreDamagedError as error:
            raise _damaged_again(error) from error
        return processor

    async def _open(
        self, client: Mapping[str, Any], identity: LogIdentity, partitions: Collection[int]
    ) -> dict[int, int]:
        """Open the store of partitions; returns where to read on, of those that have rows."""
        starts = {partition: self._opened(partition, identity) for partition in partitions}
        starts = {partition: position for partition, position in starts.items() if position}
        lost = await find_lost_positions(client, identity.topic, starts)
        for partition, end in lost.items():
            self._rebuild(partition, f"it reaches up to offset {starts.pop(partition)}, but the "
                          f"changelog ends at {end}")  # fmt: skip
            self._opened(partition, identity)
        return starts

    def _opened(self, partition: int, identity: LogIdentity) -> int:
        opened = self.store.open(partition, identity)
        if opened.discarded:
            _log_rebuilding(partition, opened.discarded)
        return opened.position

    def _rebuild(self, partition: int, reason: str) -> None:
        self.store.drop(partition)
        _log_rebuilding(partition, reason)


def _log_rebuilding(partition: int, reason: str) -> None:
    log("local_rows_rebuilt", level=logging.WARNING, partition=partition, reason=reason,
        next="nothing: they are read from the changelog")  # fmt: skip


def _damaged_again(error: StoreDamagedError) -> DiskError:
    return DiskError(
        f"the local rows of partition {error.partition} were rebuilt and are damaged again: "
        f"{error}",
        "the disk or the memory of this machine fails: choose another --data-dir, or machine",
    )


class BulkRecovery(Recovery):
    """Faust's recovery service, with the reading done by :class:`PartitionHosting`.

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
        """An app without tables: its hosting is told of its partitions all the same."""
        await self.on_recovery_completed(generation_id)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Restore what is new here, seek, and only then let records flow."""
        app: Any = self.app
        consumer = app.consumer
        app.in_recovery = True
        partitions = {tp.partition for tp in self.active_tps or consumer.assignment()}
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
