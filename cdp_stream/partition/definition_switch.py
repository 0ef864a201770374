"""The slow part of a switch to other definitions: a good part of a second with a thousand
audiences. It does not depend on the instant of the switch, so another thread works it out
beforehand, while the partition goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from cdp_stream.core.engine.migration import (
    Catalog,
    Transition,
    narrowed,
    transition,
    without_connections,
)
from cdp_stream.core.plan.build import WHOLE
from cdp_stream.core.plan.plan import Plan
from cdp_stream.formats.definitions_row import PartitionDefinitions
from cdp_stream.partition.definitions import Definitions, stage_of

__all__ = ["DefinitionSwitch", "first_record", "without_ended"]

SwitchKey = tuple[str, frozenset[str], int, frozenset[str]]


@dataclass(frozen=True, slots=True)
class DefinitionSwitch:
    """A switch, worked out.

    Attributes:
        key: identifies the switch (`key_of`).
        version: of the definitions that take effect.
        time: that of the definitions, epoch ms; 0 for files.
        plan: what will be in force.
        catalog: its catalog.
        transitions: from each epoch that rows may be of; they lack their instants.
        is_felt: whether any row of the epoch before may have to change.
    """

    key: SwitchKey
    version: str
    time: int
    plan: Plan
    catalog: Catalog
    transitions: Mapping[int, Transition]
    is_felt: bool

    @staticmethod
    def key_of(
        before: PartitionDefinitions, definitions: Definitions, complete: frozenset[str]
    ) -> SwitchKey:
        """What a switch depends on.

        Args:
            before: what is in force, without the connections that end.
            definitions: those that take effect.
            complete: slots whose history is in by then, beside those that were kept up.
        """
        connections = frozenset(before.catalog.connections)
        return definitions.version, complete, before.epoch, connections

    @classmethod
    def work_out(
        cls, before: PartitionDefinitions, definitions: Definitions, complete: frozenset[str]
    ) -> DefinitionSwitch:
        """Work it out, for a switch of this key; a function of its arguments alone."""
        stage = stage_of(definitions, before.catalog, before.catalog.slots | complete)
        catalog = definitions.catalog_at(stage)
        is_felt = transition(before.catalog, definitions.plan_at(stage), catalog).is_felt
        # As a restore finds it.
        stage = stage_of(definitions, catalog, catalog.slots)
        plan, now = definitions.plan_at(stage), definitions.catalog_at(stage)
        missing = frozenset(definitions.plan.memories) - frozenset(plan.memories)
        if missing:
            definitions.history_of(missing)
        transitions = {
            epoch: transition(narrowed(earlier, catalog), plan, now)
            for epoch, earlier in {**before.past, before.epoch: before.catalog}.items()
        }
        key, version = cls.key_of(before, definitions, complete), definitions.version
        return cls(key, version, definitions.time, plan, catalog, transitions, is_felt)

    def begin(
        self, before: PartitionDefinitions, at: int
    ) -> tuple[PartitionDefinitions, dict[int, Transition]]:
        """The row `~definitions` and the transitions of a switch at a partition's time, epoch ms.

        Rows may have been migrated since it was worked out; no other switch may have come between.
        """
        epoch = before.epoch + 1
        # Files have no time of their own: their changes take effect at the partition's time.
        time = self.time or max(at, 0)
        transitions: dict[int, Transition] = {}
        swept = epoch
        if self.is_felt or before.swept != before.epoch:
            swept = before.swept
            transitions = {
                earlier: replace(self.transitions[earlier], at=at, time=time, epoch=epoch)
                for earlier in (*before.past, before.epoch)
            }
        past = {earlier: one.before for earlier, one in transitions.items()}
        record = PartitionDefinitions(self.version, time, at, epoch, swept, self.catalog, past)
        return record, transitions


def first_record(definitions: Definitions, at: int) -> PartitionDefinitions:
    """The row `~definitions` of a partition that had none: all of them are in force."""
    catalog = definitions.catalog_at(WHOLE)
    return PartitionDefinitions(definitions.version, 0, at, 0, 0, catalog, {})


def without_ended(
    record: PartitionDefinitions, connections: Collection[str]
) -> PartitionDefinitions:
    """What is in force, as if these connections had not been active."""
    if not connections:
        return record
    past = {
        epoch: without_connections(catalog, connections) for epoch, catalog in record.past.items()
    }
    return record._replace(catalog=without_connections(record.catalog, connections), past=past)
