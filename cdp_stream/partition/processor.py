"""Everything that one partition of `cdp.events` decides, with no Kafka: records and passing time
in, effects out.

Rows are bytes in the partition's store; recently used ones are kept decoded (profiles.py). The
effects of a call are a function of the rows and of the call. If they are delivered in order, and
the partition is restored from the delivered rows, nothing is lost or doubled.

Definitions change at a point between two calls (definition_rollout.py). Rows are then migrated as
they are loaded, and the rest of them a slice at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cdp_stream.core.model.row import FOREVER
from cdp_stream.core.outputs.messages import Emission
from cdp_stream.partition.active_definitions import ActiveDefinitions, Known
from cdp_stream.partition.audience_sizes import AudienceSizes
from cdp_stream.partition.backfill_store import BackfillStore
from cdp_stream.partition.definition_rollout import DefinitionRollout
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import SLICE_BYTES, Effects, Record
from cdp_stream.partition.encoding import EffectsEncoder
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.partition.placement import everywhere, placed_in
from cdp_stream.partition.profiles import Profiles
from cdp_stream.partition.record_loop import RecordLoop, Rejecter, Touched

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
        is_here = everywhere if partitions is None else placed_in(partition, partitions)
        known = known or {definitions.version: definitions}.get
        self._active = active = ActiveDefinitions(definitions, known)
        self._backfills = BackfillStore(budget, is_here)
        self._profiles = Profiles(active, self._backfills, budget, is_here)
        self._sizes = AudienceSizes(active.emitting, active.announced_memberships)
        self._encoder = EffectsEncoder(active, self._sizes)
        self._rejecter = Rejecter(topic, partition, partitions or 0)
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

    def apply(self, records: Sequence[Record], latest: int = FOREVER) -> Effects:
        """Apply records above `position`, in order; those of a row that has them already only move
        time.

        It ends early, at a `position` before the last of them, once the rows and messages that it
        made take `SLICE_BYTES`, or the rows that it loaded too much memory.

        Args:
            latest: no record moves time beyond this instant, epoch ms: one that arrives later is
                applied to its profile alone.
        """
        profiles, active = self._profiles, self._active
        loop = RecordLoop(profiles, active.engine, active.decoder.decode, self._rejecter, latest)
        profiles.time, profiles.position = loop.run(records, self.time, self.position)
        self._end(loop.changes, loop.touched, loop.effects)
        return loop.effects

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
        woken: Touched = {}
        rows, due_instants = self._profiles.decoded, self._profiles.due
        most, size, made = rows.used + self._profiles.most_loaded, 0, 0
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
            before, made = made, len(changes) + len(changes.messages)
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

    def _end(self, changes: Emission, touched: Touched, effects: Effects) -> None:
        self._encoder.changes(changes, effects)
        self._profiles.write(touched, effects)
