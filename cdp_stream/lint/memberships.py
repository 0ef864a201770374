"""What is certain about the memberships of an account's audiences, worked out group by group.

Audiences that share no truth, not even through what is known of truths, are in different groups and
are not compared: nothing but activity could relate them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from cdp_stream.core.model.criterion import All, Criterion, EventCriterion, Expression
from cdp_stream.core.model.definition import Account, Audience
from cdp_stream.lint.circuit import FALSE
from cdp_stream.lint.relations import relations_of
from cdp_stream.lint.solver import Effort, Solver
from cdp_stream.lint.vocabulary import Vocabulary

MAX_QUESTIONS: Final = 50_000


@dataclass(slots=True)
class _Truths:
    """One audience in the vocabulary's literals.

    Attributes:
        member, gate, own: of membership, of activity in its workspaces, of activity and its own
            criteria (without its place in a journey).
        parts: the criteria of which all must hold, by path; empty where they are not a list.
    """

    member: int
    gate: int
    own: int
    parts: list[tuple[str, int]]


class Memberships:
    """The certain facts, audiences by id and in the order of the account.

    Attributes:
        contradictory: those whose own criteria no profile can meet.
        unreachable: milestones that no profile can reach.
        always: those of which every active profile is a member.
        equal: (first, other) pairs of each class of equal audiences.
        within: (containing, contained), the direct ones.
    """

    def __init__(self, account: Account) -> None:
        self.contradictory: list[str] = []
        self.unreachable: list[str] = []
        self.always: list[str] = []
        self.equal: list[tuple[str, str]] = []
        self.within: list[tuple[str, str]] = []
        self._vocabulary = Vocabulary(account)
        self._effort = Effort(MAX_QUESTIONS)
        self._truths = {audience.id: self._read(audience) for audience in account.audiences}
        self._vocabulary.state_facts()
        self._solvers: dict[str, Solver] = {}
        order = {audience.id: place for place, audience in enumerate(account.audiences)}
        for ids, clauses in self._groups():
            solver = Solver(clauses, self._effort)
            self._solvers.update(dict.fromkeys(ids, solver))
            self._relate(solver, ids)
        self.contradictory.sort(key=order.__getitem__)
        self.unreachable.sort(key=order.__getitem__)
        self.always.sort(key=order.__getitem__)

    def close(self) -> None:
        """Free the solvers' memory; nothing may be called afterwards."""
        for solver in set(self._solvers.values()):
            solver.close()

    def is_empty_without(self, audience: Audience, criteria: list[Criterion]) -> bool:
        """Whether the audience surely has no members when no event counts for these criteria."""
        literals = [self._truths[audience.id].member]
        for criterion in criteria:
            literal = self._vocabulary.expression(criterion)
            none_will_do = isinstance(criterion, EventCriterion) and criterion.minimum <= 0
            literals.append(literal if none_will_do else -literal)
        return self._solvers[audience.id].may_hold(*literals) is False

    def contradiction_of(self, audience_id: str) -> list[str]:
        """The paths of those criteria, of a list of which all must hold, that contradict each
        other; empty where the criteria are no such list.
        """
        truths, solver = self._truths[audience_id], self._solvers[audience_id]
        if any(literal == FALSE for _, literal in truths.parts):
            return []
        literals = [literal for _, literal in truths.parts]
        if not literals or solver.may_hold(truths.gate, *literals) is not False:
            return []
        core = set(solver.conflict(literals))
        return [path for path, literal in truths.parts if literal in core]

    def _read(self, audience: Audience) -> _Truths:
        vocabulary = self._vocabulary
        member, gate = vocabulary.member(audience.id), vocabulary.gate(audience)
        # A remaining-users split has no criteria: everyone active would meet them.
        own, parts = gate, list[tuple[str, int]]()
        written = _own_criteria(audience)
        if written is not None:
            own = vocabulary.circuit.conjunction((gate, vocabulary.expression(written)))
            parts = [(_path_of(part), vocabulary.expression(part)) for part in _conjuncts(written)]
        return _Truths(member, gate, own, parts)

    def _relate(self, solver: Solver, ids: list[str]) -> None:
        """Compare the audiences of one group; equal literals are one."""
        by_literal: dict[int, list[str]] = defaultdict(list)
        for audience_id in ids:
            truths = self._truths[audience_id]
            by_literal[truths.member].append(audience_id)
            if truths.own != truths.member and solver.may_hold(truths.own) is False:
                self.contradictory.append(audience_id)
        same = list(by_literal.values())
        gates = [self._truths[names[0]].gate for names in same]
        found = relations_of(solver, list(by_literal), gates)
        for place in found.never:
            for name in same[place]:
                if "/" in name:
                    self.unreachable.append(name)
                if self._truths[name].own == self._truths[name].member:
                    self.contradictory.append(name)
        for place in found.always:
            self.always += same[place]
        trivial = {*found.never, *found.always}
        first_of = {other: one for one, other in found.equal}
        for place, names in enumerate(same):
            if place not in trivial:
                first = same[first_of.get(place, place)][0]
                self.equal += [(first, other) for other in names if other != first]
        self.within += [(same[one][0], same[other][0]) for one, other in found.within]

    def _groups(self) -> list[tuple[list[str], list[list[int]]]]:
        """The audiences that could be related, with the clauses that concern them."""
        vocabulary = self._vocabulary
        everywhere = {1, *vocabulary.activities.values()}
        everywhere |= {abs(truths.gate) for truths in self._truths.values()}
        roots = _Roots(vocabulary.circuit.variables)
        general: list[list[int]] = []
        special: list[tuple[int, list[int]]] = []
        for clause in vocabulary.circuit.clauses:
            own = [abs(literal) for literal in clause if abs(literal) not in everywhere]
            if not own:
                general.append(clause)
                continue
            for variable in own[1:]:
                roots.join(own[0], variable)
            special.append((own[0], clause))
        clauses: dict[int, list[list[int]]] = defaultdict(lambda: list(general))
        for variable, clause in special:
            clauses[roots.of(variable)].append(clause)
        ids: dict[int, list[str]] = defaultdict(list)
        for audience_id, truths in self._truths.items():
            variable = abs(truths.own if abs(truths.member) in everywhere else truths.member)
            ids[0 if variable in everywhere else roots.of(variable)].append(audience_id)
        return [(names, clauses[root]) for root, names in ids.items()]


@dataclass(slots=True)
class _Roots:
    """Which variables are connected (union-find)."""

    size: int
    _parents: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._parents = list(range(self.size + 1))

    def of(self, variable: int) -> int:
        parents = self._parents
        while parents[variable] != variable:
            parents[variable] = parents[parents[variable]]
            variable = parents[variable]
        return variable

    def join(self, one: int, other: int) -> None:
        self._parents[self.of(one)] = self.of(other)


def _own_criteria(audience: Audience) -> Expression | None:
    """The criteria without the place in the journey; None for a remaining-users split."""
    expression = audience.expression
    if "/" in audience.id and isinstance(expression, All):
        written = [child for child in expression.children if _path_of(child)]
        return written[0] if written else None
    return expression


def _conjuncts(expression: Expression) -> list[Expression]:
    """The criteria of which all must hold, lists within lists written out; none where the
    expression is no list.
    """
    found: list[Expression] = []
    pending: list[Expression] = [expression] if isinstance(expression, All) else []
    while pending:
        node = pending.pop(0)
        if isinstance(node, All):
            pending[:0] = node.children
        else:
            found.append(node)
    return found


def _path_of(expression: Expression) -> str:
    return expression.path
