"""The definitions that one partition evaluates by, and the rows that are still of earlier ones.

Each switch of definitions begins an epoch, and each row has the number of its epoch. The row
`~definitions` of the partition has what leads from an earlier epoch to the newest. So no older
definitions are needed, and a crash between a switch and the last migration changes nothing.

Source: docs/changing-definitions.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cdp_stream.core.engine.evaluation import Engine
from cdp_stream.core.engine.migration import Transition, migrate, transition
from cdp_stream.core.model.change import Change
from cdp_stream.core.model.row import Row
from cdp_stream.core.plan.plan import Plan
from cdp_stream.formats.definitions_row import PartitionDefinitions
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.formats.output import OutputEncoder
from cdp_stream.formats.rows import epoch_of, members_of
from cdp_stream.partition.backfill_store import BackfillStore
from cdp_stream.partition.definitions import Definitions, stage_of

__all__ = ["ActiveDefinitions", "Known"]

Known = Callable[[str], Definitions | None]
"""Finds the definitions of a version; None when they are not available any more."""


class ActiveDefinitions:
    """What is in force in one partition.

    Args:
        first: what a partition without a row `~definitions` evaluates by, all of it.
        known: finds the definitions of a partition that has one.

    Attributes:
        record: the row `~definitions`; None before the first switch.
        is_available: whether the definitions in force were found; if not, nothing can be evaluated.
        definitions: those in force.
        engine: evaluates by them, as far as their history is in.
        decoder: reads batches from their inputs.
        encoder: writes the messages of their outputs.
        missing: slots of theirs whose history is not in.
    """

    def __init__(self, first: Definitions, known: Known) -> None:
        self._first = first
        self._known = known
        self.restore(None)

    def restore(self, record: PartitionDefinitions | None) -> None:
        """Go on from the row `~definitions`; None: there is none."""
        found = self._first if record is None else self._known(record.version)
        if record is None or found is None:
            self.enter(self._first, self._first.plan, record, {})
            self.is_available = found is not None
            return
        stage = stage_of(found, record.catalog, record.catalog.slots)
        plan, now = found.plan_at(stage), found.catalog_at(stage)
        at, time, epoch = record.at, record.time, record.epoch
        transitions = {
            earlier: transition(catalog, plan, now, at=at, time=time, epoch=epoch)
            for earlier, catalog in record.past.items()
        }
        self.enter(found, plan, record, transitions)

    def enter(
        self,
        definitions: Definitions,
        plan: Plan,
        record: PartitionDefinitions | None,
        transitions: Mapping[int, Transition],
    ) -> None:
        """Evaluate by other definitions from now on.

        Args:
            definitions: may be those in force already, when more of them can be evaluated.
            plan: as much of them as can be evaluated.
            record: the row `~definitions` as it will be.
            transitions: leads to the plan, by the epoch of a row.
        """
        self.record = record
        self.is_available = True
        self.definitions = definitions
        self.engine = Engine(plan)
        self.decoder = BatchDecoder(plan.inputs)
        self.encoder = OutputEncoder(plan.account_id)
        self.missing = frozenset(definitions.plan.memories) - frozenset(plan.memories)
        self._emitting = frozenset(audience.id for audience in plan.audiences if audience.emits)
        self._transitions = transitions
        self._emitting_before = {
            epoch: frozenset(entry.id for entry in one.before.audiences.values() if entry.emits)
            for epoch, one in transitions.items()
        }

    @property
    def epoch(self) -> int:
        """How often the partition has switched."""
        return 0 if self.record is None else self.record.epoch

    @property
    def is_migrating(self) -> bool:
        """Whether rows may be of an earlier epoch."""
        return bool(self._transitions)

    @property
    def emitting(self) -> frozenset[str]:
        """The audiences whose members may have been announced: those of earlier epochs too."""
        return self._emitting.union(*self._emitting_before.values())

    def end_migration(self) -> None:
        """Drop the earlier epochs: no row is of one, or its content is the same in this one."""
        assert self.record is not None
        self.record = self.record._replace(swept=self.record.epoch, past={})
        self._transitions = {}
        self._emitting_before = {}

    def migrate(self, row: Row, changes: list[Change], backfills: BackfillStore) -> bool:
        """Bring a row of an earlier epoch into this one, with the history that was read for it.

        Returns:
            Whether it was of an earlier epoch.
        """
        earlier = self._earlier(row.epoch)
        if earlier is None:
            return False
        leads_here = self._transitions[earlier]
        history = backfills.merge(row, max(row.clock, leads_here.at))
        migrate(self.engine, row, leads_here, changes, history)
        return True

    def is_behind(self, value: bytes) -> bool:
        """Whether an encoded row is of an earlier epoch."""
        return bool(self._transitions) and self._earlier(epoch_of(value)) is not None

    def announced_memberships(self, value: bytes) -> list[str]:
        """The audiences for which an encoded row's profile was announced as a member."""
        earlier = self._earlier(epoch_of(value)) if self._transitions else None
        emitting = self._emitting if earlier is None else self._emitting_before[earlier]
        return [audience for audience in members_of(value) if audience in emitting]

    def _earlier(self, epoch: int) -> int | None:
        """The earlier epoch of which a row counts; None for the newest."""
        if not self._transitions:
            return None
        assert self.record is not None
        counted = max(epoch, self.record.swept)
        return counted if counted in self._transitions else None
