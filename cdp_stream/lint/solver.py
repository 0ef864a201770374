"""Decides exactly which truths may hold together for some profile.

Source: N. Een and N. Sorensson, "An Extensible SAT-solver", 2003 (MiniSat, by way of PySAT).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import eq, itemgetter
from typing import Any, Final

from pysat.solvers import Minisat22

from cdp_stream.lint.circuit import TRUE

MAX_CONFLICTS: Final = 2_000
"""A question that needs more is left open: criteria that are written by people need few."""
_MULTIPLIER: Final = 2_654_435_761


@dataclass(slots=True)
class Effort:
    """How many questions may still be asked: checking must end, whatever was written."""

    questions: int


class Solver:
    """The clauses of one group of audiences, and questions about them."""

    def __init__(self, clauses: list[list[int]], effort: Effort) -> None:
        self._effort = effort
        names = sorted({TRUE, *(abs(literal) for clause in clauses for literal in clause)})
        # The solver has a variable for each number up to the greatest.
        self._numbers = {name: place for place, name in enumerate(names, start=1)}
        known = [[self._number(literal) for literal in clause] for clause in clauses]
        self._solver: Any = Minisat22(bootstrap_with=[[self._number(TRUE)], *known])

    def _number(self, literal: int) -> int:
        number = self._numbers.setdefault(abs(literal), len(self._numbers) + 1)
        return number if literal > 0 else -number

    def close(self) -> None:
        """Free its memory."""
        self._solver.delete()

    def prefer(self, pattern: int) -> None:
        """What to try first for each truth: false (0), true (1), or a mixture that the number
        determines.
        """
        if pattern in (0, 1):
            phases = [number if pattern else -number for number in self._numbers.values()]
        else:
            phases = [
                number if (number * pattern * _MULTIPLIER >> 13) & 1 else -number
                for number in self._numbers.values()
            ]
        self._solver.set_phases(phases)

    def may_hold(self, *literals: int) -> bool | None:
        """Whether these may be true together of some profile; None when that is left open."""
        if self._effort.questions <= 0:
            return None
        self._effort.questions -= 1
        self._solver.conf_budget(MAX_CONFLICTS)
        answer: bool | None = self._solver.solve_limited(
            assumptions=[self._number(literal) for literal in literals]
        )
        return answer

    def case_reader(self, literals: Sequence[int]) -> Callable[[], list[bool]]:
        """A function that returns whether a literal is true in the case found last."""
        numbers = [self._number(literal) for literal in literals]
        for number in numbers:
            # It has a value only for variables that its clauses or questions contain.
            self._solver.add_clause([number, -number])
        # Twice the first: with one place alone it would give no tuple.
        read = itemgetter(*(abs(number) - 1 for number in (numbers[0], *numbers)))

        def row() -> list[bool]:
            # All in C: it is called thousands of times.
            return list(map(eq, read(self._solver.get_model())[1:], numbers))

        return row

    def conflict(self, literals: Sequence[int]) -> list[int]:
        """Those of the literals, asked for last, that cannot be true together."""
        core = set(self._solver.get_core() or ())
        return [literal for literal in literals if self._number(literal) in core]
