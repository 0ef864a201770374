"""Definitions compiled for evaluation: from an event to the criteria that read it, from those to
the audiences they flip.

An event costs what it touches, not what is defined. Equal criteria are one leaf, computed once; an
audience is evaluated only when a leaf it depends on, directly or through other audiences, has
flipped. Audiences are evaluated in an order in which each comes after those it refers to, and
changes are emitted in the order of the definition files.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from cdp_stream.core.criteria.event_count import event_count
from cdp_stream.core.criteria.leaf import EventLeaf, Leaf
from cdp_stream.core.criteria.membership import Activity, Membership
from cdp_stream.core.criteria.user_attribute import UserAttribute
from cdp_stream.core.criteria.where import Where, compile_where
from cdp_stream.core.definition import (
    Account,
    Audience,
    Criterion,
    EventCriterion,
    EventTier,
    Input,
    MemberOf,
    Tier,
    UserAttributeCriterion,
    Workspace,
)
from cdp_stream.core.expression import FALSE, DecisionList, compile_expression, leaves_of
from cdp_stream.core.operators import Test
from cdp_stream.core.row import NEVER, Row, Space
from cdp_stream.core.subject import SUBJECTS, Subject
from cdp_stream.core.windows import Window

ACTIVITY_TEXT: Final = "activity"

Reading = tuple[EventLeaf, Where | None]
"""A criterion that reads an event, and the conditions the event must meet."""

ReadingKey = tuple[str, str, str, str]
"""An event's input, kind, name as sent and custom event type as sent."""

_READINGS_KEPT = 10_000
_LONGEST_KEY_KEPT = 1_024


@dataclass(frozen=True, slots=True)
class PlannedAudience:
    """One audience, ready to be evaluated.

    Attributes:
        order: its place in the order of emission.
        leaves: its own leaves in written order, each with its text, for causes.
    """

    id: str
    name: str
    order: int
    workspace: str
    emits: bool
    digest: str
    expression: DecisionList
    leaves: tuple[tuple[Leaf, str], ...]


@dataclass(frozen=True, slots=True)
class _Reader:
    subject: Subject
    inputs: frozenset[str] | None
    reading: Reading


class Plan:
    """What `build_plan` makes; read-only for everybody else.

    Attributes:
        account_id: put in every change.
        inputs: id -> input.
        workspaces: id -> workspace.
        audiences: in order of evaluation; leaves name audiences by their place in it.
        event_leaves: slot -> leaf.
        attribute_leaves: (workspace, key) -> leaves that test this user attribute.
        dated_attributes: workspace -> key -> those whose value also changes by passing time.
        activations: workspace -> places of the audiences to evaluate when a profile becomes active
            there.
        dependants: workspace -> places of audiences elsewhere that refer to audiences of it.
        places: audience id -> its place in `audiences`.
        readings: the criteria that read an event; it fills itself, so `readings[key]` always has an
            answer.
    """

    def __init__(self, account: Account) -> None:
        self.account_id = account.id
        self.workspaces: dict[str, Workspace] = {
            workspace.id: workspace for workspace in account.workspaces
        }
        self.inputs: dict[str, Input] = {
            entry.id: entry for workspace in account.workspaces for entry in workspace.inputs
        }
        self.audiences: tuple[PlannedAudience, ...] = ()
        self.event_leaves: dict[str, EventLeaf] = {}
        self.attribute_leaves: dict[tuple[str, str], tuple[UserAttribute, ...]] = {}
        self.dated_attributes: dict[str, dict[str, tuple[UserAttribute, ...]]] = {}
        self.activations: dict[str, tuple[int, ...]] = {}
        self.dependants: dict[str, tuple[int, ...]] = {}
        self._readers: dict[tuple[str, str, str | None], list[_Reader]] = defaultdict(list)
        self.places: dict[str, int] = {}
        self.readings = _Readings(self._resolve)

    def tier_of(self, input_id: str, kind: str, name: str, custom_event_type: str) -> Tier:
        """The tier of an event: its own in `event_tiers`, the most specific entry first, else its
        input's.

        An entry that names the input wins over one that does not; then a name over `any`; then one
        with a custom event type over one without. Name and type are case-folded.
        """
        source = self.inputs[input_id]
        best: tuple[bool, bool, bool] | None = None
        tier = source.tier
        for entry in self.workspaces[source.workspace].event_tiers:
            if entry.input in (None, input_id) and entry.subject.covers(
                kind, name, custom_event_type
            ):
                rank = _specificity(entry)
                if best is None or rank > best:
                    best, tier = rank, entry.tier
        return tier

    def _resolve(
        self, input_id: str, kind: str, name: str, custom_event_type: str
    ) -> tuple[Reading, ...]:
        name, custom_event_type = name.casefold(), custom_event_type.casefold()
        if self.tier_of(input_id, kind, name, custom_event_type) is not Tier.PERSONALIZE:
            return ()
        workspace = self.inputs[input_id].workspace
        return tuple(
            reader.reading
            for subject_kind in SUBJECTS
            for subject_name in (name, None)
            for reader in self._readers.get((workspace, subject_kind, subject_name), ())
            if reader.subject.covers(kind, name, custom_event_type)
            and (reader.inputs is None or input_id in reader.inputs)
        )

    def add_reader(self, criterion: EventCriterion, leaf: EventLeaf) -> None:
        """Index an event criterion by what it reads; only while the plan is built."""
        key = (criterion.workspace, criterion.subject.kind, criterion.subject.name)
        reading = (leaf, compile_where(criterion.where))
        self._readers[key].append(_Reader(criterion.subject, criterion.inputs, reading))
        self.event_leaves[leaf.slot] = leaf


class _Readings(dict[ReadingKey, tuple[Reading, ...]]):
    """What was asked for lately, found without a call; the rest is worked out."""

    __slots__ = ("_resolve",)

    def __init__(self, resolve: Callable[[str, str, str, str], tuple[Reading, ...]]) -> None:
        super().__init__()
        self._resolve = resolve

    def __missing__(self, key: ReadingKey) -> tuple[Reading, ...]:
        readings = self._resolve(*key)
        # Names are the producers' own: a stream of ever new ones, or of long ones, must not fill
        # the memory.
        if sum(map(len, key)) <= _LONGEST_KEY_KEPT:
            if len(self) >= _READINGS_KEPT:
                self.clear()
            self[key] = readings
        return readings


def _specificity(entry: EventTier) -> tuple[bool, bool, bool]:
    subject = entry.subject
    return entry.input is not None, subject.name is not None, subject.custom_event_type is not None


def build_plan(account: Account) -> Plan:
    """The plan of checked definitions.

    Raises:
        ValueError: two different criteria have the same 48-bit slot, which takes millions of
            criteria to be likely.
    """
    plan = Plan(account)
    leaves = _Leaves(plan)
    order = {audience.id: place for place, audience in enumerate(account.audiences)}
    plan.audiences = tuple(
        _planned(audience, order[audience.id], leaves)
        for audience in _after_references(account.audiences)
    )
    plan.places = {audience.id: place for place, audience in enumerate(plan.audiences)}
    _link(plan, leaves)
    return plan


class _Leaves:
    """The run-time leaves, one per distinct criterion."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.by_identity: dict[str, Leaf] = {}
        self.activities = {workspace: Activity(workspace) for workspace in plan.workspaces}
        self.memberships: dict[str, Membership] = {}

    def leaf_of(self, criterion: Criterion) -> Leaf:
        match criterion:
            case MemberOf(audience_id):
                return self.memberships.setdefault(audience_id, Membership(audience_id))
            case _:
                identity = criterion_identity(criterion)
                leaf = self.by_identity.get(identity)
                if leaf is None:
                    leaf = self.by_identity[identity] = self._new(criterion, identity)
                return leaf

    def _new(self, criterion: EventCriterion | UserAttributeCriterion, identity: str) -> Leaf:
        if isinstance(criterion, UserAttributeCriterion):
            return UserAttribute(criterion.workspace, criterion.key, criterion.test)
        slot = slot_of(identity)
        if slot in self.plan.event_leaves:
            raise ValueError(
                f"two criteria share the slot {slot}; change a detail of one: {criterion.text!r}"
            )
        leaf = event_count(
            slot, criterion.workspace, criterion.window, criterion.minimum, criterion.maximum
        )
        self.plan.add_reader(criterion, leaf)
        return leaf


def _planned(audience: Audience, order: int, leaves: _Leaves) -> PlannedAudience:
    activity = leaves.activities[audience.workspace]
    written = leaves_of(audience.expression)
    body = compile_expression(audience.expression, leaves.leaf_of)
    gate = len(body.decisions)
    return PlannedAudience(
        id=audience.id,
        name=audience.name,
        order=order,
        workspace=audience.workspace,
        emits=audience.emits,
        digest=audience.digest,
        expression=DecisionList((*body.decisions, (activity, body.entry, FALSE)), gate),
        leaves=tuple((leaves.leaf_of(leaf), leaf.text) for leaf in written),
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
    attributes: dict[tuple[str, str], list[UserAttribute]] = defaultdict(list)
    for leaf in leaves.by_identity.values():
        own = direct[id(leaf)]
        leaf.audiences = tuple(sorted(own.union(*(reach[place] for place in own))))
        if isinstance(leaf, UserAttribute):
            attributes[leaf.workspace, leaf.key].append(leaf)
    for (workspace, key), tests in attributes.items():
        plan.attribute_leaves[workspace, key] = tuple(tests)
        dated = tuple(test for test in tests if test.is_dated)
        if dated:
            plan.dated_attributes.setdefault(workspace, {})[key] = dated
    for workspace in plan.workspaces:
        _link_activity(plan, workspace, reach)


def _link_activity(plan: Plan, workspace: str, reach: dict[int, set[int]]) -> None:
    """What a profile's first activity in a workspace can make true, without asking every audience
    each time.

    Criteria start at their default and flip by themselves, so of the workspace's own audiences only
    those that hold by default can become true by activity alone, and those that refer to another
    workspace's.
    """
    own = {
        place for place, audience in enumerate(plan.audiences) if audience.workspace == workspace
    }
    referring = {
        place
        for place in own
        for leaf, _text in plan.audiences[place].leaves
        if isinstance(leaf, Membership) and plan.places[leaf.audience_id] not in own
    }
    elsewhere = {following for place in own for following in reach[place] if following not in own}
    newcomer = Row(0)
    newcomer.spaces[workspace] = Space(0, 0, {})
    for audience in plan.audiences:
        if audience.expression.holds(newcomer, NEVER):
            newcomer.members[audience.id] = NEVER
    default = {place for place in own if plan.audiences[place].id in newcomer.members}
    following_referring = {following for place in referring for following in reach[place]}
    plan.activations[workspace] = tuple(
        sorted(default | referring | following_referring | elsewhere)
    )
    plan.dependants[workspace] = tuple(sorted(elsewhere))


def criterion_identity(criterion: EventCriterion | UserAttributeCriterion) -> str:
    """Canonical text of what a criterion means, apart from where it stands: equal criteria have
    equal texts.
    """
    if isinstance(criterion, UserAttributeCriterion):
        meaning: list[Any] = [
            "user_attribute",
            criterion.workspace,
            criterion.key,
            _test_identity(criterion.test),
        ]
    else:
        subject = criterion.subject
        where = sorted(
            (
                [condition.source.value, condition.key, _test_identity(condition.test)]
                for condition in criterion.where
            ),
            key=json.dumps,
        )
        meaning = [
            criterion.workspace,
            [subject.kind, subject.name, subject.custom_event_type],
            where,
            [criterion.minimum, criterion.maximum],
            _window_identity(criterion.window),
            None if criterion.inputs is None else sorted(criterion.inputs),
        ]
    return json.dumps(meaning, ensure_ascii=False, separators=(",", ":"))


def _test_identity(test: Test) -> list[Any]:
    operand = _window_identity(test.operand) if isinstance(test.operand, Window) else test.operand
    return [test.operator, operand]


def _window_identity(window: Window) -> list[int | None]:
    return [window.start, window.end, window.oldest, window.newest]


def slot_of(identity: str) -> str:
    """The key of a criterion's state in rows: 48 bits of a digest of its meaning, 8 characters."""
    return urlsafe_b64encode(sha256(identity.encode()).digest()[:6]).decode()
