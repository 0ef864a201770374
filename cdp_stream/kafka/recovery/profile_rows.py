"""The rows of profiles: restored from the changelog at assignment, and kept from growing too old.

The store is a cache of the changelog: its rows are used if they are certainly those of the
changelog, and are read again if not.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aiokafka.errors import KafkaError

from cdp_stream.errors import BrokerError, DiskError
from cdp_stream.formats.rows import VERSION
from cdp_stream.kafka.recovery.restore import RecoveryProgress, find_lost_positions, read_to_end
from cdp_stream.kafka.recovery.topic_identity import read_topic_identity
from cdp_stream.observability.log import log
from cdp_stream.partition.processor import ProfileProcessor
from cdp_stream.store.damage import StoreDamagedError
from cdp_stream.store.rows import LogIdentity, RowStore

__all__ = ["ProfileRows"]


class ProfileRows:
    """The rows of a worker's partitions.

    Args:
        store: Keeps them.
        client: Connection settings of the aiokafka client.
        changelog: Name of the topic that they are restored from.
    """

    def __init__(self, store: RowStore, client: Mapping[str, Any], changelog: str) -> None:
        self.store = store
        self._client = client
        self._changelog = changelog

    async def restore(self, partitions: Collection[int]) -> int:
        """Bring the rows of these partitions up to the end of the changelog.

        Rows in the store are used if they are certainly those of the changelog; damaged rows are
        read again.

        Returns:
            How many records were read.

        Raises:
            DiskError: The local store cannot be used.
        """
        if not partitions:
            return 0
        client, topic = self._client, self._changelog
        cluster, topic_id = await read_topic_identity(client, topic)
        identity = LogIdentity(cluster, topic, topic_id, VERSION)
        count = 0
        rebuilt: set[int] = set()
        while True:
            starts = await self._open(identity, partitions)
            progress = RecoveryProgress(topic, starts)

            def take(partition: int, records: list[Any], done: RecoveryProgress = progress) -> None:
                done.count(len(records))
                # A later record replaces an earlier one of the same key.
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
        self, partition: int, create: Callable[[int], ProfileProcessor]
    ) -> ProfileProcessor:
        """A partition's processor, restored from its rows.

        It reads all rows, and also repairs damage that shows only now.

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
        await self.restore([partition])
        processor = create(partition)
        try:
            processor.restore(self.store.rows(partition))
        except StoreDamagedError as error:
            raise _damaged_again(error) from error
        return processor

    async def refresh(self, held_ms: int | None) -> None:
        """Mark rows that have not changed for an hour as fresh, if they are the changelog's.

        A new owner, unnoticed by a worker that is cut off, may have deleted rows. Compaction
        removes the tombstones in time, and rows that look fresh would return. So such a worker
        refreshes none; in others, rows are as fresh as the coordinator's last answer.

        Args:
            held_ms: When that answer was requested, epoch ms; ``None`` where the worker is cut off.
        """
        if held_ms is None:
            return
        aging = self.store.aging()
        behind: set[int] = set()
        try:
            await read_to_end(
                self._client, self._changelog, aging.keys(),
                lambda partition, _records: behind.add(partition), starts=aging,
            )  # fmt: skip
        except (BrokerError, KafkaError, OSError):
            return  # tried again in a minute; rows that grow too old are read again
        for partition, position in aging.items():
            if partition not in behind:
                self.store.refresh(partition, position, held_ms)

    async def _open(self, identity: LogIdentity, partitions: Collection[int]) -> dict[int, int]:
        """Open the store of partitions; returns the next offset to read of those that have rows."""
        starts = {partition: self._opened(partition, identity) for partition in partitions}
        starts = {partition: position for partition, position in starts.items() if position}
        lost = await find_lost_positions(self._client, identity.topic, starts)
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
