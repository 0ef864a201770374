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
        self._holders: WeakSet[Holder] = WeakSet()

    def join(self, holder: Holder) -> None:
        """Count one more to share with."""
        self._holders.add(holder)

    def share(self) -> int:
        """How many rows each may keep."""
        return max(1, self._rows // max(1, len(self._holders)))
