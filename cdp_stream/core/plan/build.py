"""From checked definitions to a plan: one leaf per distinct criterion and the index of who reads
which event (leaves.py), which audiences each leaf, each activity and each end can change
(linking.py), and the audiences and connections in force.

Audiences are evaluated in an order in which each comes after those it refers to, and changes are
emitted in the order of the definition files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cdp_stream.core.criteria.membership import Membership
from cdp_stream.core.model.criterion import (
    CalculatedCriterion,
    CartCriterion,
    Criterion,
    EventCriterion,
    MemberOf,
    SequenceCriterion,
)
from cdp_stream.core.model.definition import Account, Audience
from cdp_stream.core.model.meaning import digest_of, expression_digest, slot_of
from cdp_stream.core.model.windows import Window
from cdp_stream.core.outputs.forwarding import Forwarding
from cdp_stream.core.outputs.messages import Route
from cdp_stream.core.outputs.shared_attributes import Shared, SharedAttribute, SharedCalculation
from cdp_stream.core.plan.expression import FALSE, TRUE, DecisionList, compile_expression, leaves_of
from cdp_stream.core.plan.leaves import Leaves
from cdp_stream.core.plan.linking import link
from cdp_stream.core.plan.plan import InForce, Plan, PlannedAudience, Stage
from cdp_stream.core.plan.scope import identity_of

WHOLE: Final = Stage()
"""All of the definitions is in force."""

_MEANING_LENGTH: Final = 16


def build_plan(account: Account, stage: Stage = WHOLE, whole: Plan | None = None) -> Plan:
    """The plan of checked definitions.

    Args:
        stage: what of them cannot be in force yet.
        whole: a plan of this very account, whose meanings need not be worked out again.

    Raises:
        ValueError: two different criteria have the same 48-bit slot, which takes millions of
            criteria to be likely.
    """
    plan = Plan(account)
    if whole is not None:
        plan.meanings, plan.identities = whole.meanings, whole.identities
    leaves = Leaves(plan)
    order = {audience.id: place for place, audience in enumerate(account.audiences)}
    plan.audiences = tuple(_all_planned(account, order, leaves, stage))
    plan.places = {audience.id: place for place, audience in enumerate(plan.audiences)}
    link(plan, leaves)
    routes = list(_routes(plan, leaves, stage.missing))
    plan.forwarding = Forwarding(routes) if routes else None
    return plan


@dataclass(frozen=True, slots=True)
class HistoryPlan:
    """What reads the history of some slots, and nothing else.

    Attributes:
        plan: no audiences: it keeps state, and no membership ever changes by it. Profiles begin and
            end as under the whole definitions.
        lookback_ms: no event older than this can count in any of the slots; None is unlimited.
    """

    plan: Plan
    lookback_ms: int | None


def build_history_plan(
    account: Account, slots: Collection[str], whole: Plan | None = None
) -> HistoryPlan:
    """The plan of the criteria and calculated attributes that keep their state in these slots.

    A criterion over several workspaces has a slot in each, and comes with all of them.

    Args:
        whole: a plan of this very account, whose identities need not be worked out again.
    """
    wanted = frozenset(slots)
    plan = Plan(account)
    if whole is not None:
        plan.identities = whole.identities
    leaves = Leaves(plan)
    oldest: list[int | None] = []
    for audience in account.audiences:
        for criterion in leaves_of(audience.expression):
            if not wanted.isdisjoint(leaves.slots_of(criterion)):
                leaves.leaf_of(criterion)
                oldest += (window.oldest for window in _windows_of(criterion))
    for attribute in account.calculated_attributes:
        # One that a connection shares may be in no criterion.
        if slot_of(identity_of(attribute, plan.workspaces)) in wanted:
            leaves.memory_of(attribute)
            oldest.append(attribute.window.oldest)
    link(plan, leaves)
    lookback = None if None in oldest else max(filter(None, oldest), default=0)
    return HistoryPlan(plan, lookback)


def _windows_of(criterion: Criterion) -> list[Window]:
    match criterion:
        case CalculatedCriterion():
            return [criterion.attribute.window]
        case EventCriterion() | CartCriterion() | SequenceCriterion():
            return [reach.window for reach in criterion.reaches]
        case _:
            return []


def _all_planned(
    account: Account, order: Mapping[str, int], leaves: Leaves, stage: Stage
) -> Iterator[PlannedAudience]:
    """The audiences in the order of evaluation; a pending one only as it was before, if it was."""
    meanings = leaves.plan.meanings
    pending: set[str] = set()
    for audience in _after_references(_evaluated(account.audiences)):
        if audience.id not in meanings:
            meanings[audience.id] = _meaning(audience, meanings, leaves)
        written = leaves_of(audience.expression)
        lacking = [
            leaf
            for leaf in (written if stage.missing else ())
            if not stage.missing.isdisjoint(leaves.slots_of(leaf))
            or (isinstance(leaf, MemberOf) and leaf.audience_id in pending)
        ]
        if not lacking:
            yield _planned(audience, order[audience.id], leaves, meanings[audience.id])
            continue
        pending.add(audience.id)
        for leaf in written:
            if leaf not in lacking and leaves.slots_of(leaf):
                leaves.leaf_of(leaf)
        before = stage.frozen.get(audience.id)
        if before is not None:
            yield _frozen(before, order[audience.id], leaves)
    leaves.plan.pending = frozenset(pending)


def _meaning(audience: Audience, needs: Mapping[str, str], leaves: Leaves) -> str:
    """The digest of who is a member, with that of all it refers to; over-careful at most: what is
    written in another order may differ.
    """
    body = expression_digest(audience.expression, needs, leaves.identity_of)
    return digest_of([sorted(audience.workspaces), body])[:_MEANING_LENGTH]


def _planned(audience: Audience, order: int, leaves: Leaves, meaning: str) -> PlannedAudience:
    activity = leaves.activity_in(audience.workspaces)
    written = leaves_of(audience.expression)
    body = compile_expression(audience.expression, leaves.leaf_of)
    gate = len(body.decisions)
    return PlannedAudience(
        id=audience.id,
        name=audience.name,
        order=order,
        workspaces=audience.workspaces,
        emits=audience.emits,
        digest=audience.digest,
        ab_test=audience.ab_test,
        expression=DecisionList((*body.decisions, (activity, body.entry, FALSE)), gate),
        leaves=tuple((leaves.leaf_of(leaf), leaf.text) for leaf in written),
        meaning=meaning,
    )


def _frozen(before: InForce, order: int, leaves: Leaves) -> PlannedAudience:
    """Who is a member stays one while active, and nobody joins."""
    activity = leaves.activity_in(before.workspaces)
    return PlannedAudience(
        id=before.id,
        name=before.name,
        order=order,
        workspaces=before.workspaces,
        emits=before.emits,
        digest=before.digest,
        ab_test=before.ab_test,
        expression=DecisionList(((activity, 1, FALSE), (Membership(before.id), TRUE, FALSE)), 0),
        leaves=(),
        meaning="",
    )


def _evaluated(audiences: tuple[Audience, ...]) -> tuple[Audience, ...]:
    """The audiences that are computed, and those that these refer to, however far."""
    if all(audience.computed for audience in audiences):
        return audiences
    needed = _with_references(audiences, [one.id for one in audiences if one.computed])
    return tuple(audience for audience in audiences if audience.id in needed)


def calculated_audiences(audiences: tuple[Audience, ...]) -> set[str]:
    """Those that have members: the ones that emit, and drafts that these refer to, however far.

    A draft that none of them refers to is followed silently, so that it is at once itself when it
    becomes active; nothing is emitted for it.
    """
    computed = {audience.id for audience in audiences if audience.computed}
    return computed & _with_references(audiences, [one.id for one in audiences if one.emits])


def _with_references(audiences: tuple[Audience, ...], wanted: list[str]) -> set[str]:
    """The wanted audiences, and those that these refer to, however far."""
    by_id = {audience.id: audience for audience in audiences}
    needed: set[str] = set()
    pending = list(wanted)
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += [
                leaf.audience_id
                for leaf in leaves_of(by_id[name].expression)
                if isinstance(leaf, MemberOf)
            ]
    return needed


def _routes(plan: Plan, leaves: Leaves, missing: frozenset[str]) -> Iterator[Route]:
    """The active connections of audiences in force, with what they share; a calculated attribute is
    shared as soon as its history is in.
    """
    account = plan.account
    calculated = {attribute.id: attribute for attribute in account.calculated_attributes}
    known: dict[object, Shared] = {}

    def shared_of(name: str, audience: PlannedAudience) -> Shared | None:
        attribute = calculated.get(name)
        if attribute is None:
            own = SharedAttribute(audience.workspaces, name)
            return known.setdefault((audience.workspaces, name), own)
        if slot_of(identity_of(attribute, plan.workspaces)) in missing:
            return None
        memory = leaves.memory_of(attribute)
        return known.setdefault(memory.slot, SharedCalculation(memory))

    for connection in account.connections:
        place = plan.places.get(connection.audience)
        if not connection.active or place is None:
            continue
        audience = plan.audiences[place]
        shared = ((name, shared_of(name, audience)) for name in connection.user_attributes)
        yield Route(
            connection,
            slot_of(connection.id),
            audience.id,
            audience.name,
            audience.digest,
            audience.order,
            audience.emits,
            tuple((name, found) for name, found in shared if found is not None),
        )


def _after_references(audiences: tuple[Audience, ...]) -> list[Audience]:
    """The audiences in an order in which each comes after those it refers to, else as written."""
    by_id = {audience.id: audience for audience in audiences}
    placed: dict[str, Audience] = {}
    for audience in audiences:
        pending = [audience]
        while pending:
            current = pending[-1]
            missing = [
                by_id[leaf.audience_id]
                for leaf in leaves_of(current.expression)
                if isinstance(leaf, MemberOf) and leaf.audience_id not in placed
            ]
            if missing and current.id not in placed:
                pending.extend(reversed(missing))
            else:
                placed.setdefault(current.id, current)
                pending.pop()
    return list(placed.values())
