"""The profiles of one partition: their rows, as bytes in its store and decoded while they are in
use, each under the definitions in force; and when each is due.
"""

from __future__ import annotations

from collections.abc import Mapping

from cdp_stream.core.change import Change
from cdp_stream.core.due import DueInstants
from cdp_stream.core.row import FOREVER, NEVER, Row
from cdp_stream.formats.rows import decode_row, encode_row
from cdp_stream.partition.epochs import Epochs
from cdp_stream.partition.histories import Histories
from cdp_stream.partition.room import KeptRows, Room

__all__ = ["Profiles"]


class Profiles:
    """The rows of one partition.

    Args:
        epochs: the definitions, under which rows are brought as they are loaded.
        histories: what was read of the history of rows.
        room: how much memory decoded rows may take.

    Attributes:
        decoded: those that were touched lately, by profile; the oldest first. Between two calls
            they are as in the store.
        store: all of them, encoded.
        due: the instants at which rows may change by themselves.
    """

    def __init__(self, epochs: Epochs, histories: Histories, room: Room) -> None:
        self._epochs = epochs
        self._histories = histories
        self._room = room
        self._room.join(self)
        self._outdated: list[KeptRows] = []
        self.decoded = KeptRows()
        self.store: Mapping[bytes, bytes] = {}
        self.due = DueInstants()

    def restore(self, store: Mapping[bytes, bytes]) -> None:
        """Begin with a store; its due instants are to be added."""
        self.store = store
        self.decoded = KeptRows()
        self.due = DueInstants()

    def is_known(self, mpid: int) -> bool:
        """Whether a profile has a row."""
        row = self.decoded.get(mpid)
        if row is not None:
            return row.clock != NEVER
        return self.store.get(b"%d" % mpid) is not None

    def load(self, mpid: int, changes: list[Change], touched: dict[int, Row | None]) -> Row:
        """Decode a row, and bring it under the definitions in force.

        Args:
            mpid: a profile that is not among the decoded ones; may be new.
            changes: what that changes is appended.
            touched: the row is put there if it has to be written for that.
        """
        value = self.store.get(b"%d" % mpid)
        if value is None:
            row = self.decoded[mpid] = Row(mpid, self._epochs.epoch)
            return row
        row = self.decoded[mpid] = decode_row(mpid, value)
        self.decoded.count((row,))
        if self._epochs.migrate(row, changes, self._histories):
            touched[mpid] = row
            if row.due < FOREVER:
                self.due.add(row.due, mpid)
        return row

    def load_for_event(
        self, mpid: int, reached: int, changes: list[Change], touched: dict[int, Row | None]
    ) -> Row:
        """As `load`. A row whose wake was too early was not written: its entry for that instant is
        gone, and the event may keep the row from getting another.

        Args:
            reached: the partition's time.
        """
        row = self.load(mpid, changes, touched)
        if row.due <= reached:
            self.due.add(row.due, mpid)
        return row

    def encoded(self, touched: Mapping[int, Row | None]) -> dict[bytes, bytes | None]:
        """Rows that a call has touched as they are to be written; nothing of a profile that was
        forgotten. That ends the call: room is made for the next.
        """
        written = {
            b"%d" % mpid: None if row is None or row.clock == NEVER else encode_row(row)
            for mpid, row in touched.items()
        }
        self.decoded.count(touched.values())
        self._make_room()
        return written

    def _make_room(self) -> None:
        if self._outdated:
            self.let_go_outdated()
        outdated = sum(rows.taken for rows in self._outdated)
        self.decoded.let_go(max(0, self._room.share() - outdated))

    def outdate(self) -> None:
        """The decoded rows are of definitions that are not in force any more."""
        self._outdated.append(self.decoded)
        self.decoded = KeptRows()

    def let_go_outdated(self) -> None:
        """Free some more of those rows; all of them at once would take tens of ms."""
        if not self._outdated:
            return
        rows = self._outdated[-1]
        rows.let_some_go()
        if not rows:
            self._outdated.pop()
