"""Reads the history of new criteria in one partition: records of the log in, rows out.

A backfill is a processor that keeps only the state of the missing slots, and what decides on it:
ids for duplicates, activity for the profile's end. The engine and the loop over records are those
of live traffic, so duplicates, late events and ends come out as they would have. It changes no
membership, emits nothing and rejects nothing: all of that was done when the record was live.

Rows are written a few at a time while reading goes on, and `~backfill` after the last of them, with
the position as the writing began. A row has the offset of its last record: after a crash records
behind that position are read again, and a row passes over those that it has already.

Offsets are those of its sources joined end to end (sources.py). Time begins anew with each of them,
as it was there: a later one may begin before another's end.

When the live position is reached, `merge` moves each profile's slots into its live row.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from cdp_stream.core.engine.evaluation import Engine
from cdp_stream.core.model.change import Change
from cdp_stream.core.model.definition import Account
from cdp_stream.core.model.meaning import digest_of, meaning_text
from cdp_stream.core.model.row import FOREVER, NEVER, Row
from cdp_stream.core.plan.build import HistoryPlan, build_history_plan
from cdp_stream.formats.backfill_rows import (
    BACKFILL_KEY,
    BackfillState,
    Source,
    backfill_key,
    encode_backfill,
)
from cdp_stream.formats.events import BatchDecoder, Decoded
from cdp_stream.formats.moved_row import MOVED_KEY, Move, decode_moves
from cdp_stream.formats.rows import decode_row, encode_row
from cdp_stream.partition.effects import Effects, Headers, Record
from cdp_stream.partition.memory_budget import MemoryBudget, RowCache
from cdp_stream.partition.placement import Placed, everywhere
from cdp_stream.partition.record_loop import RecordLoop, RecordRows, Touched
from cdp_stream.partition.sources import JoinedLog

__all__ = ["Backfill", "can_go_on"]

_EVENTS_BETWEEN_SAVES: Final = 1_000_000
"""So much reading is lost by a crash, at most."""
_OWN_LOG: Final = JoinedLog((Source(0, 0),))
"""No moves; the same for every partition."""


class Backfill:
    """Reads the history of some slots in one partition.

    Attributes:
        slots: whose history it is.
        lookback_ms: no older event can count; None is unlimited.
        state: how far it is; None until it has begun.
        history: what it reads, in order; known once it has begun.
        is_here: whether a profile is placed in the partition.
        decoded: rows in memory; one that is newer than what is written of it always is.
    """

    misplaced_move_time = False
    """A misplaced record was rejected when it was live."""
    most_made = most_loaded = FOREVER

    def __init__(
        self,
        account: Account,
        slots: Collection[str],
        budget: MemoryBudget | None = None,
        plan: HistoryPlan | None = None,
        is_placed: Placed = everywhere,
    ) -> None:
        plan = plan or build_history_plan(account, slots)
        self.slots = frozenset(slots)
        self.lookback_ms = plan.lookback_ms
        self.state: BackfillState | None = None
        self.history = _OWN_LOG
        self._scope = scope_of(account)
        self._engine = Engine(plan.plan)
        self._decoder = BatchDecoder(plan.plan.inputs)
        self._budget = budget if budget is not None else MemoryBudget()
        self._budget.join(self)
        self._store: Mapping[bytes, bytes] = {}
        self._stored = array("q")
        self.is_here = is_placed
        self.decoded = RowCache()
        self._unsaved: dict[int, None] = {}
        self._new: set[int] = set()
        self._merged: list[int] = []
        self._saving: tuple[BackfillState, list[int]] | None = None
        self._unsaved_events = 0

    def restore(
        self, store: Mapping[bytes, bytes], stored: array[int], state: BackfillState | None
    ) -> None:
        """Go on from the partition's rows.

        Args:
            store: the live store of the partition.
            stored: whose rows of a backfill it has; those that are written are appended.
            state: one that `can_go_on`; None begins anew, with no rows.
        """
        self._store = store
        self._stored = stored
        self.state = state
        self.history = JoinedLog(state.sources) if state is not None and state.sources else _OWN_LOG

    def moves(self) -> tuple[Move, ...]:
        """The moves of profiles to this partition.

        Raises:
            OutsideError: the row `~moved` is damaged, or another release's.
        """
        return decode_moves(self._store.get(MOVED_KEY))

    @property
    def position(self) -> int:
        """All records up to this offset were read; -1 before the backfill begins."""
        return -1 if self.state is None else self.state.position

    def begin(
        self, start: int, *, log_is_shorter: bool, sources: tuple[Source, ...] = ()
    ) -> Effects:
        """Begin at an offset; the effects are its first state.

        Args:
            start: in the sources joined end to end.
            log_is_shorter: whether records that would count were deleted.
            sources: what is read, where profiles were moved; without, the partition's own log.
        """
        slots = tuple(sorted(self.slots))
        self.history = JoinedLog(sources) if sources else _OWN_LOG
        time = sources[0].time if sources else -1
        self.state = BackfillState(
            slots, self._scope, start, start - 1, time, log_is_shorter, sources=sources
        )
        return Effects(rows={BACKFILL_KEY: encode_backfill(self.state)})

    def note_gap(self) -> bool:
        """Note that the log lost records before they were read; returns whether that is new."""
        assert self.state is not None
        if self.state.log_is_shorter:
            return False
        self.state = replace(self.state, log_is_shorter=True)
        return True

    # Reading

    def apply(
        self,
        records: Sequence[Record],
        through: int,
        *,
        shift: int = 0,
        is_here: Placed | None = None,
        latest: int = FOREVER,
    ) -> int:
        """Read records of one source above the position, in order.

        Args:
            records: with the offsets of their own partition.
            through: the position afterwards; greater than the last record's offset where no record
                lies between.
            shift: what makes their offsets those of the sources joined end to end.
            is_here: whether a profile is this partition's; records of others only move time. None:
                the log is the partition's own, and all are but the misplaced ones, which were
                rejected when they were live.
            latest: no record moves time beyond this instant, as when it was live.

        Returns:
            How many events were in their batches.
        """
        state = self.state
        assert state is not None
        time = state.time
        if records:
            time = self.history.time_before(records[0].offset + shift, state.position, time)
        rows: RecordRows = self if is_here is None else _ForeignRows(self, is_here)
        loop = RecordLoop(rows, self._engine, self._decode, None, latest)
        time, read = loop.run(records, time, state.position, shift)
        self._note(loop.touched)
        events = loop.effects.events + loop.passed_over
        self._unsaved_events += events
        time = self.history.time_before(through + 1, read, time)
        self.state = replace(state, position=through, time=time, events=state.events + events)
        return events

    def _decode(
        self, value: bytes | None, key: bytes | None, headers: Headers, recorded_at: int
    ) -> Decoded:
        """A batch without its profile part, which is in the live row."""
        batch, _ = self._decoder.decode(value, key, headers, recorded_at)
        if batch is not None:
            batch.profile = None
        return batch, ()

    def _note(self, touched: Touched) -> None:
        """Remember that these rows changed; evict the oldest of the others."""
        for mpid, row in touched.items():
            # A life that ended before live time leaves nothing to be written.
            if mpid not in self._new or (row is not None and row.clock != NEVER):
                self._unsaved[mpid] = None
        self.decoded.count(touched.values())
        for mpid in self.decoded.evict(self._budget.share(), keep=self._unsaved):
            self._new.discard(mpid)

    # Its rows, for the loop

    def is_known(self, mpid: int) -> bool:
        """Whether a profile has a row."""
        return mpid in self.decoded or self._store.get(backfill_key(mpid)) is not None

    def set_timer(self, due: int, mpid: int) -> None:
        """Do nothing: due instants fire before the next record of the profile, or at the end."""

    def load_for_record(
        self, mpid: int, reached: int, changes: list[Change], touched: Touched
    ) -> Row | None:
        """A row that is not decoded, or a new one; None for a profile that is not placed here."""
        if not self.is_here(mpid):
            return None
        value = self._store.get(backfill_key(mpid))
        if value is None:
            self._new.add(mpid)
            row = self.decoded[mpid] = Row(mpid)  # counted once something is in it
            return row
        row = self.decoded[mpid] = decode_row(mpid, value)
        self.decoded.count((row,))
        return row

    # Writing

    @property
    def wants_to_save(self) -> bool:
        """Whether rows are to be written; more may be read meanwhile, unless it `is_full`."""
        if self._saving is not None or self._unsaved_events >= _EVENTS_BETWEEN_SAVES:
            return True
        return self.unsaved_bytes * 4 > self._budget.share() * 3

    @property
    def is_full(self) -> bool:
        """Whether rows must be written before more is read."""
        return self.unsaved_bytes > self._budget.share()

    @property
    def is_near_full(self) -> bool:
        """Whether no more than a few records should be read at a time."""
        return 2 * self.decoded.used > self._budget.share()

    @property
    def is_saving(self) -> bool:
        """Whether some rows of a `save` are written and others are not."""
        return self._saving is not None

    @property
    def unsaved_rows(self) -> int:
        """How many rows are newer than what is written of them."""
        return len(self._unsaved)

    @property
    def unsaved_bytes(self) -> int:
        """About the memory of those rows: their share of that of all decoded rows."""
        return self.decoded.used * len(self._unsaved) // max(1, len(self.decoded))

    def save(self, limit: int, size: int) -> Effects:
        """Write some more rows; behind the last of them, the position as the first were written.

        Args:
            limit: how many rows at most.
            size: no more rows once so many bytes are reached.
        """
        if self._saving is None:
            assert self.state is not None
            self._saving = self.state, list(self._unsaved)
            self._unsaved_events = 0
        state, mpids = self._saving
        written: dict[bytes, bytes | None] = {}
        while mpids and len(written) < limit and size > 0:
            mpid = mpids.pop()
            if mpid in self._unsaved:
                value = written[backfill_key(mpid)] = self._encoded(mpid)
                size -= len(value or b"")
        if not mpids:
            self._saving = None
            written[BACKFILL_KEY] = encode_backfill(state)
        return Effects(rows=written)

    @property
    def is_complete(self) -> bool:
        """Whether its rows are merged into live ones."""
        return self.state is not None and self.state.epoch > 0

    def complete(self, epoch: int) -> Effects:
        """The live position is reached: from here on rows are merged into those of live traffic
        that are of an earlier epoch.

        The effects are all that is not written yet; they belong in the write that begins the epoch.
        """
        assert self.state is not None
        self._saving = None
        self.state = replace(self.state, epoch=epoch)
        return self.save(len(self._unsaved) + 1, FOREVER)

    def _encoded(self, mpid: int) -> bytes | None:
        """A row as it is to be written; nothing of it when the profile was forgotten."""
        del self._unsaved[mpid]
        row = self.decoded[mpid]
        if row.clock == NEVER:
            return None
        if mpid in self._new:
            self._new.discard(mpid)
            self._stored.append(mpid)
        return encode_row(row)

    # Merging

    def merge(self, mpid: int, epoch: int, until: int) -> Mapping[str, Any]:
        """The state of a profile's slots at an instant, by slot; its row is removed (`merged`).

        Args:
            epoch: of the profile's live row. One that began since has its history already.
            until: an instant that no event of the profile is later than.
        """
        if self.state is None or epoch >= self.state.epoch:
            return {}
        row = self.decoded.get(mpid)
        if row is not None:
            self.decoded.forget(mpid)
        elif (value := self._store.get(backfill_key(mpid))) is not None:
            row = decode_row(mpid, value)
        else:
            return {}
        self._merged.append(mpid)
        if not self._engine.wake(row, until, []):
            return {}
        return {slot: state for slot, state in row.slots.items() if slot in self.slots}

    def merged(self) -> dict[bytes, None]:
        """Tombstones of the rows that were merged since the last call; to be written behind the
        live rows that have their content now.
        """
        rows = {backfill_key(mpid): None for mpid in self._merged}
        self._merged.clear()
        return rows


class _ForeignRows:
    """The same rows, for records of a source that has those of other profiles too."""

    misplaced_move_time = True
    most_made = most_loaded = FOREVER

    def __init__(self, backfill: Backfill, is_here: Placed) -> None:
        self._backfill = backfill
        # Empty: a record counts by where it was placed, even if the profile's row is decoded.
        self.decoded = RowCache()
        self.is_here = is_here

    def is_known(self, mpid: int) -> bool:
        """As of the backfill."""
        return self._backfill.is_known(mpid)

    def set_timer(self, due: int, mpid: int) -> None:
        """As of the backfill."""

    def load_for_record(
        self, mpid: int, reached: int, changes: list[Change], touched: Touched
    ) -> Row | None:
        """A row, decoded already or not; None for a profile that is not here."""
        if not self.is_here(mpid):
            return None
        rows = self._backfill
        return rows.decoded.get(mpid) or rows.load_for_record(mpid, reached, changes, touched)


def scope_of(account: Account) -> str:
    """A digest of what decides on history beside the criteria: inputs, tiers, lifetimes."""
    return digest_of(meaning_text(account.workspaces))


def can_go_on(state: BackfillState, account: Account, slots: Collection[str]) -> bool:
    """Whether a backfill that is under way reads what is wanted: as many slots, or more."""
    return not state.epoch and state.scope == scope_of(account) and set(slots).issubset(state.slots)
