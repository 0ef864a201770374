"""The memory that the partitions of one worker share, and decoded rows within a share of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final, Protocol
from weakref import WeakSet

from cdp_stream.core.model.row import Row, memory_of

__all__ = ["MemoryBudget", "RowCache"]

_MIB: Final = 1024 * 1024
_EVICTED_AT_ONCE: Final = 1_000
"""Rows: about 2 ms."""


class Holder(Protocol):
    """An object that has a share; counted for as long as it lives."""

    def __hash__(self) -> int: ...


class MemoryBudget:
    """So many bytes of memory, for one kind of thing.

    Every object that has joined has an equal share until it is freed: a worker that is assigned
    more partitions keeps less of each.

    Attributes:
        size: how many bytes.
        used: how many are in use, by the calls of `reserve` and `release`.
    """

    def __init__(self, size: int = 448 * _MIB) -> None:
        self.size = size
        self.used = 0
        self._holders: WeakSet[Holder] = WeakSet()

    def join(self, holder: Holder) -> None:
        """Share with one more."""
        self._holders.add(holder)

    def share(self) -> int:
        """How many bytes each may have."""
        return max(1, self.size // max(1, len(self._holders)))

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be reserved; the last reservation may have passed the size."""
        return self.used >= self.size

    def reserve(self, size: int) -> None:
        """Count bytes as in use."""
        self.used += size

    def release(self, size: int) -> None:
        """Count them as free."""
        self.used -= size


class RowCache(dict[int, Row]):
    """Decoded rows by profile, the oldest first, and the memory that they use.

    Attributes:
        used: bytes, of the rows as they were counted last.
    """

    __slots__ = ("used",)

    def __init__(self) -> None:
        super().__init__()
        self.used = 0

    def count(self, rows: Iterable[Row | None]) -> None:
        """Count rows that were added, or may have grown; None is none.

        One is measured again once its weight is another by a quarter: a growing row then costs far
        less to measure than to change.
        """
        for row in rows:
            if row is not None and abs(row.weight - row.sized) > row.sized >> 2:
                size = memory_of(row)
                self.used += size - row.counted_bytes
                row.counted_bytes, row.sized = size, row.weight

    def forget(self, mpid: int) -> None:
        """Remove a row."""
        self.used -= self.pop(mpid).counted_bytes

    def evict(self, most: int, keep: Collection[int] = ()) -> list[int]:
        """Remove the oldest rows if all together take more than so many bytes, until they take a
        sixteenth less.

        Args:
            keep: profiles whose rows stay.

        Returns:
            Whose rows were removed.
        """
        if self.used <= most:
            return []
        evicted, least = [], self.used - (most - (most >> 4))
        for mpid, row in self.items():
            if least <= 0:
                break
            if mpid not in keep:
                evicted.append(mpid)
                least -= row.counted_bytes
        for mpid in evicted:
            self.forget(mpid)
        return evicted

    def evict_some(self) -> None:
        """Remove some rows, whatever they take."""
        for mpid in list(islice(self, _EVICTED_AT_ONCE)):
            self.forget(mpid)
