"""How one partition changes to other definitions, step by step.

============  ====================================================  ===========================
state         what it means                                         what is durable
============  ====================================================  ===========================
NEW           No definitions were switched to; the partition        nothing of definitions
              evaluates by those it was made with.
UNAVAILABLE   The definitions in force cannot be had here; nothing  `~definitions`
              can be evaluated.
MIGRATING     Rows of earlier epochs are migrated to the            `~definitions`, with what
              definitions in force, as they are loaded or by        leads to it from the
              `migrate`.                                            earlier epochs
BACKFILLING   Part of the definitions waits for history, which      `~backfill` and its rows,
              `backfill` reads. Rows may have to be migrated too.   up to the last save
MERGING       All history is read. Each row that is migrated is     `~backfill`, with the rows
              given what was read for it.                           not yet merged
CLEARING      No row has to be migrated. Rows of a backfill that    `~backfill`, until its last
              is not used are removed, or the next one is chosen.   row is removed
DONE          All rows are of the definitions in force, in full.    `~definitions`
============  ====================================================  ===========================

`TRANSITIONS` lists the verbs that are legal in a state, and the states they may lead to. `prepare`
is legal in all of them and changes none. A verb's effects must be durable before any later effects
of the partition are sent; after a crash the partition goes on from what is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Final

from cdp_stream.core.engine.migration import Wired, ended_connections
from cdp_stream.core.model.definition import Account
from cdp_stream.core.model.row import FOREVER
from cdp_stream.core.outputs.messages import Emission
from cdp_stream.core.plan.plan import InForce
from cdp_stream.formats.definitions_row import (
    DEFINITIONS_KEY,
    PartitionDefinitions,
    encode_definitions,
)
from cdp_stream.formats.rows import decode_row, encode_row, is_same_but_epoch
from cdp_stream.partition.active_definitions import ActiveDefinitions
from cdp_stream.partition.audience_sizes import AudienceSizes
from cdp_stream.partition.backfill import Backfill
from cdp_stream.partition.backfill_store import BackfillStore
from cdp_stream.partition.definition_switch import (
    DefinitionSwitch,
    first_record,
    without_ended,
)
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import SLICE_BYTES, Effects
from cdp_stream.partition.encoding import EffectsEncoder
from cdp_stream.partition.migration_queue import MigrationQueue
from cdp_stream.partition.profiles import Profiles

__all__ = ["TRANSITIONS", "DefinitionRollout", "State"]


class State(Enum):
    """Where a partition is on its way to the definitions in force; see the module."""

    NEW = "new"
    UNAVAILABLE = "unavailable"
    MIGRATING = "migrating"
    BACKFILLING = "backfilling"
    MERGING = "merging"
    CLEARING = "clearing"
    DONE = "done"


def _row(**verbs: str) -> Mapping[str, frozenset[State]]:
    return {verb: frozenset(State[name] for name in to.split()) for verb, to in verbs.items()}


_ANY: Final = "MIGRATING BACKFILLING MERGING CLEARING DONE"
_NOT_MERGING: Final = "MIGRATING BACKFILLING CLEARING DONE"
TRANSITIONS: Final = {
    State.NEW: _row(switch="DONE", migrate="NEW"),
    State.UNAVAILABLE: _row(recall=_ANY + " UNAVAILABLE", switch=_ANY),
    State.MIGRATING: _row(switch=_NOT_MERGING, migrate=_NOT_MERGING),
    State.BACKFILLING: _row(
        switch=_NOT_MERGING, migrate="BACKFILLING", complete_backfill="MERGING CLEARING"
    ),
    State.MERGING: _row(switch="MERGING CLEARING", migrate="MERGING CLEARING"),
    State.CLEARING: _row(switch=_ANY, migrate="CLEARING BACKFILLING DONE"),
    State.DONE: _row(switch="MIGRATING BACKFILLING DONE", migrate="DONE"),
}
"""The states that a verb may lead to, by state and verb; a verb that is missing is not legal."""


class DefinitionRollout:
    """The definitions of one partition: `prepare`, `switch`, `migrate`, `complete_backfill`.

    Args:
        active: what is in force.
        backfills: the rows of backfills.
        profiles: the rows of profiles.
        sizes: the sizes of audiences.
        encoder: writes messages.
    """

    def __init__(
        self,
        active: ActiveDefinitions,
        backfills: BackfillStore,
        profiles: Profiles,
        sizes: AudienceSizes,
        encoder: EffectsEncoder,
    ) -> None:
        self._active = active
        self._backfills = backfills
        self._profiles = profiles
        self._sizes = sizes
        self._encoder = encoder
        self._queue = MigrationQueue()
        self._prepared: DefinitionSwitch | None = None

    def restore(self, record: PartitionDefinitions | None, mpids: Collection[int]) -> None:
        """Go on from the partition's rows.

        Args:
            record: the row `~definitions`; None where there is none.
            mpids: whose rows there are.
        """
        self._active.restore(record)
        self._select_backfill()
        self._queue.fill(mpids if self._active.is_migrating else ())

    # Where it is

    @property
    def state(self) -> State:
        """Where the partition is; see the module."""
        active, backfill = self._active, self._backfills.current
        if not active.is_available:
            return State.UNAVAILABLE
        if active.record is None:
            return State.NEW
        if backfill is not None:
            return State.MERGING if backfill.is_complete else State.BACKFILLING
        if active.is_migrating:
            return State.MIGRATING
        if self._backfills.has_unused_rows or active.missing:
            return State.CLEARING
        return State.DONE

    @property
    def version(self) -> str | None:
        """The version of the definitions in force; None before the first `switch`."""
        record = self._active.record
        return None if record is None else record.version

    @property
    def is_available(self) -> bool:
        """Whether the definitions in force are available; else `recall` or `switch` comes first."""
        return self._active.is_available

    @property
    def missing(self) -> frozenset[str]:
        """The slots of the definitions in force whose history is not in."""
        return self._active.missing

    @property
    def pending(self) -> Collection[str]:
        """The audiences that wait for history."""
        return self._active.engine.plan.pending

    @property
    def backfill(self) -> Backfill | None:
        """What reads the history of the missing slots, or has it merged; None while there is
        nothing to read, or rows of an earlier one are yet to be removed.
        """
        return self._backfills.current

    def rows_to_migrate(self) -> int:
        """How many rows are known that may have to be migrated; at least 1 while `migrate` has
        anything to do, or will have once the definitions are available.
        """
        waits = self._active.is_migrating or self.state in (State.UNAVAILABLE, State.CLEARING)
        return max(1, len(self._queue)) if waits else 0

    # The verbs

    def prepare(
        self, definitions: Definitions | None, skipped: Sequence[Account] = ()
    ) -> Callable[[], object] | None:
        """The work that makes a later `switch` to definitions quick (None: `complete_backfill`).

        It may be called in another thread while everything else goes on. A `switch` that is not
        prepared does the same itself.

        Args:
            definitions: those to be switched to; None: those in force, with their history.
            skipped: as for `switch`.

        Returns:
            None when nothing is left to be worked out.
        """
        before, complete = self._active.record, frozenset[str]()
        if before is None:
            return None
        if definitions is None:
            backfill = self._backfills.current
            if backfill is None or backfill.is_complete:
                return None
            # No connection ends by it: the account is the one in force.
            definitions, complete = self._active.definitions, backfill.slots
        else:
            ended = ended_connections(before.catalog, [*skipped, definitions.account])
            before = without_ended(before, {wired.id for wired, _audience in ended})
        if self._found(before, definitions, complete) is not None:
            return None
        return partial(self._work_out, before, definitions, complete)

    def recall(self) -> bool:
        """Look again for the definitions in force; returns whether they are available now."""
        self._require("recall")
        active = self._active
        active.restore(active.record)
        if not active.is_available:
            return False
        self._select_backfill()
        self._sizes.include(active.emitting)
        if active.is_migrating:
            self._queue.fill_from(self._profiles.store)
        return True

    def switch(
        self,
        definitions: Definitions,
        complete: frozenset[str] = frozenset(),
        skipped: Sequence[Account] = (),
    ) -> Effects:
        """Put definitions in force: between two calls whose effects are delivered, with nothing due
        any more by the partition's time.

        The effects hold no membership changes: those come as rows are loaded, and by `migrate`.

        Args:
            definitions: a new version, or the one in force when more of it is complete.
            complete: slots whose history is in now, beside those that were kept up.
            skipped: what the versions defined that were applied in between, in order.
        """
        self._require("switch")
        active, effects, time = self._active, Effects(), self._profiles.time
        before = active.record
        if before is None:
            active.enter(definitions, definitions.plan, first_record(definitions, time), {})
            ended: list[tuple[Wired, InForce]] = []
        else:
            ended = ended_connections(before.catalog, [*skipped, definitions.account])
            left = without_ended(before, {wired.id for wired, _audience in ended})
            made = self._found(left, definitions, complete)
            made = made or self._work_out(left, definitions, complete)
            active.enter(definitions, made.plan, *made.begin(left, time))
        self._prepared = None
        self._profiles.outdate()
        self._sizes.include(active.emitting)
        self._queue.fill(())
        if active.is_migrating:
            self._queue.fill_from(self._profiles.store)
            if self._queue.is_done:
                active.end_migration()
        if not active.is_migrating:
            self._sizes.keep(active.emitting)
        self._select_backfill()
        if before is not None and active.record is not None:
            self._encoder.connections(before.catalog, active.record, ended, effects)
        self._write_definitions(effects)
        self._profiles.end_write(effects)
        return effects

    def complete_backfill(self) -> Effects:
        """The backfill has read up to the live position: put the definitions in force as far as
        what was read lets them. As for `switch`, all is delivered and nothing is due.
        """
        self._require("complete_backfill")
        backfill = self._backfills.current
        assert backfill is not None
        rows = backfill.complete(self._active.epoch + 1).rows
        effects = self.switch(self._active.definitions, backfill.slots)
        effects.rows = {**rows, **effects.rows}
        return effects

    def migrate(self, limit: int) -> Effects:
        """Migrate the rows among the next `limit` that are of earlier definitions; fewer once they
        and their messages take `SLICE_BYTES`. Then remove what is left of a backfill.
        """
        self._require("migrate")
        effects = Effects()
        active, backfills = self._active, self._backfills
        self._migrate_rows(limit, effects)
        if self._queue.is_done and active.is_migrating:
            # What was merged last is removed behind the rows that have it now.
            effects.rows.update(backfills.merged())
            active.end_migration()
            self._sizes.keep(active.emitting)
            self._write_definitions(effects)
            if backfills.current is None or backfills.current.is_complete:
                self._select_backfill()
        elif backfills.has_unused_rows:
            effects.rows.update(backfills.remove_unused(limit))
        elif active.missing and backfills.current is None:
            self._select_backfill()
        self._profiles.end_write(effects)
        return effects

    # Steps of them

    def _require(self, verb: str) -> None:
        """Refuse a verb that makes no sense in the state: a mistake of the caller."""
        if verb not in TRANSITIONS[self.state]:
            raise RuntimeError(f"{verb} is not legal while {self.state.value}")

    def _found(
        self, before: PartitionDefinitions, definitions: Definitions, complete: frozenset[str]
    ) -> DefinitionSwitch | None:
        """The work prepared for this switch."""
        prepared, key = self._prepared, DefinitionSwitch.key_of(before, definitions, complete)
        return prepared if prepared is not None and prepared.key == key else None

    def _work_out(
        self, before: PartitionDefinitions, definitions: Definitions, complete: frozenset[str]
    ) -> DefinitionSwitch:
        self._prepared = made = DefinitionSwitch.work_out(before, definitions, complete)
        return made

    def _migrate_rows(self, limit: int, effects: Effects) -> None:
        changes = Emission()
        size = counted = 0
        active, profiles = self._active, self._profiles
        decoded, store = profiles.decoded, profiles.store
        profiles.evict_outdated()
        waiting = self._queue.take(limit)[::-1]
        while waiting and size < SLICE_BYTES:
            mpid = waiting.pop()
            key = b"%d" % mpid
            # A row that is decoded was loaded since, and so migrated.
            value = None if mpid in decoded else store.get(key)
            if value is None or not active.is_behind(value):
                continue
            row = decode_row(mpid, value)
            due = row.due
            active.migrate(row, changes, self._backfills)
            encoded = encode_row(row)
            made = len(changes) + len(changes.messages)
            size, counted = size + (1 + made - counted) * len(encoded), made
            # At the end every row counts as of the newest epoch: one that did not change stays.
            if not is_same_but_epoch(encoded, value):
                effects.rows[key] = encoded
                if row.due != due and row.due < FOREVER:
                    profiles.due.add(row.due, mpid)
        self._queue.put_back(waiting)
        self._encoder.changes(changes, effects)

    def _select_backfill(self) -> None:
        active = self._active
        if active.is_available:
            self._backfills.select(
                active.definitions, active.missing, is_migrating=active.is_migrating
            )

    def _write_definitions(self, effects: Effects) -> None:
        assert self._active.record is not None
        effects.rows[DEFINITIONS_KEY] = encode_definitions(self._active.record)
