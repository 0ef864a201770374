"""The rows of one partition: bytes in its store, decoded while they are in use and then under the
definitions in force; the timer of each profile; and the partition's own time and position.
"""

from __future__ import annotations

from collections.abc import Mapping

from cdp_stream.core.due import DueInstants
from cdp_stream.core.model.change import Change
from cdp_stream.core.model.row import FOREVER, NEVER, Row
from cdp_stream.formats.rows import (
    PARTITION_KEY,
    PartitionState,
    decode_row,
    encode_partition,
    encode_row,
)
from cdp_stream.partition.active_definitions import ActiveDefinitions
from cdp_stream.partition.backfill_store import BackfillStore
from cdp_stream.partition.effects import SLICE_BYTES, Effects
from cdp_stream.partition.memory_budget import MemoryBudget, RowCache
from cdp_stream.partition.placement import Placed
from cdp_stream.partition.restored import RestoredRows, read_rows

__all__ = ["Profiles"]


class Profiles:
    """The rows of one partition.

    Args:
        active: the definitions to which rows are migrated as they are loaded.
        backfills: history that was read for rows.
        budget: how much memory decoded rows may take.
        is_here: whether a profile is placed in this partition.

    Attributes:
        time: the partition's time, epoch ms; never moves back; -1 before the first record, unless
            profiles were moved to it.
        position: offset of the last record applied; -1 before the first.
        is_here: as above.
        decoded: those that were touched recently, by profile; the oldest first. Between two calls
            they are as in the store, and all of profiles that are placed here.
        store: all of them, encoded.
        due: the instants at which rows may change by themselves.
        set_timer: adds one.
    """

    misplaced_move_time = False
    most_made = SLICE_BYTES
    most_loaded = 16 * 1024 * 1024
    """Memory of rows that one call decodes, beside those that were; the last may pass it."""

    def __init__(
        self,
        active: ActiveDefinitions,
        backfills: BackfillStore,
        budget: MemoryBudget,
        is_here: Placed,
    ) -> None:
        self._active = active
        self._backfills = backfills
        self._budget = budget
        self._budget.join(self)
        self._misplaced: list[int] = []
        self._outdated: list[RowCache] = []
        self.time = self.position = -1
        self.is_here = is_here
        self.decoded = RowCache()
        self.store: Mapping[bytes, bytes] = {}
        self.due = DueInstants()
        self.set_timer = self.due.add

    def restore(self, store: Mapping[bytes, bytes]) -> RestoredRows:
        """Begin with a live store; returns what was read from its rows.

        Raises:
            OutsideError: a row is damaged, or of another release's format, or profiles are being
                moved to other partitions.
        """
        self.store = store
        self.decoded = RowCache()
        self.due = DueInstants()
        self.set_timer = self.due.add
        found = read_rows(store, self.due.add)
        self.time, self.position = found.time, found.position
        return found

    def is_known(self, mpid: int) -> bool:
        """Whether a profile has a row."""
        row = self.decoded.get(mpid)
        if row is not None:
            return row.clock != NEVER
        return self.store.get(b"%d" % mpid) is not None

    def load(self, mpid: int, changes: list[Change], touched: dict[int, Row | None]) -> Row:
        """Decode a row, and migrate it to the definitions in force.

        Args:
            mpid: a profile that is not among the decoded ones; may be new.
            changes: what that changes is appended.
            touched: the row is put there if it has to be written for that.
        """
        if not self.is_here(mpid):
            # An earlier release made it. It stays until its end; records do not change it.
            self._misplaced.append(mpid)
        return self._read(mpid, changes, touched)

    def load_for_record(
        self, mpid: int, reached: int, changes: list[Change], touched: dict[int, Row | None]
    ) -> Row | None:
        """As `load`; None where the profile's records belong in another partition.

        A row whose wake was too early was not written: its entry for that instant was removed, and
        the event may keep the row from getting another.

        Args:
            reached: the partition's time.
        """
        if not self.is_here(mpid):
            return None
        row = self._read(mpid, changes, touched)
        if row.due <= reached:
            self.due.add(row.due, mpid)
        return row

    def _read(self, mpid: int, changes: list[Change], touched: dict[int, Row | None]) -> Row:
        value = self.store.get(b"%d" % mpid)
        if value is None:
            row = self.decoded[mpid] = Row(mpid, self._active.epoch)
            return row
        row = self.decoded[mpid] = decode_row(mpid, value)
        self.decoded.count((row,))
        if self._active.migrate(row, changes, self._backfills):
            touched[mpid] = row
            if row.due < FOREVER:
                self.due.add(row.due, mpid)
        return row

    def write(self, touched: Mapping[int, Row | None], effects: Effects) -> None:
        """End a call that touched rows: they are written, and of a profile that was forgotten
        nothing. Then memory is freed for the next call.
        """
        for mpid, row in touched.items():
            value = None if row is None or row.clock == NEVER else encode_row(row)
            effects.rows[b"%d" % mpid] = value
        self.decoded.count(touched.values())
        for mpid in self._misplaced:
            if mpid in self.decoded:
                self.decoded.forget(mpid)
        self._misplaced.clear()
        self._free_memory()
        self.end_write(effects)

    def end_write(self, effects: Effects) -> None:
        """Add the partition's own row, last: a reader that has it has read the whole write."""
        effects.rows.update(self._backfills.merged())
        effects.rows[PARTITION_KEY] = encode_partition(PartitionState(self.time, self.position))

    def _free_memory(self) -> None:
        if self._outdated:
            self.evict_outdated()
        outdated = sum(rows.used for rows in self._outdated)
        self.decoded.evict(max(0, self._budget.share() - outdated))

    def outdate(self) -> None:
        """Use no decoded row any more: they are of definitions that are not in force now."""
        self._outdated.append(self.decoded)
        self.decoded = RowCache()

    def evict_outdated(self) -> None:
        """Free some more of those rows; all of them at once would take tens of ms."""
        if not self._outdated:
            return
        rows = self._outdated[-1]
        rows.evict_some()
        if not rows:
            self._outdated.pop()
