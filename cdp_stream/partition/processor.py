"""Everything that one partition of `cdp.events` decides, with no Kafka: records and passing time
in, effects out.

Rows are bytes in the partition's store; those that were touched lately are kept decoded. The
effects of a call are a function of the rows and of the call: whoever delivers them in order, and
starts again from the delivered rows, loses and doubles nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import islice

from cdp_stream.core.change import ADD
from cdp_stream.core.due import DueInstants
from cdp_stream.core.evaluation import Engine
from cdp_stream.core.forwarding import Emission
from cdp_stream.core.plan import Plan
from cdp_stream.core.row import FOREVER, Row
from cdp_stream.formats.envelope import marker_time
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.formats.membership import encode_change, mpid_key, state_key
from cdp_stream.formats.output import OutputEncoder
from cdp_stream.formats.rejects import Reject, reject_headers, too_large_for_profile
from cdp_stream.formats.rows import (
    PARTITION_KEY,
    PartitionState,
    decode_partition,
    decode_row,
    due_of,
    encode_partition,
    encode_row,
)
from cdp_stream.partition.effects import Effects, Record
from cdp_stream.partition.room import RowRoom
from cdp_stream.partition.sizes import AudienceSizes

_COUNTED_AT_ONCE = 1_000
"""Rows whose memberships are counted in one call: about 3 ms."""


class ProfileProcessor:
    """Evaluates the profiles of one input partition.

    Attributes:
        time: the partition's time, epoch ms; never moves back; -1 before the first record.
        position: offset of the last record applied; -1 before the first.
    """

    def __init__(self, plan: Plan, topic: str, partition: int, room: RowRoom | None = None) -> None:
        self.time = -1
        self.position = -1
        self._account_id = plan.account_id
        self._engine = Engine(plan)
        self._encode_told = OutputEncoder(plan.account_id).encode
        self._decoder = BatchDecoder(plan.inputs)
        self._topic = topic
        self._partition = partition
        self._store: Mapping[bytes, bytes] = {}
        self._rows: dict[int, Row] = {}
        self._room = room if room is not None else RowRoom()
        self._room.join(self)
        self._due = DueInstants()
        self._sizes = AudienceSizes(a.id for a in plan.audiences if a.emits)

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Take over the partition's rows: its time, its position, and every profile's due instant.

        Args:
            rows: the live store of the partition; it must show the rows of a call's effects by the
                next call.

        Raises:
            OutsideError: a row is damaged, or of another release's format.
        """
        self._store = rows
        self.time = self.position = -1
        self._rows.clear()
        self._due = DueInstants()
        mpids = array("q")
        for key, value in rows.items():
            if key == PARTITION_KEY:
                self.time, self.position = decode_partition(value)
                continue
            mpids.append(mpid := int(key))
            if (due := due_of(value)) < FOREVER:
                self._due.add(due, mpid)
        self._sizes.begin(mpids)

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
        touched: dict[int, Row] = {}
        changes = Emission()
        decode = self._decoder.decode
        apply, wake = self._engine.apply, self._engine.wake
        rows = self._rows
        time = self.time
        for record in records:
            value = record.value
            if not value and (marked := marker_time(record.key, value, record.headers)) is not None:
                time = max(time, marked)
                continue
            batch, rejects = decode(value, record.key, record.headers, record.timestamp)
            if rejects:
                self._reject(record, rejects, effects)
            if batch is None:
                continue
            mpid = batch.mpid
            row = rows.get(mpid) or self._load_for_event(mpid)
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
        effects.rows = {b"%d" % mpid: encode_row(row) for mpid, row in touched.items()}
        self._close(effects)
        return effects

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
            row = self._rows.get(mpid) or self._load(mpid)
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
        effects.rows = {
            b"%d" % mpid: None if row is None else encode_row(row) for mpid, row in woken.items()
        }
        first = self._due.first()
        effects.more = first is not None and first <= until
        self._close(effects)
        return effects

    def _load(self, mpid: int) -> Row:
        value = self._store.get(b"%d" % mpid)
        row = self._rows[mpid] = Row(mpid) if value is None else decode_row(mpid, value)
        return row

    def _load_for_event(self, mpid: int) -> Row:
        """A row whose wake was too early was not written: its entry for that instant is gone, and
        the event may keep the row from getting another.
        """
        row = self._load(mpid)
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
            encode = self._encode_told
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
        effects.rows[PARTITION_KEY] = encode_partition(PartitionState(self.time, self.position))
