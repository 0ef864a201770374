"""The backfill of one partition, from the switch that needs it to the removal of its last row.

There is one at a time. One under way goes on under other definitions when they need no more than it
reads; otherwise its rows are removed, and the next begins. One that is through is kept, to hand its
rows over, until every row of live traffic has been migrated.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping
from typing import Any

from cdp_stream.core.row import Row
from cdp_stream.formats.backfill_rows import (
    BACKFILL_KEY,
    BackfillState,
    backfill_key,
    decode_backfill,
)
from cdp_stream.partition.backfill import Backfill, can_go_on
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.room import Room

__all__ = ["Histories"]

Rows = dict[bytes, bytes | None]


class Histories:
    """The backfills of one partition, one after the other.

    Args:
        room: How much memory decoded rows may take.

    Attributes:
        current: the one that reads or hands over; None when none does.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._store: Mapping[bytes, bytes] = {}
        self._stored = array("q")
        self._is_settled = False
        self.current: Backfill | None = None

    def restore(self, store: Mapping[bytes, bytes], stored: array[int]) -> None:
        """Take over the live store, and whose rows of a backfill are in it."""
        self._store = store
        self._stored = stored
        self._is_settled = False
        self.current = None

    def settle(
        self, definitions: Definitions, missing: Collection[str], *, is_sweeping: bool
    ) -> None:
        """Find out what there is to do under the definitions in force.

        Args:
            missing: slots whose history is not in.
            is_sweeping: whether rows of live traffic are yet to be migrated.
        """
        self._is_settled = True
        if is_sweeping and self.current is not None and self.current.is_complete:
            return
        value = self._store.get(BACKFILL_KEY)
        state = None if value is None else decode_backfill(value)
        if state is not None and state.epoch and is_sweeping:
            self._go_on(definitions, state.slots, state)
        elif missing and state is not None and can_go_on(state, definitions.account, missing):
            self._go_on(definitions, missing, state)
        elif missing and state is None and not self._stored:
            self._go_on(definitions, missing, None)
        else:
            self.current = None

    def _go_on(
        self, definitions: Definitions, slots: Collection[str], state: BackfillState | None
    ) -> None:
        history = definitions.history_of(slots)
        self.current = Backfill(definitions.account, slots, self._room, history)
        self.current.restore(self._store, self._stored, state)

    def take(self, row: Row, until: int) -> Mapping[str, Any]:
        """What was read for a row of an earlier epoch, by slot."""
        current = self.current
        if current is None or not current.is_complete:
            return {}
        return current.take(row.mpid, row.epoch, until)

    def taken(self) -> Mapping[bytes, None]:
        """What removes the rows that were taken since this was asked last."""
        return {} if self.current is None else self.current.taken()

    @property
    def has_leftovers(self) -> bool:
        """Whether there are rows that nobody will take."""
        left = bool(self._stored) or BACKFILL_KEY in self._store
        return left and self.current is None and self._is_settled

    def remove(self, limit: int) -> Rows:
        """Remove some more of those rows; the state goes with the last of them.

        Args:
            limit: how many are looked at, at most: most were taken, and are gone already.
        """
        looked_at = self._stored[-limit:]
        del self._stored[-limit:]
        keys = map(backfill_key, looked_at)
        rows: Rows = {key: None for key in keys if key in self._store}
        if not self._stored:
            rows[BACKFILL_KEY] = None
        return rows
