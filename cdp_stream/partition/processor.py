"""Everything that one partition of `cdp.events` decides, with no Kafka: records and passing time
in, effects out.

Rows are bytes in the partition's store; those that were touched lately are kept decoded
(profiles.py). The effects of a call are a function of the rows and of the call: whoever delivers
them in order, and starts again from the delivered rows, loses and doubles nothing.

Definitions change by `switch`, at a point between two calls. Rows are then migrated as they are
loaded, and the rest of them by `sweep`, a slice at a time (changeover.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from cdp_stream.core.change import Change
from cdp_stream.core.definition import Account
from cdp_stream.core.row import FOREVER, NEVER, Row
from cdp_stream.core.telling import Emission
from cdp_stream.formats.envelope import asks_erasure, erased_mpid, is_time, marker_time
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.formats.rejects import Reject, too_large_for_profile
from cdp_stream.formats.rows import (
    PARTITION_KEY,
    PartitionState,
    encode_partition,
)
from cdp_stream.partition.backfill import Backfill
from cdp_stream.partition.changeover import Changeover
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import SLICE_BYTES, Effects, Record
from cdp_stream.partition.epochs import Epochs, Known
from cdp_stream.partition.histories import Histories
from cdp_stream.partition.profiles import Profiles
from cdp_stream.partition.restored import read_rows
from cdp_stream.partition.room import Room
from cdp_stream.partition.sizes import AudienceSizes
from cdp_stream.partition.telling import Telling

LOADED_BYTES = 16 * 1024 * 1024
"""Memory of rows that one call decodes, beside those that were decoded; the last may pass it."""
_ERASURE_BYTES = SLICE_BYTES // 16
"""What an erasure counts for: it may delete many memberships."""
_COUNTED_AT_ONCE = 1_000
"""Rows whose memberships are counted in one call: about 3 ms."""


class ProfileProcessor:
    """Evaluates the profiles of one input partition.

    Args:
        definitions: what a partition without any begins with.
        topic: the input topic, for rejects.
        partition: its number.
        room: how much memory decoded rows may take.
        known: finds the definitions that a partition has in force already; default: these alone.

    Attributes:
        time: the partition's time, epoch ms; never moves back; -1 before the first record, unless
            profiles were moved to it.
        position: offset of the last record applied; -1 before the first.
    """

    def __init__(
        self,
        definitions: Definitions,
        topic: str,
        partition: int,
        room: Room | None = None,
        known: Known | None = None,
    ) -> None:
        self.time = -1
        self.position = -1
        room = room if room is not None else Room()
        self._epochs = Epochs(definitions, known or {definitions.version: definitions}.get)
        self._histories = Histories(room)
        self._profiles = Profiles(self._epochs, self._histories, room)
        self._sizes = AudienceSizes((), self._epochs.told_of)
        self._telling = Telling(topic, partition, self._sizes)
        self._changeover = Changeover(
            self._epochs, self._histories, self._profiles, self._sizes, self._telling
        )
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
        self._profiles.restore(rows)
        found = read_rows(rows, self._profiles.due.add)
        self.time, self.position = found.time, found.position
        self._epochs.restore(found.definitions)
        self._histories.restore(rows, found.backfilled)
        self._take_plan()
        self._changeover.restore(found.mpids)
        self._sizes.begin(self._epochs.counted if self.is_able else (), found.mpids)

    # Definitions

    @property
    def version(self) -> str | None:
        """The version of the definitions in force; None before the first `switch`."""
        state = self._epochs.state
        return None if state is None else state.version

    @property
    def is_able(self) -> bool:
        """Whether it can evaluate at all; if not, `recall`, or a `switch`, comes first: the
        definitions in force are not to be had, or were not when it was restored.
        """
        return self._epochs.is_known

    def recall(self) -> bool:
        """Ask again for the definitions in force; whether they are to be had now."""
        self._epochs.restore(self._epochs.state)
        if self.is_able:
            self._take_plan()
            self._changeover.recall()
        return self.is_able

    @property
    def missing(self) -> frozenset[str]:
        """The slots of the definitions in force whose history is not in; the audiences that use
        them wait.
        """
        return self._epochs.missing

    def to_prepare(
        self, definitions: Definitions | None, skipped: Sequence[Account] = ()
    ) -> Callable[[], object] | None:
        """What is to be worked out before a `switch` to definitions is quick: with a thousand
        audiences that takes a good part of a second. It may be called in another thread while
        everything else goes on; a `switch` that is not prepared does the same itself.

        Args:
            definitions: those to be switched to; None is for `complete_backfill`.
            skipped: as for `switch`.

        Returns:
            None when nothing is left to be prepared.
        """
        return self._changeover.to_prepare(definitions, skipped)

    def switch(
        self,
        definitions: Definitions,
        complete: frozenset[str] = frozenset(),
        skipped: Sequence[Account] = (),
    ) -> Effects:
        """Put definitions in force: between two calls whose effects are delivered, with nothing due
        any more by the partition's time.

        The effects must be durable before any later ones are sent. They hold no changes: those come
        as rows are loaded, and by `sweep`.

        Args:
            definitions: a new version, or the one in force when more of it is complete.
            complete: slots whose history is in now, beside those that were kept up.
            skipped: what versions defined that came and went meanwhile.
        """
        effects = self._changeover.switch(definitions, complete, self.time, skipped)
        self._take_plan()
        self._close(effects)
        return effects

    def rows_to_sweep(self) -> int:
        """How many rows are known that have yet to be looked at because definitions changed; at
        least 1 while `sweep` has anything to do, or it is not able.
        """
        return self._changeover.rows_to_sweep()

    def sweep(self, limit: int) -> Effects:
        """Migrate the rows among the next `limit` that are of earlier definitions."""
        effects = self._changeover.sweep(limit)
        self._close(effects)
        return effects

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
        effects = self._changeover.complete_backfill(self.time)
        self._take_plan()
        self._close(effects)
        return effects

    def _take_plan(self) -> None:
        self._engine = self._epochs.engine
        plan = self._engine.plan
        self._row_limit = plan.account.row_limit
        self._decoder = BatchDecoder(plan.inputs)
        self._telling.speak_for(plan)

    # Records and time

    def next_due(self) -> int | None:
        """The earliest instant at which a profile may change by itself; None when there is none."""
        return self._profiles.due.first()

    def due_waiting(self) -> int:
        """How many due instants wait, those included that became later since."""
        return len(self._profiles.due)

    def audience_sizes(self) -> Mapping[str, int] | None:
        """How many members each audience has in this partition; None until all rows that were
        restored are counted, which each call does for some more of them.
        """
        if not self._epochs.is_known:
            return None
        return self._sizes.count(self._profiles.store, _COUNTED_AT_ONCE)

    def apply(self, records: Sequence[Record]) -> Effects:
        """Apply records above `position`, in order; those of a row that has them already only move
        time.

        It ends early, at a `position` before the last of them, once the rows and messages that it
        made take `SLICE_BYTES`, or the rows that it loaded `LOADED_BYTES`.
        """
        effects = Effects()
        touched: dict[int, Row | None] = {}
        changes = Emission()
        apply, wake, decode = self._engine.apply, self._engine.wake, self._decoder.decode
        profiles = self._profiles
        rows, load, is_due = profiles.decoded, profiles.load_for_event, profiles.due.add
        told, most = changes.told, rows.taken + LOADED_BYTES
        time, offset, size, made = self.time, self.position, 0, 0
        for record in records:
            if size >= SLICE_BYTES or rows.taken >= most:
                break
            value, offset = record.value, record.offset
            if not value:
                marked = marker_time(record.key, value, record.headers)
                if marked is not None:
                    time = max(time, marked)
                    continue
                if asks_erasure(record.headers):
                    time = self._erase(record, time, touched, changes, effects)
                    size += _ERASURE_BYTES
                    continue
            batch, rejects = decode(value, record.key, record.headers, record.timestamp)
            if rejects:
                size += self._telling.rejects(record, rejects, effects)
            if batch is None:
                continue
            mpid = batch.mpid
            row = rows.get(mpid) or load(mpid, self.time, changes, touched)
            reached, time = time, max(time, batch.arrival)
            if offset <= row.position:
                continue
            size += 0 if mpid in touched else row.weight
            touched[mpid], due = row, row.due
            if due <= reached:
                # Ticks lag behind the partition's time by as much as chance has it. What was due
                # before this record fires before it, or a late event would have another effect
                # after a crash than before it.
                wake(row, reached, changes)
            refused = apply(row, batch, changes, reached)
            if row.clock == NEVER:
                effects.late_batches += 1
                continue
            row.position = offset
            if row.due != due:
                is_due(row.due, mpid)
            if refused:
                too_large = too_large_for_profile(value or b"", refused, self._row_limit)
                size += self._telling.rejects(record, too_large, effects)
            effects.events += len(batch.events)
            # Each message has identities of the row, or attributes: less than all of it.
            before, made = made, len(changes) + len(told)
            size += (made - before) * row.weight
        self.time, self.position = time, offset
        self._end(changes, touched, effects)
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
            self._telling.rejects(record, (mpid,), effects)
            return time
        asked_at = record.timestamp if is_time(record.timestamp) else max(time, 0)
        profiles = self._profiles
        if not profiles.is_known(mpid):
            return max(time, asked_at)
        row = profiles.decoded.get(mpid) or profiles.load_for_event(
            mpid, self.time, changes, touched
        )
        if record.offset > row.position:
            if row.due <= time:
                self._engine.wake(row, time, changes)
            self._engine.erase(row, asked_at, changes)
            row.position = record.offset
            profiles.due.add(row.due, mpid)
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
        first; as for `apply` fewer when they take much.
        """
        self.time = max(self.time, until)
        effects = Effects()
        changes = Emission()
        woken: dict[int, Row | None] = {}
        rows, due_instants = self._profiles.decoded, self._profiles.due
        most, size, made = rows.taken + LOADED_BYTES, 0, 0
        for _ in range(limit):
            if size >= SLICE_BYTES or rows.taken >= most:
                break
            entry = due_instants.pop(until)
            if entry is None:
                break
            due, mpid = entry
            if mpid in woken and woken[mpid] is None:
                # Forgotten by this very call; the store still shows its row.
                continue
            row = rows.get(mpid) or self._profiles.load(mpid, changes, woken)
            if row.due > due:
                # It became later, or went; an entry of its own waits for the later instant.
                continue
            clock = row.clock
            lives = self._engine.wake(row, until, changes)
            before, made = made, len(changes) + len(changes.told)
            size += (1 + made - before) * row.weight
            if not lives:
                rows.forget(mpid)
                woken[mpid] = None
                continue
            if row.due < FOREVER:
                due_instants.add(row.due, mpid)
            if row.clock != clock:
                # A row whose due instant was merely early need not be written: found early again,
                # it does no harm.
                woken[mpid] = row
        first = due_instants.first()
        effects.more = first is not None and first <= until
        self._end(changes, woken, effects)
        return effects

    def _end(self, changes: Emission, touched: Mapping[int, Row | None], effects: Effects) -> None:
        self._telling.changes(changes, effects)
        effects.rows = self._profiles.encoded(touched)
        self._close(effects)

    def _close(self, effects: Effects) -> None:
        """End the write with the partition's own row: who has read it has read the whole write."""
        effects.rows.update(self._histories.taken())
        effects.rows[PARTITION_KEY] = encode_partition(PartitionState(self.time, self.position))
