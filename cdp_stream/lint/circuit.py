"""Truths about one profile at one instant as numbered variables, and what is known of them as
clauses.

A literal is a variable or its negation, as `n` or `-n`; a clause is a list of literals of which at
least one is true. Equal formulas get the same literal.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final

TRUE: Final = 1
FALSE: Final = -1
"""The constants: variable 1 is true. They are never in a clause."""


class Circuit:
    """Variables and clauses, growing.

    Attributes:
        clauses: what holds at every instant of every profile.
        variables: how many there are; they count from 1.
    """

    def __init__(self) -> None:
        self.clauses: list[list[int]] = []
        self.variables = 1
        self._atoms: dict[Hashable, int] = {}
        self._gates: dict[tuple[int, ...], int] = {}
        self._inputs: dict[int, tuple[int, ...]] = {}

    def atom(self, key: Hashable) -> int:
        """The variable of an elementary truth; equal keys are the same truth."""
        found = self._atoms.get(key)
        if found is None:
            found = self._atoms[key] = self._new()
        return found

    def conjunction(self, literals: Iterable[int]) -> int:
        """The literal of "all of these"; of none it is TRUE."""
        parts = set(literals)
        parts.discard(TRUE)
        if FALSE in parts or any(-part in parts for part in parts):
            return FALSE
        for part in tuple(parts):
            # What one of them has for a part itself need not be stated again.
            parts.difference_update(self._inputs.get(part, ()))
        if not parts:
            return TRUE
        inputs = tuple(sorted(parts))
        if len(inputs) == 1:
            return inputs[0]
        gate = self._gates.get(inputs)
        if gate is None:
            gate = self._gates[inputs] = self._new()
            self._inputs[gate] = inputs
            self.clauses.extend([-gate, part] for part in inputs)
            self.clauses.append([gate, *(-part for part in inputs)])
        return gate

    def disjunction(self, literals: Iterable[int]) -> int:
        """The literal of "some of these"; of none it is FALSE."""
        return -self.conjunction([-literal for literal in literals])

    def state(self, *literals: int) -> None:
        """Note that at least one of these is true of every profile at every instant."""
        if TRUE not in literals:
            self.clauses.append([literal for literal in literals if literal != FALSE])

    def imply(self, cause: int, effect: int) -> None:
        """Note that `effect` is true whenever `cause` is."""
        if cause != effect:
            self.state(-cause, effect)

    def _new(self) -> int:
        self.variables += 1
        return self.variables
