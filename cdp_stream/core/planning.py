"""From checked definitions to a plan: one leaf per distinct criterion, the index of who reads
which event, and which audiences each leaf, each activity and each end can change.

Audiences are evaluated in an order in which each comes after those it refers to, and changes are
emitted in the order of the definition files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cdp_stream.core.criteria.calculated_attribute import (
    CalculatedAttributeTest,
    CalculatedMemory,
)
from cdp_stream.core.criteria.cart_abandonment import CartAbandonment
from cdp_stream.core.criteria.count_across import CountAcross
from cdp_stream.core.criteria.event_count import event_count
from cdp_stream.core.criteria.leaf import EventLeaf, EventMemory, Leaf
from cdp_stream.core.criteria.membership import Activity, Membership
from cdp_stream.core.criteria.profile_value import ProfileValue, WithinDistance, profile_leaf
from cdp_stream.core.criteria.sequence import Sequence
from cdp_stream.core.criteria.user_attribute import UserAttribute
from cdp_stream.core.criteria.where import compile_where
from cdp_stream.core.definition import (
    Account,
    Audience,
    CalculatedAttribute,
    CalculatedCriterion,
    CartCriterion,
    Criterion,
    DistanceCriterion,
    EventCriterion,
    Facet,
    MemberOf,
    ProfileCriterion,
    Reach,
    SequenceCriterion,
)
from cdp_stream.core.expression import FALSE, TRUE, DecisionList, compile_expression, leaves_of
from cdp_stream.core.forwarding import Forwarding
from cdp_stream.core.meaning import digest_of, expression_digest, slot_of
from cdp_stream.core.plan import InForce, Plan, PlannedAudience, Reader, Stage
from cdp_stream.core.row import NEVER, Row, Space
from cdp_stream.core.scope import identity_of, slots_of
from cdp_stream.core.shared import Shared, SharedAttribute, SharedCalculation
from cdp_stream.core.telling import Route
from cdp_stream.core.windows import Window

WHOLE: Final = Stage()
"""All of the definitions is in force."""

_MEANING_LENGTH: Final = 16
_SEEN = frozenset({Facet.FIRST_SEEN, Facet.LAST_SEEN})


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
    leaves = _Leaves(plan)
    order = {audience.id: place for place, audience in enumerate(account.audiences)}
    plan.audiences = tuple(_all_planned(account, order, leaves, stage))
    plan.places = {audience.id: place for place, audience in enumerate(plan.audiences)}
    _link(plan, leaves)
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


def build_history_plan(account: Account, slots: Collection[str]) -> HistoryPlan:
    """The plan of the criteria and calculated attributes that keep their state in these slots.

    A criterion over several workspaces has a slot in each, and comes with all of them.
    """
    wanted = frozenset(slots)
    plan = Plan(account)
    leaves = _Leaves(plan)
    oldest: list[int | None] = []
    for audience in account.audiences:
        for criterion in leaves_of(audience.expression):
            if not wanted.isdisjoint(slots_of(criterion, plan.workspaces)):
                leaves.leaf_of(criterion)
                oldest += (window.oldest for window in _windows_of(criterion))
    for attribute in account.calculated_attributes:
        # One that a connection shares may be in no criterion.
        if slot_of(identity_of(attribute, plan.workspaces)) in wanted:
            leaves.memory_of(attribute)
            oldest.append(attribute.window.oldest)
    _link(plan, leaves)
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


class _Leaves:
    """The run-time leaves, one per distinct criterion."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.by_identity: dict[str, Leaf] = {}
        self.activities: dict[tuple[str, ...], Activity] = {}
        self.memberships: dict[str, Membership] = {}
        self.calculated: dict[str, CalculatedMemory] = {}

    def identity_of(self, criterion: Criterion) -> str:
        """Asked of each criterion several times, which lives as long as the account."""
        identities = self.plan.identities
        known = identities.get(id(criterion))
        if known is None:
            known = identities[id(criterion)] = identity_of(criterion, self.plan.workspaces)
        return known

    def slots_of(self, criterion: Criterion) -> tuple[str, ...]:
        """The slots in which a criterion keeps what it has seen of events."""
        if isinstance(criterion, MemberOf):
            return ()
        return slots_of(criterion, self.plan.workspaces, self.identity_of(criterion))

    def activity_in(self, workspaces: tuple[str, ...]) -> Activity:
        return self.activities.setdefault(workspaces, Activity(workspaces))

    def leaf_of(self, criterion: Criterion) -> Leaf:
        if isinstance(criterion, MemberOf):
            audience_id = criterion.audience_id
            return self.memberships.setdefault(audience_id, Membership(audience_id))
        identity = self.identity_of(criterion)
        leaf = self.by_identity.get(identity)
        if leaf is None:
            leaf = self.by_identity[identity] = self._new(criterion, identity)
        return leaf

    def _new(self, criterion: Criterion, identity: str) -> Leaf:
        match criterion:
            case EventCriterion():
                return self._event_leaf(criterion, identity)
            case CalculatedCriterion():
                memory = self.memory_of(criterion.attribute)
                test = CalculatedAttributeTest(memory, criterion.test)
                memory.leaves = (*memory.leaves, test)
                return test
            case CartCriterion():
                return self._with_memories(CartAbandonment(criterion, identity))
            case SequenceCriterion():
                return self._with_memories(Sequence(criterion, identity))
            case ProfileCriterion(facet=Facet.USER_ATTRIBUTE):
                return UserAttribute(criterion.workspace, criterion.key, criterion.test)
            case ProfileCriterion() | DistanceCriterion():
                return profile_leaf(criterion)
            case MemberOf():
                raise AssertionError("references are no criteria of their own")

    def _event_leaf(self, criterion: EventCriterion, identity: str) -> Leaf:
        where = compile_where(criterion.where)
        if len(criterion.reaches) > 1:
            return self._with_memories(CountAcross(criterion, identity))
        (reach,) = criterion.reaches
        leaf = event_count(
            slot_of(identity),
            reach.workspace,
            reach.window,
            criterion.minimum,
            criterion.maximum,
        )
        self._claim(leaf)
        reader = Reader(criterion.subject, reach.inputs, where, leaf, None)
        self.plan.add_reader(reach, reader)
        return leaf

    def _with_memories(self, leaf: CartAbandonment | Sequence | CountAcross) -> Leaf:
        for memory in leaf.memories:
            self._claim(memory)
            for reach, subject in memory.reads:
                self.plan.add_reader(reach, Reader(subject, reach.inputs, None, None, memory))
        return leaf

    def memory_of(self, attribute: CalculatedAttribute) -> CalculatedMemory:
        """Where the state of a calculated attribute is kept: one place, whoever reads it."""
        identity = identity_of(attribute, self.plan.workspaces)
        memory = self.calculated.get(identity)
        if memory is None:
            memory = CalculatedMemory(slot_of(identity), attribute)
            self.calculated[identity] = memory
            self._claim(memory)
            reach = Reach(attribute.workspace, attribute.window, None)
            where = compile_where(attribute.where)
            self.plan.add_reader(reach, Reader(attribute.subject, None, where, None, memory))
        return memory

    def _claim(self, memory: EventLeaf | EventMemory) -> None:
        if memory.slot in self.plan.memories:
            raise ValueError(
                f"two criteria share the slot {memory.slot}; change a detail of one of them"
            )
        self.plan.memories[memory.slot] = memory


def _all_planned(
    account: Account, order: Mapping[str, int], leaves: _Leaves, stage: Stage
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


def _meaning(audience: Audience, needs: Mapping[str, str], leaves: _Leaves) -> str:
    """The digest of who is a member, with that of all it refers to; over-careful at most: what is
    written in another order may differ.
    """
    body = expression_digest(audience.expression, needs, leaves.identity_of)
    return digest_of([sorted(audience.workspaces), body])[:_MEANING_LENGTH]


def _planned(audience: Audience, order: int, leaves: _Leaves, meaning: str) -> PlannedAudience:
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


def _frozen(before: InForce, order: int, leaves: _Leaves) -> PlannedAudience:
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
    by_id = {audience.id: audience for audience in audiences}
    needed: set[str] = set()
    pending = [audience.id for audience in audiences if audience.computed]
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += [
                leaf.audience_id
                for leaf in leaves_of(by_id[name].expression)
                if isinstance(leaf, MemberOf)
            ]
    return tuple(audience for audience in audiences if audience.id in needed)


def _routes(plan: Plan, leaves: _Leaves, missing: frozenset[str]) -> Iterator[Route]:
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


def _link(plan: Plan, leaves: _Leaves) -> None:
    """Tell each leaf the audiences it can flip, and each workspace those that activity and its end
    can flip.
    """
    direct: dict[int, set[int]] = defaultdict(set)
    referrers: dict[str, set[int]] = defaultdict(set)
    for place, audience in enumerate(plan.audiences):
        for leaf, _text in audience.leaves:
            if isinstance(leaf, Membership):
                referrers[leaf.audience_id].add(place)
            else:
                direct[id(leaf)].add(place)
    reach: dict[int, set[int]] = {}
    for place in range(len(plan.audiences) - 1, -1, -1):
        following = referrers.get(plan.audiences[place].id, set())
        reach[place] = following.union(*(reach[next_place] for next_place in following))
    for leaf in leaves.by_identity.values():
        own = direct[id(leaf)]
        leaf.audiences = tuple(sorted(own.union(*(reach[place] for place in own))))
    plan.opted_out.audiences = tuple(range(len(plan.audiences)))
    _index_attributes(plan, leaves.by_identity.values())
    _index_profile_values(plan, leaves.by_identity.values())
    for workspace in plan.workspaces:
        _link_activity(plan, workspace, reach)


def _index_attributes(plan: Plan, leaves: Iterable[Leaf]) -> None:
    attributes: dict[tuple[str, str], list[UserAttribute]] = defaultdict(list)
    for leaf in leaves:
        if isinstance(leaf, UserAttribute):
            attributes[leaf.workspace, leaf.key].append(leaf)
    for (workspace, key), tests in attributes.items():
        plan.attribute_leaves[workspace, key] = tuple(tests)
        dated = tuple(test for test in tests if test.is_dated)
        if dated:
            plan.dated_attributes.setdefault(workspace, {})[key] = dated


def _index_profile_values(plan: Plan, leaves: Iterable[Leaf]) -> None:
    values: dict[tuple[str, Facet], list[ProfileValue | WithinDistance]] = defaultdict(list)
    dated: dict[str, list[Leaf]] = defaultdict(list)
    for leaf in leaves:
        if isinstance(leaf, ProfileValue | WithinDistance):
            values[leaf.workspace, leaf.facet].append(leaf)
            if leaf.is_dated:
                dated[leaf.workspace].append(leaf)
    plan.profile_leaves = {key: tuple(found) for key, found in values.items()}
    plan.dated_leaves = {workspace: tuple(found) for workspace, found in dated.items()}


def _link_activity(plan: Plan, workspace: str, reach: dict[int, set[int]]) -> None:
    """What a profile's first activity in a workspace can make true, without asking every audience
    each time.

    Criteria start at their default and flip by themselves, so of the workspace's own audiences only
    those can become true by activity alone that hold by default, that refer to one that another
    workspace can have made true, or that read what does not start at its default: first and last
    seen, which activity brings, and identities, which another workspace may have brought.
    """
    own = {
        place for place, audience in enumerate(plan.audiences) if workspace in audience.workspaces
    }
    asked = {
        place
        for place in own
        for leaf, _text in plan.audiences[place].leaves
        if (
            isinstance(leaf, Membership)
            and plan.audiences[plan.places[leaf.audience_id]].workspaces != (workspace,)
        )
        or (isinstance(leaf, ProfileValue) and (leaf.facet in _SEEN or not leaf.workspace))
    }
    elsewhere = {following for place in own for following in reach[place] if following not in own}
    newcomer = Row(0)
    newcomer.spaces[workspace] = Space(0, 0, {})
    for audience in plan.audiences:
        if audience.expression.holds(newcomer, NEVER):
            newcomer.members[audience.id] = NEVER
    default = {place for place in own if plan.audiences[place].id in newcomer.members}
    following_asked = {following for place in asked for following in reach[place]}
    plan.activations[workspace] = tuple(sorted(default | asked | following_asked | elsewhere))
    shared = {place for place in own if len(plan.audiences[place].workspaces) > 1}
    following_shared = {following for place in shared for following in reach[place]}
    plan.dependants[workspace] = tuple(sorted(elsewhere | shared | following_shared))
