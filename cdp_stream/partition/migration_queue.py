"""The profiles whose rows may have to be migrated after a change of definitions.

Their keys are gathered from the store a piece at a time, while rows are written. A profile that has
a row throughout is found once. One whose row comes or goes meanwhile may be found or not; that does
no harm: a row that is written after the change has been migrated already.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Final

from cdp_stream.formats.rows import OWN_ROW

__all__ = ["MigrationQueue"]

_GATHERED_AT_ONCE: Final = 1_000
"""Keys: about a ms."""


class MigrationQueue:
    """Profiles to be looked at, in no order."""

    def __init__(self) -> None:
        self._keys: Iterator[bytes] | None = None
        self._mpids = array("q")

    def __len__(self) -> int:
        """How many are known to wait; more may come while keys are gathered."""
        return len(self._mpids)

    @property
    def is_done(self) -> bool:
        """Whether no profile waits."""
        return self._keys is None and not self._mpids

    def fill(self, mpids: Collection[int]) -> None:
        """Begin anew with these profiles; one that was migrated already does no harm."""
        self._keys = None
        self._mpids = array("q", mpids)

    def fill_from(self, store: Mapping[bytes, bytes]) -> None:
        """Begin anew with all profiles of a store.

        Args:
            store: may be written to meanwhile. Its iterator must bear that, and give each key that
                stays once; a dict's does not, and its keys are listed at once, some ns each.
        """
        self._mpids = array("q")
        self._keys = iter(list(store)) if isinstance(store, dict) else iter(store)
        self._gather()

    def take(self, limit: int) -> list[int]:
        """Remove and return at most so many profiles; none only once `is_done`, or while keys that
        are not of profiles are passed over.
        """
        self._gather()
        mpids = self._mpids
        return [mpids.pop() for _ in range(min(limit, len(mpids)))]

    def put_back(self, mpids: Collection[int]) -> None:
        """Put profiles back into the queue."""
        self._mpids.extend(mpids)

    def _gather(self) -> None:
        if self._keys is None:
            return
        keys = list(islice(self._keys, _GATHERED_AT_ONCE))
        self._mpids.extend(int(key) for key in keys if key[0] != OWN_ROW)
        if len(keys) < _GATHERED_AT_ONCE:
            self._keys = None
