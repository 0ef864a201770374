"""How many decoded rows the partitions of one worker keep between them."""

from __future__ import annotations

from typing import Final, Protocol
from weakref import WeakSet

ROWS_KEPT: Final = 100_000
"""Decoded rows kept per worker; each takes up to some ten kilobytes."""


class Holder(Protocol):
    """Whoever keeps rows; counted for as long as it lives."""

    def __hash__(self) -> int: ...


class RowRoom:
    """Room for so many decoded rows, in equal shares.

    Whoever has joined counts until it is gone: a worker that is given more partitions keeps fewer
    rows of each.
    """

    def __init__(self, rows: int = ROWS_KEPT) -> None:
        self._rows = rows
        self._beside: RowRoom | None = None
        self._holders: WeakSet[Holder] = WeakSet()

    @property
    def beside(self) -> RowRoom:
        """Room for twice as many rows of backfills, which take less than half of the memory: the
        fewer there are, the more often each is written and read again.
        """
        if self._beside is None:
            self._beside = RowRoom(2 * self._rows)
        return self._beside

    def join(self, holder: Holder) -> None:
        """Count one more to share with."""
        self._holders.add(holder)

    def share(self) -> int:
        """How many rows each may keep."""
        return max(1, self._rows // max(1, len(self._holders)))
