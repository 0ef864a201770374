"""The one loop over records: live traffic and backfills both go through it, so that duplicates,
late events, erasures and time do the same in both.

They differ in where rows are (:class:`RecordRows`), and in whether what cannot be used is rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from cdp_stream.core.engine.evaluation import Engine
from cdp_stream.core.model.change import Change
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.row import NEVER, Row
from cdp_stream.core.outputs.messages import Emission
from cdp_stream.formats.envelope import asks_erasure, erased_mpid, is_time, marker_time
from cdp_stream.formats.events import Decoded
from cdp_stream.formats.limits import PLAUSIBLE_TIME
from cdp_stream.formats.rejects import Reject, reject_headers, too_large_for_profile
from cdp_stream.partition.effects import SLICE_BYTES, Effects, Headers, Record
from cdp_stream.partition.memory_budget import RowCache
from cdp_stream.partition.placement import Placed, wrong_partition

__all__ = ["RecordLoop", "RecordRows", "Rejecter", "Touched"]

Touched = dict[int, Row | None]
"""Rows that a call changed, by profile; None, or `NEVER` as its clock: the profile is forgotten."""
Decode = Callable[[bytes | None, bytes | None, Headers, int], Decoded]
_ERASURE_BYTES: Final = SLICE_BYTES // 16
"""The bytes that an erasure counts as: it may delete many memberships."""


class RecordRows(Protocol):
    """Where the rows of records are.

    Attributes:
        decoded: rows that need not be loaded.
        is_here: whether a profile's records belong in the partition.
        misplaced_move_time: whether a record whose profile is not here moves time.
        most_made: no more records in a call once it has so many bytes to write.
        most_loaded: nor once the decoded rows take so many bytes more than before.
    """

    decoded: RowCache
    is_here: Placed
    misplaced_move_time: bool
    most_made: int
    most_loaded: int

    def is_known(self, mpid: int) -> bool:
        """Whether a profile has a row."""

    def set_timer(self, due: int, mpid: int) -> None:
        """A profile's row is due at this instant now, epoch ms."""

    def load_for_record(
        self, mpid: int, reached: int, changes: list[Change], touched: Touched
    ) -> Row | None:
        """A row that is not decoded, or a new one; None for a profile that is not here.

        Args:
            mpid: the profile.
            reached: the partition's time before the call.
            changes: what the loading changes is appended.
            touched: the row is put there if it has to be written for that.
        """


class Rejecter:
    """Writes what of a record cannot be used.

    Args:
        topic: the input topic.
        partition: its number.
        partitions: how many there are; 0 where that is not known.
    """

    def __init__(self, topic: str, partition: int, partitions: int) -> None:
        self._topic = topic
        self._partition = partition
        self._partitions = partitions

    def write(self, record: Record, rejects: Sequence[Reject], effects: Effects) -> int:
        """Write rejects into effects; returns how many bytes they take."""
        for reject in rejects:
            headers = reject_headers(reject, self._topic, self._partition, record.offset)
            effects.rejected.append((record.key, reject.value, headers))
        return sum(len(reject.value or b"") for reject in rejects)

    def misplaced(self, record: Record, mpid: int) -> Reject:
        """The reject of a record whose profile belongs in another partition."""
        return wrong_partition(mpid, self._partition, self._partitions, record.value)


class RecordLoop:
    """Applies records to the rows of their profiles, in one call.

    Args:
        rows: where they are.
        engine: evaluates.
        decode: reads a batch, as `BatchDecoder.decode`.
        rejecter: writes what cannot be used; None: nothing is rejected.
        latest: no record moves time beyond this instant, epoch ms: one that arrives later is
            applied to its profile alone.

    Attributes:
        touched: the rows that changed.
        changes: what changed of memberships.
        effects: counts, and what was rejected.
        passed_over: how many events were in batches that their row had already, or that would have
            begun lives that had ended by live time.
    """

    def __init__(
        self,
        rows: RecordRows,
        engine: Engine,
        decode: Decode,
        rejecter: Rejecter | None,
        latest: int,
    ) -> None:
        self._rows = rows
        self._engine = engine
        self._decode = decode
        self._rejecter = rejecter
        self._latest = latest
        self.touched: Touched = {}
        self.changes = Emission()
        self.effects = Effects()
        self.passed_over = 0

    def run(
        self, records: Sequence[Record], time: int, position: int, shift: int = 0
    ) -> tuple[int, int]:
        """Apply records, in order; those that their row has already only move time.

        Args:
            records: all above the position, which is the offset of the last one before them.
            time: the partition's time before them, epoch ms.
            shift: is added to their offsets.

        Returns:
            The time and the position afterwards.
        """
        where, engine, touched, changes = self._rows, self._engine, self.touched, self.changes
        rows, load, decode = where.decoded, where.load_for_record, self._decode
        apply, wake, messages, latest = engine.apply, engine.wake, changes.messages, self._latest
        most_made, most_used = where.most_made, rows.used + where.most_loaded
        before, effects, size, made = time, self.effects, 0, 0
        for record in records:
            if size >= most_made or rows.used >= most_used:
                break
            value, position = record.value, record.offset + shift
            if not value and (moved := self._empty(record, position, time, before)) is not None:
                time, size = moved, size + (_ERASURE_BYTES if record.key else 0)
                continue
            batch, rejects = decode(value, record.key, record.headers, record.timestamp)
            if batch is None:
                size += self._reject(record, rejects)
                continue
            mpid, arrival, events = batch.mpid, batch.arrival, batch.events
            row = rows.get(mpid) or load(mpid, before, changes, touched)
            if row is None:
                time, size = self._misplaced(record, mpid, arrival, time), size + len(value or b"")
                continue
            size += self._reject(record, rejects) if rejects else 0
            if arrival > latest or (events[0].occurred_at if events else arrival) < PLAUSIBLE_TIME:
                arrival = _odd_times(batch, latest, effects)
            reached, time = time, max(time, arrival)
            if position <= row.position:
                self.passed_over += len(events)
                continue
            size += 0 if mpid in touched else row.weight
            touched[mpid], due = row, row.due
            if due <= reached:
                # Even where ticks lag: else a crash would change the order.
                wake(row, reached, changes)
            refused = apply(row, batch, changes, reached)
            if row.clock == NEVER:
                self._count_late(events)
                continue
            row.position = position
            if row.due != due:
                where.set_timer(row.due, mpid)
            if refused:
                size += self._reject(record, self._too_large(value, refused))
            effects.events += len(events)
            # Each message has identities of the row, or attributes: less than all of it.
            counted, made = made, len(changes) + len(messages)
            size += (made - counted) * row.weight
        return time, position

    def _count_late(self, events: Sequence[Event]) -> None:
        self.effects.late_batches += 1
        self.passed_over += len(events)

    def _too_large(self, value: bytes | None, refused: list[int]) -> Sequence[Reject]:
        limit = self._engine.plan.account.row_limit
        return too_large_for_profile(value or b"", refused, limit)

    def _empty(self, record: Record, position: int, time: int, before: int) -> int | None:
        """Apply a record with no value: a time marker, or a request to erase a profile.

        Returns:
            The time afterwards, which an erasure moves as the arrival of a batch does; None where
            it is neither, and is to be decoded.
        """
        marked = marker_time(record.key, record.value, record.headers, record.timestamp)
        if isinstance(marked, int):
            return self._moved(time, marked)
        if marked is None and not asks_erasure(record.headers):
            return None
        mpid = erased_mpid(record.key, record.value) if marked is None else marked
        if isinstance(mpid, Reject):
            self._reject(record, (mpid,))
            return time
        # As of the record's timestamp.
        asked_at = record.timestamp if is_time(record.timestamp) else max(time, 0)
        if not self._rows.is_here(mpid):
            return self._misplaced(record, mpid, asked_at, time)
        if self._rows.is_known(mpid):
            self._erase(mpid, asked_at, position, (time, before))
        return self._moved(time, asked_at)

    def _erase(self, mpid: int, asked_at: int, position: int, times: tuple[int, int]) -> None:
        rows, changes, (time, before) = self._rows, self.changes, times
        row = rows.decoded.get(mpid) or rows.load_for_record(mpid, before, changes, self.touched)
        if row is None or position <= row.position:
            return
        self._engine.wake(row, time, changes)
        self._engine.erase(row, asked_at, changes)
        row.position = position
        rows.set_timer(row.due, mpid)
        self.touched[mpid] = row

    def _moved(self, time: int, to: int) -> int:
        """The time after a record that moves it, unless that is too far ahead of the clock."""
        if to > self._latest:
            self.effects.future_records += 1
            return time
        return max(time, to)

    def _misplaced(self, record: Record, mpid: int, arrival: int, time: int) -> int:
        """The time after a record whose profile is not here."""
        if self._rejecter is not None:
            self._reject(record, (self._rejecter.misplaced(record, mpid),))
        return self._moved(time, arrival) if self._rows.misplaced_move_time else time

    def _reject(self, record: Record, rejects: Sequence[Reject]) -> int:
        """How many bytes are written of what cannot be used."""
        if self._rejecter is None:
            return 0
        return self._rejecter.write(record, rejects, self.effects)


def _odd_times(batch: Batch, latest: int, effects: Effects) -> int:
    """Count what is odd about the times of a batch.

    Returns:
        Its arrival, as far as that moves time; -1 where it does not.
    """
    times = [event.occurred_at for event in batch.events] or [batch.arrival]
    if early := sum(time < PLAUSIBLE_TIME for time in times):
        known = effects.implausible
        known[batch.input] = known.get(batch.input, 0) + early
    if batch.arrival <= latest:
        return batch.arrival
    effects.future_records += 1
    return -1
