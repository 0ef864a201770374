"""The run-time leaves of a plan: one for each distinct criterion, which reads what reaches it and
keeps its state in a slot of its own.

Equal criteria have equal identities (scope.py), so that all their users share one.
"""

from __future__ import annotations

from cdp_stream.core.criteria.calculated_attribute import (
    CalculatedAttributeTest,
    CalculatedMemory,
)
from cdp_stream.core.criteria.cart_abandonment import CartAbandonment
from cdp_stream.core.criteria.count_across import CountAcross
from cdp_stream.core.criteria.event_count import event_count
from cdp_stream.core.criteria.leaf import EventLeaf, EventMemory, Leaf
from cdp_stream.core.criteria.membership import Activity, Membership
from cdp_stream.core.criteria.profile_value import profile_leaf
from cdp_stream.core.criteria.sequence import Sequence
from cdp_stream.core.criteria.user_attribute import UserAttribute
from cdp_stream.core.criteria.where import compile_where
from cdp_stream.core.model.criterion import (
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
from cdp_stream.core.model.meaning import slot_of
from cdp_stream.core.plan.plan import Plan, Reader
from cdp_stream.core.plan.scope import identity_of, slots_of


class Leaves:
    """The run-time leaves of one plan.

    Attributes:
        by_identity: those of criteria of their own; references to audiences are not among them.
        activities: by the workspaces of an audience.
        memberships: by the id of the audience that is referred to.
        calculated: where calculated attributes keep their state, by identity.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.by_identity: dict[str, Leaf] = {}
        self.activities: dict[tuple[str, ...], Activity] = {}
        self.memberships: dict[str, Membership] = {}
        self.calculated: dict[str, CalculatedMemory] = {}

    def identity_of(self, criterion: Criterion) -> str:
        """The identity of a criterion, worked out once for the life of the account."""
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
        """Whether a profile lives in any of these workspaces."""
        return self.activities.setdefault(workspaces, Activity(workspaces))

    def leaf_of(self, criterion: Criterion) -> Leaf:
        """The leaf of a criterion, made as it is first asked for."""
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
        """The slot of a calculated attribute's state: one, whichever criteria read it."""
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
