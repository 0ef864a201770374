"""Sequences and abandoned carts as truths: what they imply for the events they are made of.

Source: docs/definitions.md, sequence; docs/semantics.md, cart abandonment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

from cdp_stream.core.model.criterion import CartCriterion, SequenceCriterion, Step
from cdp_stream.core.model.subject import COMMERCE, Subject
from cdp_stream.lint.circuit import FALSE, Circuit
from cdp_stream.lint.events import MAX_COMPARED, Events, EventSet, is_within, wider_subjects

ADD_TO_CART = Subject(COMMERCE, "add_to_cart")


@dataclass(frozen=True, slots=True)
class _Sequence:
    steps: tuple[EventSet, ...]
    within_ms: int


class Sequences:
    """The sequences in use."""

    def __init__(self, circuit: Circuit, events: Events) -> None:
        self._circuit = circuit
        self._events = events
        self._literals: dict[_Sequence, int] = {}

    def literal(self, criterion: SequenceCriterion) -> int:
        """The literal of the sequence's having happened."""
        steps = [self._set_of(criterion, step) for step in criterion.steps]
        known = tuple(step for step in steps if step is not None)
        if len(known) < len(steps):
            return FALSE
        if len(known) == 1:
            return self._events.at_least(known[0], 1)
        sequence = _Sequence(known, criterion.within_ms)
        return self._literals.setdefault(sequence, self._circuit.atom(sequence))

    def _set_of(self, criterion: SequenceCriterion, step: Step) -> EventSet | None:
        return self._events.set_of(criterion.reaches_of(step.subject), step.subject, step.where)

    def state_facts(self) -> None:
        """Note that a sequence has its steps' events, and every sequence within it."""
        for sequence, literal in self._literals.items():
            for step in set(sequence.steps):
                # Steps are at different times, so each is another event.
                count = sum(_is_part(other, step) for other in sequence.steps)
                self._circuit.imply(literal, self._events.at_least(step, count))
        pairs = ((a, b) for a in self._literals for b in self._literals if a is not b)
        for one, other in islice(pairs, MAX_COMPARED):
            if one.within_ms <= other.within_ms and _has_in_order(one.steps, other.steps):
                self._circuit.imply(self._literals[one], self._literals[other])


def _has_in_order(steps: tuple[EventSet, ...], wanted: tuple[EventSet, ...]) -> bool:
    """Whether the wanted steps are surely found among the steps, in their order."""
    remaining = iter(steps)
    return all(any(_is_part(step, next_wanted) for step in remaining) for next_wanted in wanted)


def _is_part(smaller: EventSet, larger: EventSet) -> bool:
    return larger.subject in wider_subjects(smaller.subject) and is_within(smaller, larger)


class Carts:
    """The abandoned carts in use."""

    def __init__(self, circuit: Circuit, events: Events) -> None:
        self._circuit = circuit
        self._events = events
        self._literals: dict[CartCriterion, int] = {}

    def literal(self, criterion: CartCriterion) -> int:
        """The literal of an abandoned cart."""
        if self._events.set_of(criterion.reaches, ADD_TO_CART, criterion.where) is None:
            return FALSE
        return self._literals.setdefault(criterion, self._circuit.atom(criterion))

    def state_facts(self) -> None:
        """Note that something was added before the wait, and that long waits are short ones too."""
        for cart, literal in self._literals.items():
            waited = tuple(
                replace(reach, window=replace(reach.window, newest=cart.wait_ms))
                for reach in cart.reaches
            )
            added = self._events.set_of(waited, ADD_TO_CART, cart.where)
            self._circuit.imply(literal, self._events.at_least(added, 1))
        pairs = ((a, b) for a in self._literals for b in self._literals if a is not b)
        for one, other in islice(pairs, MAX_COMPARED):
            if one.wait_ms > other.wait_ms and replace(one, wait_ms=other.wait_ms) == other:
                self._circuit.imply(self._literals[one], self._literals[other])
