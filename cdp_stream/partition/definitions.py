"""Definitions as a partition is given them, and what of them can be in force in it."""

from __future__ import annotations

from cdp_stream.core.definition import Account
from cdp_stream.core.plan import InForce, Plan, Stage
from cdp_stream.core.planning import build_plan
from cdp_stream.core.transition import Catalog

__all__ = ["Definitions", "stage_of"]


class Definitions:
    """One version of the definitions; shared by the partitions of a worker.

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
        self._staged: dict[tuple[frozenset[str], frozenset[InForce]], Plan] = {}

    def plan_at(self, stage: Stage) -> Plan:
        """What can be in force at a stage; all partitions at the same stage share it."""
        if not stage.missing:
            return self.plan
        key = stage.missing, frozenset(stage.frozen.values())
        plan = self._staged.get(key)
        if plan is None:
            plan = self._staged[key] = build_plan(self.account, stage, self.plan)
        return plan


def stage_of(definitions: Definitions, before: Catalog, complete: frozenset[str]) -> Stage:
    """The stage at which definitions are in force where only these slots are complete."""
    missing = frozenset(definitions.plan.memories) - complete
    return Stage(missing, before.audiences) if missing else Stage()
