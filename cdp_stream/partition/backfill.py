"""The history of criteria that are new, one partition's: records of the log in, rows out.

A backfill is a processor that keeps nothing but the state of the missing slots, and what decides on
it: ids for duplicates, activity for the profile's end. The engine is the live one, so duplicates,
late events and ends come out as they would have. It changes no membership, emits nothing and
rejects nothing: all of that was done when the record was live.

Rows are written a few at a time while reading goes on, and `~backfill` after the last of them, with
the position as the writing began. A row says up to which record it is, so that after a crash the
records behind that position are read again and those a row has already are passed over.

Offsets are those of its sources laid end to end (sources.py). Time begins anew with each of them,
as it was there: a later one may begin before another's end.

When the live position is reached, `take` hands each profile's slots over to its live row.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, Sequence
from typing import Any

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
from cdp_stream.formats.envelope import asks_erasure, erased_mpid, is_time, marker_time
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.formats.moved_row import MOVED_KEY, Move, decode_moves
from cdp_stream.formats.rejects import Reject
from cdp_stream.formats.rows import decode_row, encode_row
from cdp_stream.partition.effects import Effects, Record
from cdp_stream.partition.memory_budget import MemoryBudget, RowCache
from cdp_stream.partition.placement import Placed, everywhere
from cdp_stream.partition.sources import Laid

__all__ = ["Backfill", "can_go_on"]

_EVENTS_BETWEEN_SAVES = 1_000_000
"""So much reading is lost by a crash, at most."""
_OWN_LOG = Laid((Source(0, 0),))
"""Where nothing was moved; of whichever partition."""


class Backfill:
    """Reads the history of some slots in one partition.

    Attributes:
        slots: whose history it is.
        lookback_ms: no older event can count; None is unlimited.
        state: how far it is; None until it has begun.
        laid: what it reads, in order; known once it has begun.
    """

    def __init__(
        self,
        account: Account,
        slots: Collection[str],
        room: MemoryBudget | None = None,
        history: HistoryPlan | None = None,
        is_placed: Placed = everywhere,
    ) -> None:
        history = history or build_history_plan(account, slots)
        self.slots = frozenset(slots)
        self.lookback_ms = history.lookback_ms
        self.state: BackfillState | None = None
        self.laid = _OWN_LOG
        self._scope = scope_of(account)
        self._engine = Engine(history.plan)
        self._decoder = BatchDecoder(history.plan.inputs)
        self._store: Mapping[bytes, bytes] = {}
        self._stored = array("q")
        self._room = room if room is not None else MemoryBudget()
        self._room.join(self)
        self._is_placed = is_placed
        self._rows = RowCache()
        self._dirty: dict[int, None] = {}
        self._new: set[int] = set()
        self._taken: list[int] = []
        self._saving: _Saving | None = None
        self._unsaved_events = 0

    def restore(
        self, store: Mapping[bytes, bytes], stored: array[int], state: BackfillState | None
    ) -> None:
        """Go on from what the partition's rows know.

        Args:
            store: the live store of the partition.
            stored: whose rows of a backfill it has; those that are written are appended.
            state: one that `can_go_on`; None begins anew, with no rows.
        """
        self._store = store
        self._stored = stored
        self.state = state
        self.laid = Laid(state.sources) if state is not None and state.sources else _OWN_LOG

    def moves(self) -> tuple[Move, ...]:
        """How the partition's profiles came to be here.

        Raises:
            OutsideError: the row that says so is damaged, or another release's.
        """
        return decode_moves(self._store.get(MOVED_KEY))

    @property
    def position(self) -> int:
        """Every record up to this offset has been read; -1 before it begins."""
        return -1 if self.state is None else self.state.position

    def begin(
        self, start: int, *, log_is_shorter: bool, sources: tuple[Source, ...] = ()
    ) -> Effects:
        """Begin at an offset; the effects are the state that says so.

        Args:
            start: in the sources laid end to end.
            log_is_shorter: whether something of what would count is gone.
            sources: what is read, where profiles were moved; without, the partition's own log.
        """
        slots = tuple(sorted(self.slots))
        self.laid = Laid(sources) if sources else _OWN_LOG
        time = sources[0].time if sources else -1
        self.state = BackfillState(
            slots, self._scope, start, start - 1, time, log_is_shorter, sources=sources
        )
        return _effects({BACKFILL_KEY: encode_backfill(self.state)})

    def note_gap(self) -> bool:
        """The log has lost records before they were read; whether that is new."""
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
            shift: what makes their offsets those of the sources laid end to end.
            is_here: whether a profile is this partition's; the others' records tell the time. None:
                the log is the partition's own, and of that all are but the misplaced ones, which
                were rejected when they were live.
            latest: no record moves time beyond this instant, as when it was live.

        Returns:
            How many events were in their batches.
        """
        state = self.state
        assert state is not None
        changes: list[Change] = []
        touched: dict[int, Row] = {}
        decode = self._decoder.decode
        apply, wake = self._engine.apply, self._engine.wake
        rows = self._rows
        offset, events = state.position, 0
        time = state.time
        if records:
            time = self.laid.time_before(records[0].offset + shift, offset, time)
        for record in records:
            value, offset = record.value, record.offset + shift
            if not value:
                moment = self._apply_empty(record, offset, time, is_here, touched)
                if moment is not None:
                    time = max(time, moment if moment <= latest else time)
                    continue
            batch, _ = decode(value, record.key, record.headers, record.timestamp)
            if batch is None:
                continue
            mpid = batch.mpid
            arrival = batch.arrival if batch.arrival <= latest else time
            if is_here is not None and not is_here(mpid):
                time = max(time, arrival)
                continue
            row = rows.get(mpid) or self._load(mpid)
            if row is None:
                continue
            reached, time = time, max(time, arrival)
            events += len(batch.events)
            if offset <= row.position:
                continue
            if row.due <= reached:
                # As live time does before each record.
                wake(row, reached, changes)
                touched[mpid] = row
            # What a batch says of the profile itself is in the live row.
            batch.profile = None
            apply(row, batch, changes, reached)
            if row.clock == NEVER:
                continue
            row.position = offset
            touched[mpid] = row
        self._note(touched)
        self._unsaved_events += events
        time = self.laid.time_before(through + 1, offset, time)
        self.state = replace(state, position=through, time=time, events=state.events + events)
        return events

    def _note(self, touched: Mapping[int, Row]) -> None:
        """Rows are newer than what is written of them; of the others the oldest may have to go."""
        self._dirty.update(dict.fromkeys(touched))
        self._rows.count(touched.values())
        for mpid in self._rows.let_go(self._room.share(), keep=self._dirty):
            self._new.discard(mpid)

    def _apply_empty(
        self,
        record: Record,
        offset: int,
        time: int,
        is_here: Placed | None,
        touched: dict[int, Row],
    ) -> int | None:
        """What a record with no value says: a time marker, or a request to erase a profile.

        Returns:
            The instant to which it moves time; None where it is neither.
        """
        marked = marker_time(record.key, record.value, record.headers, record.timestamp)
        if marked is not None:
            return marked if isinstance(marked, int) else time
        if not asks_erasure(record.headers):
            return None
        mpid = erased_mpid(record.key, record.value)
        if isinstance(mpid, Reject) or (is_here is None and not self._is_placed(mpid)):
            return time
        asked_at = record.timestamp if is_time(record.timestamp) else max(time, 0)
        if is_here is not None and not is_here(mpid):
            return asked_at
        if mpid in self._rows or self._store.get(backfill_key(mpid)) is not None:
            row = self._rows.get(mpid) or self._load(mpid)
            if row is not None and offset > row.position:
                if row.due <= time:
                    self._engine.wake(row, time, [])
                self._engine.erase(row, asked_at, [])
                row.position = offset
                touched[mpid] = row
        return asked_at

    # Writing

    @property
    def wants_to_save(self) -> bool:
        """Whether rows are to be written; more may be read meanwhile, unless it `is_full`."""
        if self._saving is not None or self._unsaved_events >= _EVENTS_BETWEEN_SAVES:
            return True
        return self.unsaved_bytes * 4 > self._room.share() * 3

    @property
    def is_full(self) -> bool:
        """Whether rows must be written before more is read."""
        return self.unsaved_bytes > self._room.share()

    @property
    def is_near_full(self) -> bool:
        """Whether no more than a few records should be read at a time."""
        return 2 * self._rows.used > self._room.share()

    @property
    def is_saving(self) -> bool:
        """Whether some rows of a `save` are written and others are not."""
        return self._saving is not None

    @property
    def unsaved_rows(self) -> int:
        """How many rows are newer than what is written of them."""
        return len(self._dirty)

    @property
    def unsaved_bytes(self) -> int:
        """About the memory that they take: as much as as many others."""
        return self._rows.used * len(self._dirty) // max(1, len(self._rows))

    def save(self, limit: int, size: int) -> Effects:
        """Write some more rows; behind the last of them, the position as the first were written.

        Args:
            limit: how many rows at most.
            size: no more rows once so many bytes are reached.
        """
        state = self.state
        assert state is not None
        saving = self._saving
        if saving is None:
            saving = self._saving = _Saving(state, list(self._dirty))
            self._unsaved_events = 0
        written: dict[bytes, bytes | None] = {}
        taken = 0
        while saving.mpids and len(written) < limit and taken < size:
            mpid = saving.mpids.pop()
            if mpid in self._dirty:
                value = written[backfill_key(mpid)] = self._encoded(mpid)
                taken += len(value or b"")
        if not saving.mpids:
            self._saving = None
            written[BACKFILL_KEY] = encode_backfill(saving.state)
        return _effects(written)

    @property
    def is_saved(self) -> bool:
        """Whether everything read so far is written."""
        return self._saving is None and not self._dirty

    @property
    def is_complete(self) -> bool:
        """Whether rows are handed over."""
        return self.state is not None and self.state.epoch > 0

    def complete(self, epoch: int) -> Effects:
        """The live position is reached: from here on rows are handed over to those of live traffic
        that are of an earlier epoch.

        The effects, all that is not written yet, belong into the write that begins the epoch.
        """
        assert self.state is not None
        written = {backfill_key(mpid): self._encoded(mpid) for mpid in list(self._dirty)}
        self._saving = None
        self.state = replace(self.state, epoch=epoch)
        return _effects({**written, BACKFILL_KEY: encode_backfill(self.state)})

    def _encoded(self, mpid: int) -> bytes | None:
        """A row as it is to be written; nothing of it when the profile was forgotten."""
        del self._dirty[mpid]
        row = self._rows[mpid]
        if row.clock == NEVER:
            return None
        if mpid in self._new:
            self._new.discard(mpid)
            self._stored.append(mpid)
        return encode_row(row)

    # Handing over

    def take(self, mpid: int, epoch: int, until: int) -> Mapping[str, Any]:
        """The state of a profile's slots at an instant, by slot; its row goes (`merged`).

        Args:
            epoch: of the profile's live row. One that began since has its history already.
            until: an instant that no event of the profile is later than.
        """
        if self.state is None or epoch >= self.state.epoch:
            return {}
        row = self._rows.get(mpid)
        if row is not None:
            self._rows.forget(mpid)
        else:
            value = self._store.get(backfill_key(mpid))
            if value is None:
                return {}
            row = decode_row(mpid, value)
        self._taken.append(mpid)
        if not self._engine.wake(row, until, []):
            return {}
        return {slot: state for slot, state in row.slots.items() if slot in self.slots}

    def merged(self) -> dict[bytes, None]:
        """Removes the rows that were taken since the last call; to be written behind the live rows
        that have their content now.
        """
        if not self._taken:
            return {}
        rows = {backfill_key(mpid): None for mpid in self._taken}
        self._taken.clear()
        return rows

    def _load(self, mpid: int) -> Row | None:
        """A row, decoded; None for a profile that is not placed here."""
        if not self._is_placed(mpid):
            return None
        value = self._store.get(backfill_key(mpid))
        if value is None:
            self._new.add(mpid)
            row = self._rows[mpid] = Row(mpid)  # counted once something is in it
            return row
        row = self._rows[mpid] = decode_row(mpid, value)
        self._rows.count((row,))
        return row


def scope_of(account: Account) -> str:
    """A digest of what decides on history beside the criteria: inputs, tiers, lifetimes."""
    return digest_of(meaning_text(account.workspaces))


def can_go_on(state: BackfillState, account: Account, slots: Collection[str]) -> bool:
    """Whether a backfill that is under way reads what is wanted: as many slots, or more."""
    return not state.epoch and state.scope == scope_of(account) and set(slots).issubset(state.slots)


class _Saving:
    """Rows on their way to the log.

    Attributes:
        state: as the writing began.
        mpids: whose rows are yet to be written.
    """

    __slots__ = ("mpids", "state")

    def __init__(self, state: BackfillState, mpids: list[int]) -> None:
        self.state = state
        self.mpids = mpids


def _effects(rows: Mapping[bytes, bytes | None]) -> Effects:
    return Effects(rows=dict(rows))
