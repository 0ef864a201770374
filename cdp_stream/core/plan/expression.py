"""An audience's expression as a flat decision list: which leaf to test next, and when the result is
known.

`all`, `any` and `not` are compiled away: each entry names a leaf and where to go when it holds and
when it does not, so an evaluation tests no leaf that cannot matter, allocates nothing, and any
depth of nesting costs no stack.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final, cast

from cdp_stream.core.criteria.leaf import Leaf
from cdp_stream.core.model.criterion import All, AnyOf, Criterion, Expression, Not
from cdp_stream.core.model.row import Row

TRUE: Final = -1
FALSE: Final = -2

Decision = tuple[Leaf, int, int]
"""A leaf, the place to go when it holds, the place to go when not; a place is an index, `TRUE` or
`FALSE`.
"""

_Request = tuple[Expression, int, int]


class DecisionList:
    """A compiled expression. `decisions` may be empty: then the answer is `entry` itself."""

    __slots__ = ("decisions", "entry")

    def __init__(self, decisions: tuple[Decision, ...], entry: int) -> None:
        self.decisions = decisions
        self.entry = entry

    def holds(self, row: Row, at: int) -> bool:
        """Whether the expression is true of the profile at the instant `at`."""
        decisions = self.decisions
        place = self.entry
        while place >= 0:
            leaf, yes, no = decisions[place]
            place = yes if leaf.holds(row, at) else no
        return place == TRUE


def compile_expression(
    expression: Expression, leaf_of: Callable[[Criterion], Leaf]
) -> DecisionList:
    """The decision list of an expression; `leaf_of` gives the run-time criterion of each leaf."""
    decisions: list[Decision] = []

    def emit(node: Expression, yes: int, no: int) -> Generator[_Request, int, int]:
        """Entries for `node`, last first, because an entry's targets must be known; returns the
        place to enter.
        """
        match node:
            case Not(child):
                return (yield child, no, yes)
            case All(children):
                entry = yes
                for child in reversed(children):
                    entry = yield child, entry, no
                return entry
            case AnyOf(children):
                entry = no
                for child in reversed(children):
                    entry = yield child, yes, entry
                return entry
            case _:
                decisions.append((leaf_of(node), yes, no))
                return len(decisions) - 1

    entry = _run(emit, (expression, TRUE, FALSE))
    return DecisionList(tuple(decisions), entry)


def _run(
    emit: Callable[[Expression, int, int], Generator[_Request, int, int]], request: _Request
) -> int:
    """Drive `emit` with a stack of our own: nesting is the user's, and Python's is shallow."""
    stack = [emit(*request)]
    answer: int | None = None
    while stack:
        try:
            child = stack[-1].send(cast("int", answer))
        except StopIteration as done:
            stack.pop()
            answer = done.value
        else:
            stack.append(emit(*child))
            answer = None
    return cast("int", answer)


def leaves_of(expression: Expression) -> list[Criterion]:
    """The leaves in the order in which they are written."""
    leaves: list[Criterion] = []
    pending: list[Expression] = [expression]
    while pending:
        node = pending.pop()
        match node:
            case All(children) | AnyOf(children):
                pending.extend(reversed(children))
            case Not(child):
                pending.append(child)
            case _:
                leaves.append(node)
    return leaves
