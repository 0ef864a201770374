"""Which definitions are in force in one partition, since when, and what is still to be migrated to
them.

A partition counts its switches: its epochs. What is needed to go from one to the next is in the
partition's row `~definitions`, so that no older definitions are needed, and a crash between a
switch and the last row's migration changes nothing.

Source: docs/changing-definitions.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from cdp_stream.core.change import Change
from cdp_stream.core.evaluation import Engine
from cdp_stream.core.row import Row
from cdp_stream.core.transition import (
    Catalog,
    Transition,
    catalog_of,
    migrate,
    narrowed,
    transition,
    without_connections,
)
from cdp_stream.formats.definitions_row import PartitionDefinitions
from cdp_stream.formats.rows import epoch_of, members_of
from cdp_stream.partition.definitions import Definitions, stage_of
from cdp_stream.partition.histories import Histories

__all__ = ["Epochs", "Known"]

Known = Callable[[str], Definitions | None]
"""Gives the definitions of a version, None when they are not to be had any more."""


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
        self._first = definitions
        self.restore(None)

    def restore(self, state: PartitionDefinitions | None) -> None:
        """Take over what the partition's row says; None where it has none."""
        self.state = state
        self.is_known = True
        definitions = self._first
        if state is not None:
            found = self._known(state.version)
            self.is_known = found is not None
            definitions = found or definitions
        self._enter(definitions)

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

    def switch(self, definitions: Definitions, complete: frozenset[str], at: int) -> None:
        """Put definitions in force, as far as their history is in.

        Args:
            definitions: May be those in force already, when more of them is complete.
            complete: Slots whose history is in now, beside those that were kept up.
            at: The partition's time, epoch ms.
        """
        before = self.state
        if before is None:
            catalog = catalog_of(definitions.plan)
            self.state = PartitionDefinitions(definitions.version, 0, at, 0, 0, catalog, {})
        else:
            self.state = _switched(before, definitions, complete, at)
        self.is_known = True
        self._enter(definitions)

    def forget_connections(self, connections: Collection[str]) -> None:
        """Take it that these were told of nothing: what is told of them next begins anew."""
        if connections and self.state is not None:
            state = self.state
            self.state = state._replace(
                catalog=without_connections(state.catalog, connections),
                past={
                    epoch: without_connections(catalog, connections)
                    for epoch, catalog in state.past.items()
                },
            )

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

    def _enter(self, definitions: Definitions) -> None:
        self.definitions = definitions
        state = self.state
        plan = definitions.plan
        self._shifts = {}
        if state is not None and self.is_known:
            plan = definitions.plan_at(stage_of(definitions, state.catalog, state.catalog.slots))
            self._shifts = {
                epoch: transition(catalog, plan, at=state.at, time=state.time, epoch=state.epoch)
                for epoch, catalog in state.past.items()
            }
        self.engine = Engine(plan)
        self.missing = frozenset(definitions.plan.memories) - frozenset(plan.memories)
        self.told: Collection[str] = {a.id for a in plan.audiences if a.emits}
        self._told = {id(shift): _told_in(shift.before) for shift in self._shifts.values()}


def _switched(
    before: PartitionDefinitions, definitions: Definitions, complete: frozenset[str], at: int
) -> PartitionDefinitions:
    kept = before.catalog.slots | complete
    plan = definitions.plan_at(stage_of(definitions, before.catalog, kept))
    catalog = catalog_of(plan)
    epoch = before.epoch + 1
    # What files say has no instant of its own: it is told at the partition's time.
    time = definitions.time or max(at, 0)
    past = {
        earlier: narrowed(one, catalog)
        for earlier, one in {**before.past, before.epoch: before.catalog}.items()
    }
    is_swept = before.swept == before.epoch and not (
        transition(before.catalog, plan, at=at, time=time, epoch=epoch).is_felt
    )
    return PartitionDefinitions(
        definitions.version, time, at, epoch,
        epoch if is_swept else before.swept, catalog, {} if is_swept else past,
    )  # fmt: skip


def _told_in(catalog: Catalog) -> frozenset[str]:
    return frozenset(entry.id for entry in catalog.audiences.values() if entry.emits)
