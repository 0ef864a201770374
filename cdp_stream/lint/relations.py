"""Which audiences of a group are never or always true, equal to others, or within others.

Every case found is kept as the set of audiences that are true in it: what one case refutes is not
asked, so that few questions remain, nearly all of which turn out as relations. Only direct
containments are given: of nested audiences each with the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from cdp_stream.lint.solver import Solver

_FEW: Final = 3
"""For so few candidates, itself among them, no cases are looked for: they are asked about."""
_MIXTURES: Final = 2
"""Mixed patterns of preferred truths with which cases are looked for, besides all and none."""


@dataclass(frozen=True, slots=True)
class Relations:
    """What was found, audiences by their place in the group.

    Attributes:
        never, always: those that no, or every active, profile is a member of; they take no part in
            the rest.
        equal: pairs, the first place of each class with each other one of it.
        within: (containing, contained), each the first of its class.
    """

    never: list[int] = field(default_factory=list)
    always: list[int] = field(default_factory=list)
    equal: list[tuple[int, int]] = field(default_factory=list)
    within: list[tuple[int, int]] = field(default_factory=list)


def relations_of(solver: Solver, members: list[int], gates: list[int]) -> Relations:
    """The relations of audiences whose membership, and whose activity, these literals are."""
    found = Relations()
    places = range(len(members))
    gate_places = {gate: place for place, gate in enumerate(dict.fromkeys(gates), len(members))}
    containment = _Containment(solver, [*members, *gate_places])
    found.never.extend(p for p in places if containment.is_impossible(members[p]))
    columns = containment.columns()
    for place in places:
        gate = gates[place]
        outside = columns[gate_places[gate]] & ~columns[place]
        candidate = not outside and place not in found.never
        if candidate and containment.is_impossible(gate, -members[place]):
            found.always.append(place)
    trivial = {*found.never, *found.always}
    supersets = containment.supersets([p for p in places if p not in trivial])
    classes = _classes(supersets)
    found.equal.extend(_equal(classes))
    found.within.extend(_direct(supersets, classes))
    return found


class _Containment:
    """Finds, for each literal, those that hold whenever it does; sets are bits by place."""

    def __init__(self, solver: Solver, literals: list[int]) -> None:
        self._solver = solver
        self._literals = literals
        self._row = solver.case_reader(literals)
        self._rows: list[str] = []

    def is_impossible(self, *literals: int) -> bool:
        """Whether these surely never hold together; a case in which they do is kept."""
        answer = self._solver.may_hold(*literals)
        if answer:
            self._rows.append(self._row())
        return answer is False

    def columns(self) -> list[int]:
        """For each literal the cases in which it is true, as bits."""
        if not self._rows:
            return [0] * len(self._literals)
        return [int("".join(column), 2) for column in zip(*self._rows, strict=True)]

    def supersets(self, ordinary: list[int]) -> list[int]:
        """For each literal the set of those that surely contain it, itself among them; only the
        ordinary ones are looked at.
        """
        proven = [1 << place for place in range(len(self._literals))]
        possible = self._unrefuted(ordinary)
        for pattern in range(1, 2 + _MIXTURES):
            self._solver.prefer(pattern)
            for place in ordinary:
                if possible[place].bit_count() > _FEW:
                    self.is_impossible(self._literals[place])
            possible = self._unrefuted(ordinary)
        self._solver.prefer(0)
        # The widest first: what contains them is known when they are found to contain another.
        for place in sorted(ordinary, key=lambda each: possible[each].bit_count()):
            self._prove(place, possible, proven)
        return proven

    def _unrefuted(self, ordinary: list[int]) -> list[int]:
        """For each literal the set of those that were true in every case in which it was."""
        columns = self.columns()
        every = (1 << len(self._rows)) - 1
        lacking = [(1 << place, every ^ columns[place]) for place in ordinary]
        possible = [0] * len(self._literals)
        for place in ordinary:
            cases = columns[place]
            possible[place] = sum(bit for bit, absent in lacking if not cases & absent)
        return possible

    def _prove(self, place: int, possible: list[int], proven: list[int]) -> None:
        asked = 0
        while open_ones := possible[place] & ~proven[place] & ~asked:
            other = max(_places(open_ones), key=lambda each: proven[each].bit_count())
            asked |= 1 << other
            if self.is_impossible(self._literals[place], -self._literals[other]):
                proven[place] |= proven[other]
            elif self._rows[-1][place] == "1":
                possible[place] &= int(self._rows[-1][::-1], 2)


def _classes(supersets: list[int]) -> list[int]:
    """For each place the set of those that are equal to it, itself among them."""
    subsets = [0] * len(supersets)
    for place, above in enumerate(supersets):
        for other in _places(above):
            subsets[other] |= 1 << place
    return [above & below for above, below in zip(supersets, subsets, strict=True)]


def _equal(classes: list[int]) -> Iterator[tuple[int, int]]:
    for place, equals in enumerate(classes):
        first = next(_places(equals))
        if first != place:
            yield first, place


def _direct(supersets: list[int], classes: list[int]) -> Iterator[tuple[int, int]]:
    """Containments with nothing between, one for each pair of classes."""
    for place, above in enumerate(supersets):
        if next(_places(classes[place])) != place:
            continue
        others = above & ~classes[place]
        beyond = 0
        for other in _places(others):
            beyond |= supersets[other] & ~classes[other]
        for other in _places(others & ~beyond):
            if next(_places(classes[other])) == other:
                yield other, place


def _places(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
