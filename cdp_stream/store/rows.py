"""What a store of rows is, and the one in memory.

A store is a cache of the changelog, never more: whatever it lost is read from there again. Its rows
are usable only if it is known up to which offset of which log they reach. So a store that outlives
its process keeps that beside the rows, in the same write.

A row is visible after its :meth:`RowStore.write`, and known to be in the changelog after the
:meth:`RowStore.confirm` that covers it. Only then may it outlive the process: an aborted
transaction leaves nothing behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["LogIdentity", "MemoryRows", "Opened", "RowStore"]

Rows = Mapping[bytes, bytes | None]
"""Rows by key; ``None`` deletes."""


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """Which changelog rows were read from.

    Attributes:
        cluster: The Kafka cluster's id; empty where the broker has none.
        topic: The changelog's name.
        topic_id: Differs from that of another topic of that name; empty where the broker has none.
        row_version: Version of the rows' format.
    """

    cluster: str
    topic: str
    topic_id: str
    row_version: int


@dataclass(frozen=True, slots=True)
class Opened:
    """What a store holds of a partition as it is opened.

    Attributes:
        position: The changelog offset up to which its rows reach: the first to read from.
        discarded: Why rows that were there were thrown away; empty when none were.
    """

    position: int
    discarded: str = ""


class RowStore(Protocol):
    """Rows of the assigned partitions."""

    def open(self, partition: int, log: LogIdentity) -> Opened:
        """Open a partition, with those of its rows that are certain to be in the changelog."""

    def load(self, partition: int, rows: Rows, position: int) -> None:
        """Set rows read from the changelog, which reach up to ``position``."""

    def loaded(self, partition: int) -> None:
        """Note that the changelog was read to its end."""

    def rows(self, partition: int) -> Mapping[bytes, bytes]:
        """The live rows of a partition: later writes show. While its keys are iterated rows may be
        written, unless it is a dict; those that stay are given once.
        """

    def write(self, partition: int, rows: Rows) -> None:
        """Set rows; they are visible at once."""

    def confirm(self, partition: int, writes: int, position: int) -> None:
        """Note that the oldest ``writes`` writes are in the changelog.

        Args:
            partition: The partition's number.
            writes: How many of its writes, of those not confirmed yet.
            position: The changelog offset behind their last row; -1 when it is not known.
        """

    def let_go(self, partition: int) -> None:
        """Close a partition; rows that are in the changelog may be kept for its next opening."""

    def drop(self, partition: int) -> None:
        """Close a partition and remove its rows."""

    def aging(self) -> Mapping[int, int]:
        """Partitions whose rows will not be trusted for much longer, and the changelog offset up to
        which they reach.
        """

    def refresh(self, partition: int, position: int, at: int) -> None:
        """Trust rows that reach up to ``position`` as the changelog's at the moment ``at``, epoch
        ms.
        """

    def tidy(self) -> None:
        """Do what is due from time to time; called about once a minute."""

    def close(self) -> None:
        """Close every partition."""


class MemoryRows:
    """Rows in one dict per partition."""

    def __init__(self) -> None:
        self._partitions: dict[int, dict[bytes, Any]] = {}

    def open(self, partition: int, log: LogIdentity) -> Opened:
        """Begin with no rows: earlier ones may be of writes that were never committed."""
        self._partitions[partition] = {}
        return Opened(0)

    def load(self, partition: int, rows: Rows, position: int) -> None:
        """Set rows read from the changelog."""
        self.write(partition, rows)

    def loaded(self, partition: int) -> None:
        """Nothing to do."""

    def rows(self, partition: int) -> Mapping[bytes, bytes]:
        """The live rows of a partition."""
        return self._partitions.setdefault(partition, {})

    def write(self, partition: int, rows: Rows) -> None:
        """Set rows; a ``None`` deletes."""
        stored = self._partitions.setdefault(partition, {})
        stored.update(rows)
        for key in [key for key, value in rows.items() if value is None]:
            del stored[key]

    def confirm(self, partition: int, writes: int, position: int) -> None:
        """Nothing to do: no row outlives the process."""

    def let_go(self, partition: int) -> None:
        """Forget a partition, in constant time."""
        self._partitions.pop(partition, None)

    def drop(self, partition: int) -> None:
        """Forget a partition, in constant time."""
        self._partitions.pop(partition, None)

    def aging(self) -> Mapping[int, int]:
        """None: no row outlives the process."""
        return {}

    def refresh(self, partition: int, position: int, at: int) -> None:
        """Nothing to do."""

    def tidy(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Forget everything."""
        self._partitions.clear()
