"""Which audiences of a group are never or always true, equal to others, or within others.

Every case found is kept as the set of audiences that are true in it: what one case refutes is not
asked, so that few questions remain, nearly all of which turn out as relations. Only direct
containments are given: of nested audiences each with the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import compress, islice
from typing import Final

from cdp_stream.lint.solver import Solver

_FEW: Final = 3
"""For so few candidates, itself among them, no cases are searched: the solver decides each."""
_MIXTURES: Final = 2
"""Mixed patterns of preferred truths with which cases are looked for, besides all and none."""
_DIGITS: Final = bytes.maketrans(b"\0\1", b"01")


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
    never = [p for p in places if containment.is_impossible(members[p])]
    found.never.extend(never)
    for place in sorted(set(places).difference(never)):
        gate = gates[place]
        wider = 1 << place
        if containment.possible[gate_places[gate]] & wider and containment.is_impossible(
            gate, -members[place]
        ):
            found.always.append(place)
    trivial = {*found.never, *found.always}
    supersets = containment.supersets([p for p in places if p not in trivial])
    classes = _classes(supersets)
    found.equal.extend(_equal(classes))
    found.within.extend(_direct(supersets, classes))
    return found


class _Containment:
    """Finds, for each literal, those that hold whenever it does; sets are bits by place.

    Attributes:
        possible: for each literal the set of those that were true in every case in which it was.
    """

    def __init__(self, solver: Solver, literals: list[int]) -> None:
        self._solver = solver
        self._literals = literals
        self._flags = solver.case_reader(literals)
        self._known: set[int] = set()
        self.possible = [(1 << len(literals)) - 1] * len(literals)

    def is_impossible(self, *literals: int) -> bool:
        """Whether these surely never hold together; a case in which they do is kept."""
        answer = self._solver.may_hold(*literals)
        if answer:
            self._learn(self._flags())
        return answer is False

    def _learn(self, flags: list[bool]) -> None:
        """Add a case; most are like one before."""
        case = int(bytes(flags)[::-1].translate(_DIGITS), 2)
        if case in self._known:
            return
        self._known.add(case)
        possible = self.possible
        for place in compress(range(len(flags)), flags):
            possible[place] &= case

    def supersets(self, ordinary: list[int]) -> list[int]:
        """For each literal the set of those that surely contain it, itself among them; only the
        ordinary ones are looked at.
        """
        proven = [1 << place for place in range(len(self._literals))]
        among = sum(1 << place for place in ordinary)
        for pattern in range(1, 2 + _MIXTURES):
            self._solver.prefer(pattern)
            wide = [p for p in ordinary if (self.possible[p] & among).bit_count() > _FEW]
            for place in wide:
                self.is_impossible(self._literals[place])
        self._solver.prefer(0)
        # The widest first: what contains them is known when they are found to contain another.
        order = sorted(ordinary, key=lambda each: (self.possible[each] & among).bit_count())
        for position, place in enumerate(order):
            self._prove(place, among, proven, order[:position])
        return proven

    def _prove(self, place: int, among: int, proven: list[int], done: list[int]) -> None:
        asked = 0
        while open_ones := self.possible[place] & among & ~proven[place] & ~asked:
            # The narrowest of which the most is known already.
            other = next((one for one in reversed(done) if open_ones >> one & 1), None)
            if other is None:
                other = next(_places(open_ones))
            asked |= 1 << other
            if self.is_impossible(self._literals[place], -self._literals[other]):
                proven[place] |= proven[other]


def _classes(supersets: list[int]) -> list[int]:
    """For each place the set of those that are equal to it, itself among them."""
    width = len(supersets)
    rows = [format(above, f"0{width}b") for above in reversed(supersets)]
    subsets = [int("".join(column), 2) for column in zip(*rows, strict=True)]
    return [above & below for above, below in zip(supersets, reversed(subsets), strict=True)]


def _equal(classes: list[int]) -> Iterator[tuple[int, int]]:
    for place, equals in enumerate(classes):
        first = next(_places(equals))
        if first != place:
            yield first, place


def _direct(supersets: list[int], classes: list[int]) -> Iterator[tuple[int, int]]:
    """Containments with nothing between, one for each pair of classes."""
    firsts = [place for place, equals in enumerate(classes) if next(_places(equals)) == place]
    # What contains the most others' containers is the nearest: it has those containers too.
    narrow = sorted(firsts, key=lambda place: supersets[place].bit_count(), reverse=True)
    only_firsts = sum(1 << place for place in firsts)
    for position, place in enumerate(narrow):
        wider = supersets[place] & ~classes[place] & only_firsts
        for other in islice(narrow, position + 1, None):
            if not wider:
                break
            if wider >> other & 1:
                yield other, place
                wider &= ~supersets[other]


def _places(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
