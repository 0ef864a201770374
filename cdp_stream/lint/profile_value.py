"""Values of the profile as truths: which of their tests hold together.

A value that may be a list is described by each property that some element has. One that has at most
one element is described further: its number and its date by the half-lines that they lie in, so
that the tests on it are related as the numbers themselves are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from math import ceil, floor
from typing import Final

from cdp_stream.core.model.windows import Window
from cdp_stream.lint.circuit import FALSE, TRUE, Circuit
from cdp_stream.lint.values import (
    ANY_DATE,
    ANY_NUMBER,
    Dated,
    Equal,
    Form,
    Interval,
    Property,
    Shape,
    excludes,
    implies,
)

MAX_COMPARED: Final = 300_000
"""So many pairs of properties of one value are compared; what lies beyond is not known of."""


@dataclass(frozen=True, slots=True)
class Nature:
    """What is known of a value beforehand.

    Attributes:
        is_single: it never has more than one element.
        is_number, is_date: present, it is always one.
        is_whole: its numbers are whole, and not below 0.
        is_past: its dates never lie in the future.
        since: present, it lies in these windows, which have a start or a greatest age only.
        counted: where it is a number of events: the literal of at least so many.
    """

    is_single: bool = False
    is_number: bool = False
    is_date: bool = False
    is_whole: bool = False
    is_past: bool = False
    since: tuple[Window, ...] = ()
    counted: Callable[[int], int] | None = None


@dataclass(slots=True)
class Value:
    """One value and the truths about it that are in use.

    Attributes:
        present: the literal of its being there.
    """

    circuit: Circuit
    present: int
    nature: Nature
    _atoms: dict[Property, int] = field(default_factory=dict)

    def passes(self, form: Form) -> int:
        """The literal of a test's holding."""
        match form.shape:
            case Shape.PRESENT:
                return self.present
            case Shape.ABSENT:
                return -self.present
        some = self.circuit.disjunction(map(self._literal, form.properties))
        return some if form.shape is Shape.SOME else -some

    def since(self, window: Window) -> int:
        """The literal of its date's lying in a window that has a start or a greatest age only."""
        if self.nature.is_past and window.oldest is not None and window.oldest < 0:
            return FALSE
        return self._atom(Dated(window))

    def sinces(self) -> Iterator[tuple[Window, int]]:
        """Those literals that are in use, each with its window."""
        for known, literal in self._atoms.items():
            if isinstance(known, Dated) and known != ANY_DATE:
                yield known.window, literal

    def _literal(self, wanted: Property) -> int:
        if self.nature.is_single:
            if isinstance(wanted, Interval):
                return self.circuit.conjunction(self._number_lies(wanted))
            if isinstance(wanted, Dated):
                return self.circuit.conjunction(self._date_lies(wanted.window))
        return self._atom(wanted)

    def _number_lies(self, wanted: Interval) -> Iterator[int]:
        yield self.present if self.nature.is_number else self._atom(ANY_NUMBER)
        if wanted.low is not None:
            yield self._above(wanted.low, wanted.low_open)
        if wanted.high is not None:
            yield -self._above(wanted.high, not wanted.high_open)

    def _above(self, low: int | float, is_open: bool) -> int:
        if self.nature.is_whole:
            low, is_open = (floor(low) + 1 if is_open else ceil(low)), False
            if low <= 0:
                return TRUE
            if self.nature.counted is not None:
                return self.nature.counted(low)
        return self._atom(Interval(low=low, low_open=is_open))

    def _date_lies(self, window: Window) -> Iterator[int]:
        yield self.present if self.nature.is_date else self._atom(ANY_DATE)
        if window.start is not None:
            yield self.since(Window(start=window.start))
        if window.end is not None:
            yield -self.since(Window(start=window.end))
        if window.oldest is not None:
            yield self.since(Window(oldest=window.oldest))
        if window.newest is not None:
            yield -self.since(Window(oldest=window.newest - 1))

    def _atom(self, known: Property) -> int:
        found = self._atoms.get(known)
        if found is None:
            found = self._atoms[known] = self.circuit.atom((id(self), known))
        return found

    # what is known

    def state_facts(self) -> None:
        """Note how the truths in use go together."""
        if self.nature.is_single:
            self._atom(ANY_NUMBER)
            self._atom(ANY_DATE)
        for literal in self._atoms.values():
            self.circuit.imply(literal, self.present)
        if self.nature.is_number:
            self.circuit.imply(self.present, self._atom(ANY_NUMBER))
        if self.nature.is_date:
            self.circuit.imply(self.present, self._atom(ANY_DATE))
        for window in self.nature.since:
            self.circuit.imply(self.present, self.since(window))
        lines = self._lines() if self.nature.is_single else []
        for line in lines:
            for stronger, weaker in pairwise(line):
                self.circuit.imply(self._atoms[stronger], self._atoms[weaker])
        self._state_pairs(set(chain.from_iterable(lines)))
        if self.nature.is_single:
            self._state_at_most_one([p for p in self._atoms if isinstance(p, Equal)])

    def _lines(self) -> list[list[Property]]:
        """The half-lines in use, each kind with the narrowest first and the whole line last."""
        numbers = [p for p in self._atoms if isinstance(p, Interval) and p.low is not None]
        dates = [p for p in self._atoms if isinstance(p, Dated) and p != ANY_DATE]
        starts = [p for p in dates if p.window.start is not None]
        ages = [p for p in dates if p.window.start is None]
        return [
            [*sorted(numbers, key=lambda p: (p.low, p.low_open), reverse=True), ANY_NUMBER],
            [*sorted(starts, key=lambda p: p.window.start or 0, reverse=True), ANY_DATE],
            [*sorted(ages, key=lambda p: p.window.oldest or 0), ANY_DATE],
        ]

    def _state_pairs(self, in_lines: set[Property]) -> None:
        """What one property implies for another; those of one line, and texts, are dealt with
        elsewhere.
        """
        texts = [known for known in self._atoms if isinstance(known, Equal)]
        others = [known for known in self._atoms if not isinstance(known, Equal)]
        free = [known for known in others if known not in in_lines]
        pairs = chain(
            ((one, other) for one in free for other in others if one is not other),
            ((one, other) for one in texts for other in others),
        )
        for one, other in islice(pairs, MAX_COMPARED):
            if implies(one, other):
                self.circuit.imply(self._atoms[one], self._atoms[other])
            elif implies(other, one):
                self.circuit.imply(self._atoms[other], self._atoms[one])
            elif self.nature.is_single and excludes(one, other):
                self.circuit.state(-self._atoms[one], -self._atoms[other])

    def _state_at_most_one(self, texts: list[Property]) -> None:
        """One element has one text: of a row of literals each means that one up to it is true."""
        earlier = FALSE
        for text in texts:
            literal = self._atoms[text]
            self.circuit.state(-literal, -earlier)
            so_far = self.circuit.atom(("up to", id(self), text))
            self.circuit.imply(literal, so_far)
            self.circuit.imply(earlier, so_far)
            earlier = so_far
