"""Everything that one partition of `cdp.events` decides, with no Kafka: records and passing time
in, effects out.

Rows are bytes in the partition's store; those that were touched lately are kept decoded. The
effects of a call are a function of the rows and of the call: whoever delivers them in order, and
starts again from the delivered rows, loses and doubles nothing.

Definitions change by `switch`, at a point between two calls. Rows are then migrated as they are
loaded, and the rest of them by `sweep`, a slice at a time (epochs.py).
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, Sequence
from itertools import islice

from cdp_stream.core.change import ADD, Change
from cdp_stream.core.due import DueInstants
from cdp_stream.core.row import FOREVER, Row
from cdp_stream.core.telling import Emission
from cdp_stream.core.transition import Catalog, ended_connections
from cdp_stream.errors import OutsideError
from cdp_stream.formats.backfill_rows import backfilled_mpid
from cdp_stream.formats.definitions_row import (
    DEFINITIONS_KEY,
    decode_definitions,
    encode_definitions,
)
from cdp_stream.formats.envelope import asks_erasure, erased_mpid, is_time, marker_time
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.formats.membership import encode_change, mpid_key, state_key
from cdp_stream.formats.output import OutputEncoder
from cdp_stream.formats.rejects import Reject, reject_headers, too_large_for_profile
from cdp_stream.formats.rows import (
    OWN_ROW,
    PARTITION_KEY,
    REPARTITION_KEY,
    PartitionState,
    decode_partition,
    decode_row,
    due_of,
    encode_partition,
    encode_row,
    is_same_but_epoch,
)
from cdp_stream.partition.backfill import Backfill
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import Effects, Record
from cdp_stream.partition.epochs import Epochs, Known
from cdp_stream.partition.histories import Histories
from cdp_stream.partition.room import RowRoom
from cdp_stream.partition.sizes import AudienceSizes

_COUNTED_AT_ONCE = 1_000
"""Rows whose memberships are counted in one call: about 3 ms."""


class ProfileProcessor:
    """Evaluates the profiles of one input partition.

    Args:
        definitions: what a partition without any begins with.
        topic: the input topic, for rejects.
        partition: its number.
        room: how many decoded rows it may keep.
        known: finds the definitions that a partition has in force already; default: these alone.

    Attributes:
        time: the partition's time, epoch ms; never moves back; -1 before the first record.
        position: offset of the last record applied; -1 before the first.
    """

    def __init__(
        self,
        definitions: Definitions,
        topic: str,
        partition: int,
        room: RowRoom | None = None,
        known: Known | None = None,
    ) -> None:
        self.time = -1
        self.position = -1
        self._epochs = Epochs(definitions, known or {definitions.version: definitions}.get)
        self._topic = topic
        self._partition = partition
        self._store: Mapping[bytes, bytes] = {}
        self._rows: dict[int, Row] = {}
        self._room = room if room is not None else RowRoom()
        self._room.join(self)
        self._due = DueInstants()
        self._unswept = array("q")
        self._histories = Histories(self._room.beside)
        self._sizes = AudienceSizes((), self._epochs.told_of)
        self._take_plan()
        self._sizes.begin(self._epochs.counted, ())

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Take over the partition's rows: its time, its position, its definitions, and every
        profile's due instant.

        Args:
            rows: the live store of the partition; it must show the rows of a call's effects by the
                next call.

        Raises:
            OutsideError: a row is damaged, or of another release's format, or profiles are being
                moved to other partitions.
        """
        self._store = rows
        self.time = self.position = -1
        self._rows.clear()
        self._due = DueInstants()
        mpids, backfilled = array("q"), array("q")
        state = None
        for key, value in rows.items():
            if key[0] == OWN_ROW:
                if key == PARTITION_KEY:
                    self.time, self.position = decode_partition(value)
                elif key == DEFINITIONS_KEY:
                    state = decode_definitions(value)
                elif (owner := backfilled_mpid(key)) is not None:
                    backfilled.append(owner)
                elif key == REPARTITION_KEY:
                    raise _repartition_unfinished()
                continue  # of another, whoever wrote it reads it
            mpids.append(mpid := int(key))
            if (due := due_of(value)) < FOREVER:
                self._due.add(due, mpid)
        self._epochs.restore(state)
        self._histories.restore(rows, backfilled)
        self._take_plan()
        self._settle_histories()
        self._unswept = array("q", mpids if self._epochs.is_sweeping else ())
        self._sizes.begin(self._epochs.counted, mpids)

    # Definitions

    @property
    def version(self) -> str | None:
        """The version of the definitions in force; None before the first `switch`."""
        state = self._epochs.state
        return None if state is None else state.version

    @property
    def is_able(self) -> bool:
        """Whether it can evaluate at all; if not, a `switch` comes first: the definitions in force
        are not to be had any more.
        """
        return self._epochs.is_known

    @property
    def missing(self) -> frozenset[str]:
        """The slots of the definitions in force whose history is not in; the audiences that use
        them wait.
        """
        return self._epochs.missing

    def rows_to_sweep(self) -> int:
        """How many rows have yet to be looked at because definitions changed; at least 1 while
        `sweep` has anything to do.
        """
        epochs, histories = self._epochs, self._histories
        waits = bool(epochs.missing) and histories.current is None
        if epochs.is_sweeping or histories.has_leftovers or waits:
            return max(1, len(self._unswept))
        return 0

    def switch(self, definitions: Definitions, complete: frozenset[str] = frozenset()) -> Effects:
        """Put definitions in force: between two calls whose effects are delivered, with nothing due
        any more by the partition's time.

        The effects must be durable before any later ones are sent. They hold no changes: those come
        as rows are loaded, and by `sweep`.

        Args:
            definitions: a new version, or the one in force when more of it is complete.
            complete: slots whose history is in now, beside those that were kept up.
        """
        epochs = self._epochs
        before = epochs.state
        epochs.switch(definitions, complete, self.time)
        # Decoded rows are of the epoch before.
        self._rows.clear()
        self._take_plan()
        self._unswept = array("q")
        if epochs.is_sweeping:
            self._unswept.extend(int(key) for key in self._store if key[0] != OWN_ROW)
            self._sizes.include(epochs.counted)
            if not self._unswept:
                epochs.finish()
        if not epochs.is_sweeping:
            self._sizes.include(epochs.counted)
            self._sizes.keep(epochs.counted)
        self._settle_histories()
        effects = Effects()
        if before is not None:
            self._end_connections(before.catalog, effects)
        self._write_definitions(effects)
        self._close(effects)
        return effects

    def _end_connections(self, before: Catalog, effects: Effects) -> None:
        """Tell the connections whose audience was deleted, behind all that they were told of it."""
        state = self._epochs.state
        assert state is not None
        for wired, audience in ended_connections(before, self._epochs.definitions.account):
            message = self._encoder.encode_audience_delete(wired, audience, state.time)
            effects.outputs.append((wired.output, b"", message))
        now = state.catalog.connections
        effects.started = [name for name in now if name not in before.connections]
        effects.stopped = [name for name in before.connections if name not in now]

    @property
    def backfill(self) -> Backfill | None:
        """What reads the history of the missing slots, or hands over what it has read; None when
        there is nothing to read, or the rows of an earlier one are yet to be removed (`sweep`).
        """
        return self._histories.current

    def pending(self) -> Collection[str]:
        """The audiences that wait for history."""
        return self._engine.plan.pending

    def complete_backfill(self) -> Effects:
        """The backfill has read up to `position`: put the definitions in force in full. As for
        `switch`, nothing is on its way and nothing due.
        """
        backfill = self._histories.current
        assert backfill is not None
        rows = backfill.complete(self._epochs.epoch + 1).rows
        effects = self.switch(self._epochs.definitions, backfill.slots)
        effects.rows = {**rows, **effects.rows}
        return effects

    def sweep(self, limit: int) -> Effects:
        """Migrate the rows among the next `limit` that are of earlier definitions."""
        effects = Effects()
        changes = Emission()
        epochs, rows, store = self._epochs, self._rows, self._store
        unswept = self._unswept
        for _ in range(min(limit, len(unswept))):
            mpid = unswept.pop()
            key = b"%d" % mpid
            # A row that is decoded was loaded since, and so migrated.
            value = None if mpid in rows else store.get(key)
            if value is None or not epochs.is_behind(value):
                continue
            row = decode_row(mpid, value)
            due = row.due
            epochs.migrate(row, changes, self._histories)
            encoded = encode_row(row)
            # Once all are swept a row counts as of the newest epoch: what is as it was stays.
            if not is_same_but_epoch(encoded, value):
                effects.rows[key] = encoded
                if row.due != due and row.due < FOREVER:
                    self._due.add(row.due, mpid)
        self._emit(changes, effects)
        if not unswept and epochs.is_sweeping:
            # What was taken last is removed behind the rows that have it now.
            effects.rows.update(self._histories.taken())
            epochs.finish()
            self._sizes.keep(epochs.counted)
            self._write_definitions(effects)
            self._settle_histories()
        elif self._histories.has_leftovers:
            effects.rows.update(self._histories.remove(limit))
        elif epochs.missing and self._histories.current is None:
            self._settle_histories()
        self._close(effects)
        return effects

    def _settle_histories(self) -> None:
        epochs = self._epochs
        if epochs.is_known:
            self._histories.settle(
                epochs.definitions.account, epochs.missing, is_sweeping=epochs.is_sweeping
            )

    def _take_plan(self) -> None:
        self._engine = self._epochs.engine
        plan = self._engine.plan
        self._account_id = plan.account_id
        self._decoder = BatchDecoder(plan.inputs)
        self._encoder = OutputEncoder(plan.account_id)

    def _write_definitions(self, effects: Effects) -> None:
        state = self._epochs.state
        assert state is not None
        effects.rows[DEFINITIONS_KEY] = encode_definitions(state)

    # Records and time

    def next_due(self) -> int | None:
        """The earliest instant at which a profile may change by itself; None when there is none."""
        return self._due.first()

    def due_waiting(self) -> int:
        """How many due instants wait, those included that became later since."""
        return len(self._due)

    def audience_sizes(self) -> Mapping[str, int] | None:
        """How many members each audience has in this partition; None until all rows that were
        restored are counted, which each call does for some more of them.
        """
        return self._sizes.count(self._store, _COUNTED_AT_ONCE)

    def apply(self, records: Sequence[Record]) -> Effects:
        """Apply records above `position`, in order; those of a row that has them already only move
        time.
        """
        self._make_room()
        effects = Effects()
        touched: dict[int, Row | None] = {}
        changes = Emission()
        decode = self._decoder.decode
        apply, wake = self._engine.apply, self._engine.wake
        rows = self._rows
        time = self.time
        for record in records:
            value = record.value
            if not value:
                marked = marker_time(record.key, value, record.headers)
                if marked is not None:
                    time = max(time, marked)
                    continue
                if asks_erasure(record.headers):
                    time = self._erase(record, time, touched, changes, effects)
                    continue
            batch, rejects = decode(value, record.key, record.headers, record.timestamp)
            if rejects:
                self._reject(record, rejects, effects)
            if batch is None:
                continue
            mpid = batch.mpid
            row = rows.get(mpid) or self._load_for_event(mpid, changes, touched)
            reached, time = time, max(time, batch.arrival)
            offset = record.offset
            if offset <= row.position:
                continue
            due = row.due
            if due <= reached:
                # Ticks lag behind the partition's time by as much as chance has it. What was due
                # before this record fires before it, or a late event would have another effect
                # after a crash than before it.
                wake(row, reached, changes)
            refused = apply(row, batch, changes)
            row.position = offset
            if row.due != due:
                self._due.add(row.due, mpid)
            if refused:
                self._reject(record, too_large_for_profile(value or b"", refused), effects)
            touched[mpid] = row
            effects.events += len(batch.events)
        self.time = time
        if records:
            self.position = records[-1].offset
        self._emit(changes, effects)
        effects.rows = _encoded(touched)
        self._close(effects)
        return effects

    def _erase(
        self,
        record: Record,
        time: int,
        touched: dict[int, Row | None],
        changes: list[Change],
        effects: Effects,
    ) -> int:
        """Erase the profile that the record's key names, as of the record's timestamp.

        Returns:
            The partition's time after it: it moves as with the arrival of a batch.
        """
        mpid = erased_mpid(record.key, record.value)
        if isinstance(mpid, Reject):
            self._reject(record, (mpid,), effects)
            return time
        asked_at = record.timestamp if is_time(record.timestamp) else max(time, 0)
        if mpid not in self._rows and self._store.get(b"%d" % mpid) is None:
            return max(time, asked_at)
        row = self._rows.get(mpid) or self._load_for_event(mpid, changes, touched)
        if record.offset > row.position:
            if row.due <= time:
                self._engine.wake(row, time, changes)
            self._engine.erase(row, asked_at, changes)
            row.position = record.offset
            self._due.add(row.due, mpid)
            touched[mpid] = row
        return max(time, asked_at)

    def mark_time(self, until: int) -> Effects:
        """Move time without firing anything: the write that must be durable before a tick's outputs
        are sent.
        """
        self.time = max(self.time, until)
        effects = Effects()
        self._close(effects)
        return effects

    def tick(self, until: int, limit: int) -> Effects:
        """Move time to `until` and wake at most `limit` profiles that are due by then, the earliest
        first.
        """
        self._make_room()
        self.time = max(self.time, until)
        effects = Effects()
        changes = Emission()
        woken: dict[int, Row | None] = {}
        for _ in range(limit):
            entry = self._due.pop(until)
            if entry is None:
                break
            due, mpid = entry
            if mpid in woken and woken[mpid] is None:
                # Forgotten by this very call; the store still shows its row.
                continue
            row = self._rows.get(mpid) or self._load(mpid, changes, woken)
            if row.due > due:
                # It became later, or went; an entry of its own waits for the later instant.
                continue
            clock = row.clock
            if not self._engine.wake(row, until, changes):
                del self._rows[mpid]
                woken[mpid] = None
                continue
            if row.due < FOREVER:
                self._due.add(row.due, mpid)
            if row.clock != clock:
                # A row whose due instant was merely early need not be written: found early again,
                # it does no harm.
                woken[mpid] = row
        self._emit(changes, effects)
        effects.rows = _encoded(woken)
        first = self._due.first()
        effects.more = first is not None and first <= until
        self._close(effects)
        return effects

    def _load(self, mpid: int, changes: list[Change], touched: dict[int, Row | None]) -> Row:
        """A row, of the definitions in force."""
        value = self._store.get(b"%d" % mpid)
        if value is None:
            row = self._rows[mpid] = Row(mpid, self._epochs.epoch)
            return row
        row = self._rows[mpid] = decode_row(mpid, value)
        if self._epochs.migrate(row, changes, self._histories):
            touched[mpid] = row
            if row.due < FOREVER:
                self._due.add(row.due, mpid)
        return row

    def _load_for_event(
        self, mpid: int, changes: list[Change], touched: dict[int, Row | None]
    ) -> Row:
        """A row whose wake was too early was not written: its entry for that instant is gone, and
        the event may keep the row from getting another.
        """
        row = self._load(mpid, changes, touched)
        if row.due <= self.time:
            self._due.add(row.due, mpid)
        return row

    def _make_room(self) -> None:
        """Let the rows that were decoded first go, a tenth at a time; between calls all are in the
        store.
        """
        rows, most = self._rows, self._room.share()
        if len(rows) >= most:
            for old in list(islice(rows, most // 10 + 1)):
                del rows[old]

    def _emit(self, changes: Emission, effects: Effects) -> None:
        state: dict[bytes, bytes | None] = {}
        counts = effects.changes
        self._sizes.change(changes)
        for change in changes:
            message = encode_change(change, self._account_id)
            effects.memberships.append((mpid_key(change.mpid), message))
            state[state_key(change.audience_id, change.mpid)] = (
                message if change.action == ADD else None
            )
            counted = (change.audience_id, change.action)
            counts[counted] = counts.get(counted, 0) + 1
        effects.state.extend(state.items())
        if changes.told:
            encode = self._encoder.encode
            effects.outputs += [
                (told.connection.output, mpid_key(told.change.mpid), encode(told))
                for told in changes.told
            ]
        effects.unidentified = changes.unidentified

    def _reject(self, record: Record, rejects: Sequence[Reject], effects: Effects) -> None:
        for reject in rejects:
            headers = reject_headers(reject, self._topic, self._partition, record.offset)
            effects.rejected.append((record.key, reject.value, headers))

    def _close(self, effects: Effects) -> None:
        """End the write with the partition's own row: who has read it has read the whole write."""
        effects.rows.update(self._histories.taken())
        effects.rows[PARTITION_KEY] = encode_partition(PartitionState(self.time, self.position))


def _encoded(rows: Mapping[int, Row | None]) -> dict[bytes, bytes | None]:
    return {b"%d" % mpid: None if row is None else encode_row(row) for mpid, row in rows.items()}


def _repartition_unfinished() -> OutsideError:
    return OutsideError(
        "profiles are being moved to other partitions, and that is not finished",
        "wait for cdp repartition, or run it again with the same --partitions: it goes on",
    )
