"""Which definitions are in force in one partition, since when, and what is still to be migrated to
them.

A partition counts its switches: its epochs. What is needed to go from one to the next is in the
partition's row `~definitions`, so that no older definitions are needed, and a crash between a
switch and the last row's migration changes nothing.

Source: docs/changing-definitions.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from cdp_stream.core.change import Change
from cdp_stream.core.evaluation import Engine
from cdp_stream.core.plan import Plan
from cdp_stream.core.planning import WHOLE
from cdp_stream.core.row import Row
from cdp_stream.core.transition import (
    Catalog,
    Transition,
    migrate,
    narrowed,
    transition,
    without_connections,
)
from cdp_stream.formats.definitions_row import PartitionDefinitions
from cdp_stream.formats.rows import epoch_of, members_of
from cdp_stream.partition.definitions import Definitions, stage_of
from cdp_stream.partition.histories import Histories

__all__ = ["Epochs", "Known", "Prepared"]

Known = Callable[[str], Definitions | None]
"""Gives the definitions of a version, None when they are not to be had any more."""


Wanted = tuple[str, frozenset[str], int, frozenset[str]]
"""A version, what is complete, the epoch that a switch ends, and its connections that go on."""


class Epochs:
    """The epochs of one partition.

    Args:
        definitions: What a partition without any begins with, all of it in force at once.
        known: Finds the definitions of a partition that has some.

    Attributes:
        engine: Evaluates by what is in force; of no use unless `is_known`.
        state: What is in force, as it is kept; None before the first switch.
        is_known: Whether the definitions in force are to be had; otherwise a switch comes first.
        missing: The slots of the definitions in force whose history is not in.
    """

    def __init__(self, definitions: Definitions, known: Known) -> None:
        self._known = known
        self._shifts: dict[int, Transition] = {}
        self._told: dict[int, Collection[str]] = {}
        self._prepared: Prepared | None = None
        self._first = definitions
        self.restore(None)

    def restore(self, state: PartitionDefinitions | None) -> None:
        """Take over what the partition's row says; None where it has none."""
        self.state = state
        self.is_known = True
        if state is None:
            self._enter(self._first, self._first.plan, {})
        elif (found := self._known(state.version)) is None:
            self.is_known = False
            self._enter(self._first, self._first.plan, {})
        else:
            stage = stage_of(found, state.catalog, state.catalog.slots)
            plan, now = found.plan_at(stage), found.catalog_at(stage)
            at, time, epoch = state.at, state.time, state.epoch
            shifts = {
                earlier: transition(catalog, plan, now, at=at, time=time, epoch=epoch)
                for earlier, catalog in state.past.items()
            }
            self._enter(found, plan, shifts)

    @property
    def epoch(self) -> int:
        """How often the partition has switched."""
        return 0 if self.state is None else self.state.epoch

    @property
    def is_sweeping(self) -> bool:
        """Whether rows may be of an earlier epoch."""
        return bool(self._shifts)

    @property
    def counted(self) -> set[str]:
        """The audiences of which rows may have been told."""
        return set(self.told).union(*self._told.values())

    def prepared(
        self, definitions: Definitions, complete: frozenset[str], before: PartitionDefinitions
    ) -> Prepared | None:
        """What was kept for a switch to these definitions; None when it has yet to be worked out,
        or there was another switch since.
        """
        found = self._prepared
        wanted = _wanted(before, definitions, complete)
        return found if found is not None and found.wanted == wanted else None

    def prepare(
        self, definitions: Definitions, complete: frozenset[str], before: PartitionDefinitions
    ) -> Prepared:
        """Work out and keep what a switch needs, of all that takes long; may be called in another
        thread.

        Args:
            definitions: as for `switch`.
            complete: as for `switch`.
            before: what is in force.
        """
        self._prepared = made = Prepared.of(before, definitions, complete)
        return made

    def switch(self, definitions: Definitions, complete: frozenset[str], at: int) -> None:
        """Put definitions in force, as far as their history is in.

        Args:
            definitions: May be those in force already, when more of them is complete.
            complete: Slots whose history is in now, beside those that were kept up.
            at: The partition's time, epoch ms.
        """
        before = self.state
        self.is_known = True
        if before is None:
            catalog = definitions.catalog_at(WHOLE)
            self.state = PartitionDefinitions(definitions.version, 0, at, 0, 0, catalog, {})
            self._enter(definitions, definitions.plan, {})
            return
        made = self.prepared(definitions, complete, before)
        made = made or self.prepare(definitions, complete, before)
        self._prepared = None
        self.state, shifts = made.begun(before, at)
        self._enter(definitions, made.plan, shifts)

    def forget_connections(self, connections: Collection[str]) -> None:
        """Take it that these were told of nothing: what is told of them next begins anew."""
        if self.state is not None:
            self.state = forgetting(self.state, connections)

    def finish(self) -> None:
        """Every row of an earlier epoch has been migrated, or need not be."""
        assert self.state is not None
        self.state = self.state._replace(swept=self.state.epoch, past={})
        self._shifts = {}
        self._told = {}

    def migrate(self, row: Row, changes: list[Change], histories: Histories) -> bool:
        """Bring a row of an earlier epoch into this one, with its history; whether it was one."""
        shift = self._shift_of(row.epoch)
        if shift is None:
            return False
        history = histories.take(row, max(row.clock, shift.at))
        migrate(self.engine, row, shift, changes, history)
        return True

    def is_behind(self, value: bytes) -> bool:
        """Whether an encoded row is of an earlier epoch."""
        return bool(self._shifts) and self._shift_of(epoch_of(value)) is not None

    def told_of(self, value: bytes) -> list[str]:
        """The audiences as whose member an encoded row was told of."""
        told = self.told
        if self._shifts and (shift := self._shift_of(epoch_of(value))) is not None:
            told = self._told[id(shift)]
        return [audience for audience in members_of(value) if audience in told]

    def _shift_of(self, epoch: int) -> Transition | None:
        if not self._shifts:
            return None
        assert self.state is not None
        return self._shifts.get(max(epoch, self.state.swept))

    def _enter(self, definitions: Definitions, plan: Plan, shifts: dict[int, Transition]) -> None:
        self.definitions = definitions
        self._shifts = shifts
        self.engine = Engine(plan)
        self.missing = frozenset(definitions.plan.memories) - frozenset(plan.memories)
        self.told: Collection[str] = {a.id for a in plan.audiences if a.emits}
        self._told = {id(shift): _told_in(shift.before) for shift in shifts.values()}


@dataclass(frozen=True, slots=True)
class Prepared:
    """All of a switch that takes long to work out, and does not depend on when it comes.

    Attributes:
        wanted: what tells it from what another switch needs.
        plan: what will be in force.
        time: that of the definitions.
        catalog: its catalog.
        shifts: from each epoch that rows may be of, to be given its instants.
        is_felt: whether any row of the epoch before may have to change.
    """

    wanted: Wanted
    time: int
    plan: Plan
    catalog: Catalog
    shifts: Mapping[int, Transition]
    is_felt: bool

    @classmethod
    def of(
        cls, before: PartitionDefinitions, definitions: Definitions, complete: frozenset[str]
    ) -> Prepared:
        """Work it out; a function of its arguments alone."""
        stage = stage_of(definitions, before.catalog, before.catalog.slots | complete)
        catalog = definitions.catalog_at(stage)
        is_felt = transition(before.catalog, definitions.plan_at(stage), catalog).is_felt
        # As a restore finds it.
        stage = stage_of(definitions, catalog, catalog.slots)
        plan, now = definitions.plan_at(stage), definitions.catalog_at(stage)
        earlier = {**before.past, before.epoch: before.catalog}
        missing = frozenset(definitions.plan.memories) - frozenset(plan.memories)
        if missing:
            definitions.history_of(missing)
        return cls(
            _wanted(before, definitions, complete),
            definitions.time,
            plan,
            catalog,
            {
                epoch: transition(narrowed(one, catalog), plan, now)
                for epoch, one in earlier.items()
            },
            is_felt,
        )

    def begun(
        self, before: PartitionDefinitions, at: int
    ) -> tuple[PartitionDefinitions, dict[int, Transition]]:
        """The state and the shifts of a switch at this time of the partition.

        Rows may all have been migrated since it was worked out, but no other switch come between.
        """
        epoch = before.epoch + 1
        # What files say has no instant of its own: it is told at the partition's time.
        time = self.time or max(at, 0)
        version = self.wanted[0]
        if before.swept == before.epoch and not self.is_felt:
            return PartitionDefinitions(version, time, at, epoch, epoch, self.catalog, {}), {}
        shifts = {
            earlier: replace(self.shifts[earlier], at=at, time=time, epoch=epoch)
            for earlier in (*before.past, before.epoch)
        }
        past = {earlier: shift.before for earlier, shift in shifts.items()}
        return (
            PartitionDefinitions(version, time, at, epoch, before.swept, self.catalog, past),
            shifts,
        )


def forgetting(state: PartitionDefinitions, connections: Collection[str]) -> PartitionDefinitions:
    """What is in force, as if these connections had been told of nothing."""
    if not connections:
        return state
    return state._replace(
        catalog=without_connections(state.catalog, connections),
        past={
            epoch: without_connections(catalog, connections)
            for epoch, catalog in state.past.items()
        },
    )


def _wanted(
    before: PartitionDefinitions, definitions: Definitions, complete: frozenset[str]
) -> Wanted:
    return definitions.version, complete, before.epoch, frozenset(before.catalog.connections)


def _told_in(catalog: Catalog) -> frozenset[str]:
    return frozenset(entry.id for entry in catalog.audiences.values() if entry.emits)
