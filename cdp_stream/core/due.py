"""The due instants of one partition, in order, in few bytes: 16 per profile.

Entries are only hints. A profile's true next due instant is in its row; the caller passes over an
entry that differs from it. So nothing is ever removed or moved, and a due instant that became later
costs nothing until the old one comes.
"""

from __future__ import annotations

from array import array
from heapq import heapify, heappop, heappush
from typing import Final

BUCKET_MS: Final = 60_000


class DueInstants:
    """A queue of (instant, mpid), by instant; of equal instants by mpid.

    Instants far ahead lie unsorted in buckets of a minute; a bucket is sorted when its turn comes.
    """

    __slots__ = ("_buckets", "_earliest", "_near", "_near_until", "_order", "_size")

    def __init__(self) -> None:
        self._near: list[tuple[int, int]] = []
        self._near_until = -(2**63)
        self._buckets: dict[int, array[int]] = {}
        self._earliest: dict[int, int] = {}
        self._order: list[int] = []
        self._size = 0

    def __len__(self) -> int:
        """Entries waiting, those included that are out of date."""
        return self._size

    def add(self, due: int, mpid: int) -> None:
        """Note that the profile is due at this instant, epoch ms."""
        self._size += 1
        if due < self._near_until:
            heappush(self._near, (due, mpid))
            return
        bucket = due // BUCKET_MS
        entries = self._buckets.get(bucket)
        if entries is None:
            entries = self._buckets[bucket] = array("q")
            self._earliest[bucket] = due
            heappush(self._order, bucket)
        elif due < self._earliest[bucket]:
            self._earliest[bucket] = due
        entries.append(due)
        entries.append(mpid)

    def first(self) -> int | None:
        """The earliest instant, None when nothing waits."""
        if self._near:
            return self._near[0][0]
        return self._earliest[self._order[0]] if self._order else None

    def pop(self, until: int) -> tuple[int, int] | None:
        """Remove and return the earliest (instant, mpid) that is not later than `until`; None when
        there is none.
        """
        first = self.first()
        if first is None or first > until:
            return None
        if not self._near:
            self._open_bucket()
        self._size -= 1
        return heappop(self._near)

    def _open_bucket(self) -> None:
        """Sort the next bucket; only when its time has come: what is added before its end goes to
        the heap.
        """
        bucket = heappop(self._order)
        entries = self._buckets.pop(bucket)
        del self._earliest[bucket]
        self._near = list(zip(entries[::2], entries[1::2], strict=True))
        heapify(self._near)
        self._near_until = (bucket + 1) * BUCKET_MS
