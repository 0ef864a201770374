"""The definitions that a partition receives, and which part of them can be in force in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from cdp_stream.core.engine.migration import Catalog, catalog_of
from cdp_stream.core.model.definition import Account
from cdp_stream.core.plan.build import HistoryPlan, build_history_plan, build_plan
from cdp_stream.core.plan.plan import InForce, Plan, Stage

__all__ = ["Definitions", "stage_of"]

_Slots = frozenset[str]


class Definitions:
    """One version of the definitions; shared by the partitions of a worker.

    What is worked out for one partition is kept for the others. That may be done in another thread
    than that of the partitions: all that is kept is only read afterwards.

    Attributes:
        version: that of the topic, a decimal number; or the digest of files.
        time: the time of their record, epoch ms; 0 for files.
        account: what they define.
        plan: all of it, as if every history were in.
    """

    def __init__(self, version: str, time: int, account: Account) -> None:
        self.version = version
        self.time = time
        self.account = account
        self.plan = build_plan(account)
        self._pending: dict[_Slots, Collection[str]] = {}
        self._staged: dict[tuple[_Slots, frozenset[InForce]], Plan] = {}
        self._catalogs: dict[int, Catalog] = {}
        self._histories: dict[_Slots, HistoryPlan] = {}

    def plan_at(self, stage: Stage) -> Plan:
        """What can be in force at a stage; all partitions at the same stage share it."""
        missing = stage.missing
        if not missing:
            return self.plan
        pending = self._pending.get(missing)
        plan = None if pending is None else self._staged.get((missing, _frozen(stage, pending)))
        if plan is None:
            plan = build_plan(self.account, stage, self.plan)
            self._pending[missing] = plan.pending
            plan = self._staged.setdefault((missing, _frozen(stage, plan.pending)), plan)
        return plan

    def catalog_at(self, stage: Stage) -> Catalog:
        """The catalog of what can be in force at a stage."""
        plan = self.plan_at(stage)
        catalog = self._catalogs.get(id(plan))
        if catalog is None:
            catalog = self._catalogs[id(plan)] = catalog_of(plan)
        return catalog

    def history_of(self, slots: Collection[str]) -> HistoryPlan:
        """What reads the history of some slots."""
        wanted = frozenset(slots)
        history = self._histories.get(wanted)
        if history is None:
            history = build_history_plan(self.account, wanted, self.plan)
            self._histories[wanted] = history
        return history


def stage_of(definitions: Definitions, before: Catalog, complete: frozenset[str]) -> Stage:
    """The stage at which definitions are in force where only these slots are complete."""
    missing = frozenset(definitions.plan.memories) - complete
    return Stage(missing, before.audiences) if missing else Stage()


def _frozen(stage: Stage, pending: Iterable[str]) -> frozenset[InForce]:
    """What a stage's plan depends on beside the missing slots; a frozen audience has no meaning."""
    return frozenset(
        stage.frozen[name]._replace(meaning="") for name in pending if name in stage.frozen
    )
