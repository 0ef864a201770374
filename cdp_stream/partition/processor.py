"""Everything that one partition of `cdp.events` decides, with no Kafka: records and passing time
in, effects out.

Rows are bytes in the partition's store; those that were touched lately are kept decoded
(profiles.py). The effects of a call are a function of the rows and of the call: whoever delivers
them in order, and starts again from the delivered rows, loses and doubles nothing.

Definitions change at a point between two calls (definition_rollout.py). Rows are then migrated as
they are loaded, and the rest of them a slice at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cdp_stream.core.model.change import Change
from cdp_stream.core.model.event import Batch
from cdp_stream.core.model.row import FOREVER, NEVER, Row
from cdp_stream.core.outputs.messages import Emission
from cdp_stream.formats.envelope import asks_erasure, erased_mpid, is_time, marker_time
from cdp_stream.formats.limits import PLAUSIBLE_TIME
from cdp_stream.formats.rejects import Reject, too_large_for_profile
from cdp_stream.partition.active_definitions import ActiveDefinitions, Known
from cdp_stream.partition.audience_sizes import AudienceSizes
from cdp_stream.partition.backfill_store import BackfillStore
from cdp_stream.partition.definition_rollout import DefinitionRollout
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import SLICE_BYTES, Effects, Record
from cdp_stream.partition.encoding import EffectsEncoder
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.partition.placement import everywhere, placed_in, wrong_partition
from cdp_stream.partition.profiles import Profiles

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
        budget: how much memory decoded rows may take.
        known: finds the definitions that a partition has in force already; default: these alone.
        partitions: how many the input has; records whose key belongs in another are rejected. None
            where that is not known: then none are.

    Attributes:
        rollout: changes the definitions.
    """

    def __init__(
        self,
        definitions: Definitions,
        topic: str,
        partition: int,
        budget: MemoryBudget | None = None,
        known: Known | None = None,
        partitions: int | None = None,
    ) -> None:
        budget = budget if budget is not None else MemoryBudget()
        self._partition, self._partitions = partition, partitions
        is_here = everywhere if partitions is None else placed_in(partition, partitions)
        known = known or {definitions.version: definitions}.get
        self._active = active = ActiveDefinitions(definitions, known)
        self._backfills = BackfillStore(budget, is_here)
        self._profiles = Profiles(active, self._backfills, budget, is_here)
        self._sizes = AudienceSizes(active.emitting, active.announced_memberships)
        self._encoder = EffectsEncoder(topic, partition, active, self._sizes)
        self.rollout = DefinitionRollout(
            active, self._backfills, self._profiles, self._sizes, self._encoder
        )

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Go on from the partition's rows: its time, its position, its definitions, and every
        profile's due instant.

        Args:
            rows: the live store of the partition; it must show the rows of a call's effects by the
                next call.

        Raises:
            OutsideError: a row is damaged, or of another release's format, or profiles are being
                moved to other partitions.
        """
        found = self._profiles.restore(rows)
        self._backfills.restore(rows, found.backfilled)
        self.rollout.restore(found.definitions, found.mpids)
        is_counted = self.rollout.is_available
        self._sizes.begin(self._active.emitting if is_counted else (), found.mpids)

    @property
    def time(self) -> int:
        """The partition's time, epoch ms; never moves back; -1 before the first record, unless
        profiles were moved to it.
        """
        return self._profiles.time

    @property
    def position(self) -> int:
        """Offset of the last record applied; -1 before the first."""
        return self._profiles.position

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
        if not self.rollout.is_available:
            return None
        return self._sizes.count(self._profiles.store, _COUNTED_AT_ONCE)

    def apply(  # noqa: PLR0912, PLR0915 - a call for a step would cost more than the step
        self, records: Sequence[Record], latest: int = FOREVER
    ) -> Effects:
        """Apply records above `position`, in order; those of a row that has them already only move
        time.

        It ends early, at a `position` before the last of them, once the rows and messages that it
        made take `SLICE_BYTES`, or the rows that it loaded `LOADED_BYTES`.

        Args:
            latest: no record moves time beyond this instant, epoch ms: one that arrives later is
                applied to its profile alone.
        """
        effects = Effects()
        touched: dict[int, Row | None] = {}
        changes = Emission()
        apply, wake, decode = (
            self._active.engine.apply,
            self._active.engine.wake,
            self._active.decoder.decode,
        )
        profiles = self._profiles
        rows, load, is_due = profiles.decoded, profiles.load_for_event, profiles.due.add
        told, most = changes.told, rows.used + LOADED_BYTES
        time, offset, size, made = self.time, self.position, 0, 0
        for record in records:
            if size >= SLICE_BYTES or rows.used >= most:
                break
            value, offset = record.value, record.offset
            if not value:
                moved = self._apply_empty(record, time, touched, changes, effects)
                if moved is not None:
                    effects.future_records += moved > latest
                    time = max(time, moved) if moved <= latest else time
                    size += _ERASURE_BYTES if record.key else 0
                    continue
            batch, rejects = decode(value, record.key, record.headers, record.timestamp)
            if batch is None:
                size += self._encoder.rejects(record, rejects, effects)
                continue
            mpid = batch.mpid
            row = rows.get(mpid) or load(mpid, self.time, changes, touched)
            if row is None:
                size += self._encoder.rejects(record, self._misplaced(mpid, value), effects)
                continue
            if rejects:
                size += self._encoder.rejects(record, rejects, effects)
            reached, arrival, events = time, batch.arrival, batch.events
            if arrival > latest or (events[0].occurred_at if events else arrival) < PLAUSIBLE_TIME:
                arrival = _odd_times(batch, latest, effects)
            time = max(time, arrival)
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
                too_large = too_large_for_profile(
                    value or b"", refused, self._active.engine.plan.account.row_limit
                )
                size += self._encoder.rejects(record, too_large, effects)
            effects.events += len(events)
            # Each message has identities of the row, or attributes: less than all of it.
            before, made = made, len(changes) + len(told)
            size += (made - before) * row.weight
        profiles.time, profiles.position = time, offset
        self._end(changes, touched, effects)
        return effects

    def _apply_empty(
        self,
        record: Record,
        time: int,
        touched: dict[int, Row | None],
        changes: list[Change],
        effects: Effects,
    ) -> int | None:
        """What a record with no value says: a time marker, or a request to erase a profile.

        Returns:
            The instant to which it moves time, which an erasure does as the arrival of a batch
            does; None where it is neither, and is to be decoded.
        """
        marked = marker_time(record.key, record.value, record.headers, record.timestamp)
        if isinstance(marked, int):
            return marked
        if marked is None and not asks_erasure(record.headers):
            return None
        mpid = erased_mpid(record.key, record.value) if marked is None else marked
        if isinstance(mpid, Reject):
            self._encoder.rejects(record, (mpid,), effects)
            return time
        if not self._profiles.is_here(mpid):
            self._encoder.rejects(record, self._misplaced(mpid, record.value), effects)
            return time
        # As of the record's timestamp.
        asked_at = record.timestamp if is_time(record.timestamp) else max(time, 0)
        if self._profiles.is_known(mpid):
            self._erase(mpid, asked_at, record.offset, time, touched, changes)
        return asked_at

    def _erase(
        self,
        mpid: int,
        asked_at: int,
        offset: int,
        time: int,
        touched: dict[int, Row | None],
        changes: list[Change],
    ) -> None:
        profiles = self._profiles
        row = profiles.decoded.get(mpid) or profiles.load_for_event(
            mpid, self.time, changes, touched
        )
        if row is None or offset <= row.position:
            return
        if row.due <= time:
            self._active.engine.wake(row, time, changes)
        self._active.engine.erase(row, asked_at, changes)
        row.position = offset
        profiles.due.add(row.due, mpid)
        touched[mpid] = row

    def _misplaced(self, mpid: int, value: bytes | None) -> tuple[Reject]:
        return (wrong_partition(mpid, self._partition, self._partitions or 0, value),)

    def mark_time(self, until: int) -> Effects:
        """Move time without firing anything: the write that must be durable before a tick's outputs
        are sent.
        """
        self._profiles.time = max(self.time, until)
        effects = Effects()
        self._profiles.end_write(effects)
        return effects

    def tick(self, until: int, limit: int) -> Effects:
        """Move time to `until` and wake at most `limit` profiles that are due by then, the earliest
        first; as for `apply` fewer when they take much.
        """
        self._profiles.time = max(self.time, until)
        effects = Effects()
        changes = Emission()
        woken: dict[int, Row | None] = {}
        rows, due_instants = self._profiles.decoded, self._profiles.due
        most, size, made = rows.used + LOADED_BYTES, 0, 0
        for _ in range(limit):
            if size >= SLICE_BYTES or rows.used >= most:
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
            lives = self._active.engine.wake(row, until, changes)
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
        self._encoder.changes(changes, effects)
        self._profiles.write(touched, effects)


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
