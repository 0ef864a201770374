"""The rows of backfills in one partition's store, and the backfill that uses them.

There is one backfill at a time. One that reads goes on under other definitions when they need no
more than it reads; otherwise its rows are removed, and then the next begins. One that has read
everything is kept until every row of live traffic was given what it has read.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping
from typing import Any

from cdp_stream.core.model.row import Row
from cdp_stream.formats.backfill_rows import (
    BACKFILL_KEY,
    BackfillState,
    backfill_key,
    decode_backfill,
)
from cdp_stream.partition.backfill import Backfill, can_go_on
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.partition.placement import Placed, everywhere

__all__ = ["BackfillStore"]


class BackfillStore:
    """The backfills of one partition, one after the other.

    Args:
        budget: how much memory decoded rows may take.
        is_here: whether a profile is placed in this partition.

    Attributes:
        current: the backfill that reads, or whose rows are merged into live ones; None: there is
            none.
    """

    def __init__(self, budget: MemoryBudget, is_here: Placed = everywhere) -> None:
        self._budget = budget
        self._is_here = is_here
        self._store: Mapping[bytes, bytes] = {}
        self._stored = array("q")
        self.current: Backfill | None = None

    def restore(self, store: Mapping[bytes, bytes], stored: array[int]) -> None:
        """Use a live store, in which these profiles have rows of a backfill."""
        self._store = store
        self._stored = stored
        self.current = None

    def select(
        self, definitions: Definitions, missing: Collection[str], *, is_migrating: bool
    ) -> None:
        """Find the backfill of the definitions in force: one that goes on, a new one, or none.

        Args:
            missing: slots whose history is not in.
            is_migrating: whether rows of live traffic are yet to be migrated.
        """
        if is_migrating and self.current is not None and self.current.is_complete:
            return
        value = self._store.get(BACKFILL_KEY)
        state = None if value is None else decode_backfill(value)
        if state is not None and state.epoch and is_migrating:
            self._begin(definitions, state.slots, state)
        elif missing and state is not None and can_go_on(state, definitions.account, missing):
            self._begin(definitions, missing, state)
        elif missing and state is None and not self._stored:
            self._begin(definitions, missing, None)
        else:
            self.current = None

    def _begin(
        self, definitions: Definitions, slots: Collection[str], state: BackfillState | None
    ) -> None:
        history = definitions.history_of(slots)
        self.current = Backfill(definitions.account, slots, self._budget, history, self._is_here)
        self.current.restore(self._store, self._stored, state)

    def merge(self, row: Row, until: int) -> Mapping[str, Any]:
        """The history that was read for a live row of an earlier epoch, by slot."""
        current = self.current
        if current is None or not current.is_complete:
            return {}
        return current.merge(row.mpid, row.epoch, until)

    def merged(self) -> Mapping[bytes, None]:
        """Tombstones of the rows that were merged since the last call; to be written behind the
        live rows that have their content now.
        """
        return {} if self.current is None else self.current.merged()

    @property
    def has_unused_rows(self) -> bool:
        """Whether there are rows that no backfill uses."""
        return self.current is None and (bool(self._stored) or BACKFILL_KEY in self._store)

    def remove_unused(self, limit: int) -> dict[bytes, bytes | None]:
        """Removes some more of those rows; the state goes with the last of them.

        Args:
            limit: how many are examined, at most: most were merged and removed already.
        """
        looked_at = self._stored[-limit:]
        del self._stored[-limit:]
        keys = map(backfill_key, looked_at)
        rows: dict[bytes, bytes | None] = {key: None for key in keys if key in self._store}
        if not self._stored:
            rows[BACKFILL_KEY] = None
        return rows
