"""Memberships as literals: every audience of an account in terms of elementary truths, and all that
is known of those.

What is known is what holds at every instant of every profile, so whatever follows from it is
certain; a relation that is not known of here is only not found.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final, assert_never

from cdp_stream.core.model.criterion import (
    All,
    AnyOf,
    CalculatedAttribute,
    CalculatedCriterion,
    Calculation,
    CartCriterion,
    DistanceCriterion,
    EventCriterion,
    Expression,
    Facet,
    MemberOf,
    Not,
    ProfileCriterion,
    Reach,
    SequenceCriterion,
)
from cdp_stream.core.model.definition import Account, Audience
from cdp_stream.core.model.operators import Test
from cdp_stream.core.model.windows import Window
from cdp_stream.lint.circuit import TRUE, Circuit
from cdp_stream.lint.discs import Disc, state_discs
from cdp_stream.lint.events import Events
from cdp_stream.lint.profile_value import Nature, Value
from cdp_stream.lint.sequences import Carts, Sequences
from cdp_stream.lint.values import form_of, window_within

_ALWAYS_THERE: Final = frozenset(
    {Calculation.COUNT, Calculation.SUM, Calculation.UNIQUE_VALUES_COUNT, Calculation.UNIQUE_LIST}
)
_TIMESTAMPS: Final = frozenset(
    {Calculation.FIRST_OCCURRENCE_TIMESTAMP, Calculation.LAST_OCCURRENCE_TIMESTAMP}
)
_NUMBERS: Final = frozenset(
    {
        Calculation.COUNT,
        Calculation.MIN,
        Calculation.MAX,
        Calculation.AVERAGE,
        Calculation.UNIQUE_VALUES_COUNT,
        *_TIMESTAMPS,
    }
)
"""Not sums: one may be too great to be a number."""
_WHOLE: Final = frozenset({Calculation.COUNT, Calculation.UNIQUE_VALUES_COUNT, *_TIMESTAMPS})
_SEEN: Final = frozenset({Facet.FIRST_SEEN, Facet.LAST_SEEN})


class Vocabulary:
    """The truths that an account's criteria need.

    Attributes:
        circuit: its clauses are complete once `state_facts` was called.
    """

    def __init__(self, account: Account) -> None:
        self.circuit = Circuit()
        self._account = account
        self._audiences = {audience.id: audience for audience in account.audiences}
        self._members: dict[str, int] = {}
        self._events = Events(self.circuit, account.workspaces)
        self._sequences = Sequences(self.circuit, self._events)
        self._carts = Carts(self.circuit, self._events)
        self._values: dict[tuple[Facet, str, str], Value] = {}
        self._calculated: dict[CalculatedAttribute, Value] = {}
        self._discs: dict[str, dict[Disc, int]] = {}
        self.activities = {
            workspace.id: self.circuit.atom(("active", workspace.id))
            for workspace in account.workspaces
        }

    # literals

    def gate(self, audience: Audience) -> int:
        """The literal of activity in one of the audience's workspaces."""
        return self.circuit.disjunction(self.activities[name] for name in audience.workspaces)

    def member(self, audience_id: str) -> int:
        """The literal of membership; references are followed without recursion."""
        pending = [audience_id]
        while pending:
            audience = self._audiences[pending[-1]]
            missing = [name for name in _referred(audience.expression) if name not in self._members]
            if missing:
                pending.extend(missing)
                continue
            pending.pop()
            parts = (self.gate(audience), self.expression(audience.expression))
            self._members[audience.id] = self.circuit.conjunction(parts)
        return self._members[audience_id]

    def expression(self, expression: Expression) -> int:
        """The literal of an expression, whose references have literals already."""
        match expression:
            case All(children):
                return self.circuit.conjunction(map(self.expression, children))
            case AnyOf(children):
                return self.circuit.disjunction(map(self.expression, children))
            case Not(child):
                return -self.expression(child)
            case MemberOf(audience_id):
                return self._members[audience_id]
            case EventCriterion():
                return self._count(expression)
            case ProfileCriterion():
                return self._profile(expression)
            case DistanceCriterion():
                return self._distance(expression)
            case CalculatedCriterion(attribute, test):
                return self._calculation(attribute).passes(form_of(test))
            case CartCriterion():
                return self._carts.literal(expression)
            case SequenceCriterion():
                return self._sequences.literal(expression)
            case _:
                assert_never(expression)

    def _count(self, criterion: EventCriterion) -> int:
        events = self._events.set_of(criterion.reaches, criterion.subject, criterion.where)
        enough = self._events.at_least(events, criterion.minimum)
        if criterion.maximum is None:
            return enough
        too_many = self._events.at_least(events, criterion.maximum + 1)
        return self.circuit.conjunction((enough, -too_many))

    def _profile(self, criterion: ProfileCriterion) -> int:
        form = form_of(criterion.test)
        return self._value(criterion.facet, criterion.workspace, criterion.key).passes(form)

    def _value(self, facet: Facet, workspace: str, key: str) -> Value:
        identity = (facet, workspace, key)
        found = self._values.get(identity)
        if found is None:
            # Devices are like a list: a test holds when some device passes it.
            nature = Nature(is_single=facet not in (Facet.USER_ATTRIBUTE, Facet.DEVICE))
            present = self.circuit.atom((identity, "present"))
            if facet in _SEEN:
                nature = self._seen_nature(facet, workspace)
                present = self.activities[workspace]
            found = self._values[identity] = Value(self.circuit, present, nature)
        return found

    def _seen_nature(self, facet: Facet, workspace: str) -> Nature:
        since: tuple[Window, ...] = ()
        (lifetime,) = (w.lifetime_ms for w in self._account.workspaces if w.id == workspace)
        if facet is Facet.LAST_SEEN and lifetime is not None:
            # A profile lives on for its lifetime after its last activity, and no longer.
            since = (Window(oldest=lifetime),)
        return Nature(is_single=True, is_date=True, is_past=True, since=since)

    def _distance(self, criterion: DistanceCriterion) -> int:
        disc = (criterion.latitude, criterion.longitude, criterion.metres)
        discs = self._discs.setdefault(criterion.workspace, {})
        return discs.setdefault(disc, self.circuit.atom((criterion.workspace, disc)))

    def _calculation(self, attribute: CalculatedAttribute) -> Value:
        found = self._calculated.get(attribute)
        if found is None:
            kind = attribute.calculation
            nature = Nature(
                is_single=kind in _NUMBERS or kind is Calculation.SUM,
                is_number=kind in _NUMBERS,
                is_whole=kind in _WHOLE,
                is_date=kind in _TIMESTAMPS,
                is_past=kind in _TIMESTAMPS,
            )
            present = TRUE if kind in _ALWAYS_THERE else self.circuit.atom((attribute, "present"))
            if attribute.value is None:
                reach = Reach(attribute.workspace, attribute.window, None)
                events = self._events.set_of((reach,), attribute.subject, attribute.where)
                if kind is Calculation.COUNT:
                    counted = partial(self._events.at_least, events)
                    nature = replace(nature, counted=counted)
                elif kind in _TIMESTAMPS:
                    present = self._events.at_least(events, 1)
            found = self._calculated[attribute] = Value(self.circuit, present, nature)
        return found

    # what is known

    def state_facts(self) -> None:
        """Note how all truths in use go together; to be called once, when all are."""
        circuit = self.circuit
        self._sequences.state_facts()
        self._carts.state_facts()
        self._state_order_of_seen()
        for (facet, workspace, _), value in self._values.items():
            if workspace:
                circuit.imply(value.present, self.activities[workspace])
            if facet is Facet.CONSENT:
                given = (value.passes(form_of(Test("is", wanted))) for wanted in (True, False))
                circuit.state(-value.present, *given)
        for attribute, value in self._calculated.items():
            if value.present != TRUE:
                circuit.imply(value.present, self.activities[attribute.workspace])
        for value in (*self._values.values(), *self._calculated.values()):
            value.state_facts()
        self._events.state_facts(self.activities.__getitem__)
        for workspace, discs in self._discs.items():
            state_discs(circuit, discs)
            for literal in discs.values():
                circuit.imply(literal, self.activities[workspace])

    def _state_order_of_seen(self) -> None:
        """A profile is first seen no later, and last seen no earlier, than any of its events."""
        for workspace in self.activities:
            first = self._values.get((Facet.FIRST_SEEN, workspace, ""))
            last = self._values.get((Facet.LAST_SEEN, workspace, ""))
            if first is not None and last is not None:
                for window, literal in list(first.sinces()):
                    self.circuit.imply(literal, last.since(window))
            lasts = [] if last is None else list(last.sinces())
            firsts = [] if first is None else list(first.sinces())
            for events, literal in self._events.known() if lasts or firsts else ():
                for reach in events.reaches:
                    if len(events.reaches) == 1 and reach.workspace == workspace:
                        self._state_seen(reach.window, literal, firsts, lasts)

    def _state_seen(
        self,
        window: Window,
        literal: int,
        firsts: list[tuple[Window, int]],
        lasts: list[tuple[Window, int]],
    ) -> None:
        """What an event in a window implies for the half-lines of first and last seen."""
        for seen, known in lasts:
            if window_within(window, seen):
                self.circuit.imply(literal, known)
        for seen, known in firsts:
            ended = seen.start is not None and window.end is not None and window.end <= seen.start
            older = (
                seen.oldest is not None
                and window.newest is not None
                and window.newest > seen.oldest
            )
            if ended or older:
                self.circuit.imply(literal, -known)


def _referred(expression: Expression) -> list[str]:
    found: list[str] = []
    pending = [expression]
    while pending:
        node = pending.pop()
        match node:
            case All(children) | AnyOf(children):
                pending.extend(children)
            case Not(child):
                pending.append(child)
            case MemberOf(audience_id):
                found.append(audience_id)
            case _:
                pass
    return found
