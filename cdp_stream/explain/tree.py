"""An audience's expression as a flat tree, with the run-time leaf that decides each criterion.

Nodes are in the order in which they are written, each after its parent, so neither building nor
asking them recurses: references may go to any depth. A referred audience is laid out where it is
met first; further on only its verdict is shown, or a journey of n milestones would take 2**n nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from cdp_stream.core.criteria.leaf import Leaf
from cdp_stream.core.criteria.membership import Activity
from cdp_stream.core.model.criterion import All, AnyOf, Criterion, Expression, MemberOf, Not
from cdp_stream.core.model.definition import Account, Audience
from cdp_stream.core.model.row import Row
from cdp_stream.core.plan.build import build_plan
from cdp_stream.core.plan.expression import leaves_of
from cdp_stream.core.plan.plan import ACTIVITY_TEXT

OPT_OUT_TEXT: Final = "not opted out"
_NOT: Final = ".not"


class Kind(StrEnum):
    """How a node's verdict follows from its leaf or its children."""

    LEAF = "leaf"
    MEMBER = "member"
    ALL = "all"
    ANY = "any"
    NOT = "not"
    EXCLUDE = "exclude"


@dataclass(frozen=True, slots=True)
class Node:
    """One node.

    Attributes:
        criterion: its short form, as in causes; `all`, `any`, `not` or `exclude` of a group.
        path: where it is written; empty for what a journey or the engine adds.
        depth: 0 for the root.
        leaf: what decides it, of `LEAF` and `MEMBER`.
        written: the criterion as defined; None for groups and for what the engine adds.
        is_negative: whether it holds when its leaf does not (`count: {at_most: 2}`).
        children: places in the tree.
    """

    kind: Kind
    criterion: str
    path: str
    depth: int
    leaf: Leaf | None = None
    written: Criterion | None = None
    is_negative: bool = False
    children: tuple[int, ...] = ()


def part_of(account: Account, audience_id: str) -> Account:
    """The account without the audiences that this one does not depend on."""
    by_id = {audience.id: audience for audience in account.audiences}
    needed: set[str] = set()
    pending = [audience_id]
    while pending:
        current = pending.pop()
        if current not in needed:
            needed.add(current)
            leaves = leaves_of(by_id[current].expression)
            pending.extend(leaf.audience_id for leaf in leaves if isinstance(leaf, MemberOf))
    audiences = tuple(audience for audience in account.audiences if audience.id in needed)
    return replace(account, audiences=audiences)


class Part:
    """One audience and what it depends on, planned by themselves: its slots are those of the whole
    plan, for a slot is named by what its criterion means.

    Attributes:
        plan: the plan of these audiences alone.
        criteria: run-time leaf -> the criterion as it is written first; references left out.
    """

    def __init__(self, account: Account, audience_id: str) -> None:
        self.audience_id = audience_id
        self.plan = build_plan(part_of(account, audience_id))
        self.audiences: dict[str, Audience] = {
            audience.id: audience for audience in self.plan.account.audiences
        }
        self.criteria: dict[Leaf, Criterion] = {}
        for planned in self.plan.audiences:
            written = leaves_of(self.audiences[planned.id].expression)
            for (leaf, _text), criterion in zip(planned.leaves, written, strict=True):
                if not isinstance(criterion, MemberOf):
                    self.criteria.setdefault(leaf, criterion)

    def leaves_of(self, audience_id: str) -> Iterator[Leaf]:
        """The run-time leaves of an audience in written order."""
        planned = self.plan.audiences[self.plan.places[audience_id]]
        return (leaf for leaf, _text in planned.leaves)


def tree_of(part: Part, row: Row, at: int) -> tuple[Node, ...]:
    """The tree of the part's audience; the root's verdict is the membership.

    Where the profile is out whatever the criteria are (no activity in the audience's workspaces, or
    opted out) a node beside them shows it.
    """
    return _Layout(part, row, at).lay_out()


def verdicts(tree: tuple[Node, ...], row: Row, at: int) -> list[bool]:
    """The verdict of each node on a row at its clock, or at an instant before its next due one."""
    found = [False] * len(tree)
    for place in range(len(tree) - 1, -1, -1):
        node = tree[place]
        below = (found[child] for child in node.children)
        match node.kind:
            case Kind.LEAF | Kind.MEMBER:
                assert node.leaf is not None
                found[place] = node.leaf.holds(row, at) != node.is_negative
            case Kind.ALL:
                found[place] = all(below)
            case Kind.ANY:
                found[place] = any(below)
            case Kind.NOT | Kind.EXCLUDE:
                found[place] = not any(below)
    return found


@dataclass(frozen=True, slots=True)
class _Pending:
    """An expression that waits to be laid out below the node at `parent`.

    Attributes:
        leaves: the run-time leaves of its audience that were not met yet.
        is_single: whether it has the path of the group around it, so that a `Not` here is one
            criterion in the negative, whatever that path ends with.
    """

    expression: Expression | Node
    parent: int
    leaves: Iterator[Leaf]
    is_single: bool = False


class _Layout:
    """Lays out one tree."""

    def __init__(self, part: Part, row: Row, at: int) -> None:
        self._part = part
        self._row = row
        self._at = at
        self._nodes: list[Node] = []
        self._children: list[list[int]] = []
        self._pending: list[_Pending] = []
        self._met: set[str] = set()

    def lay_out(self) -> tuple[Node, ...]:
        root = self._part.audience_id
        self._met.add(root)
        below = self._body_of(root, -1)
        if len(below) > 1:
            place = self._add(Node(Kind.ALL, f"audience: {root}", "", 0), -1)
            below = [replace(one, parent=place) for one in below]
        self._pending.extend(reversed(below))
        while self._pending:
            self._place(self._pending.pop())
        return tuple(
            replace(node, children=tuple(children))
            for node, children in zip(self._nodes, self._children, strict=True)
        )

    def _add(self, node: Node, parent: int) -> int:
        place = len(self._nodes)
        depth = 0
        if parent >= 0:
            depth = self._nodes[parent].depth + 1
            self._children[parent].append(place)
        self._nodes.append(replace(node, depth=depth))
        self._children.append([])
        return place

    def _body_of(self, audience_id: str, parent: int) -> list[_Pending]:
        """The nodes below an audience: what keeps the profile out of all, then its criteria."""
        audience = self._part.audiences[audience_id]
        leaves = self._part.leaves_of(audience_id)
        gates: list[Node] = []
        opted_out = self._part.plan.opted_out
        if opted_out.holds(self._row, self._at):
            gates.append(Node(Kind.LEAF, OPT_OUT_TEXT, "", 0, opted_out, is_negative=True))
        activity = Activity(audience.workspaces)
        if not activity.holds(self._row, self._at):
            gates.append(Node(Kind.LEAF, ACTIVITY_TEXT, "", 0, activity))
        expression = audience.expression
        if isinstance(expression, All) and not expression.path and len(expression.children) == 1:
            # A first milestone has nothing but its own criteria.
            expression = expression.children[0]
        return [_Pending(one, parent, leaves) for one in (*gates, expression)]

    def _place(self, pending: _Pending) -> None:
        node = pending.expression
        below: tuple[Expression, ...] = ()
        match node:
            case Node():
                self._add(node, pending.parent)
                return
            case MemberOf():
                self._place_reference(node, pending)
                return
            case All(children):
                below, laid = children, Node(Kind.ALL, "all", node.path, 0)
            case AnyOf(children):
                below, laid = children, Node(Kind.ANY, "any", node.path, 0)
            case Not(AnyOf(children, path)) if path == node.path:
                below, laid = children, Node(Kind.EXCLUDE, "exclude", node.path, 0)
            case Not(child) if _is_written_not(node, pending.is_single):
                below, laid = (child,), Node(Kind.NOT, "not", node.path, 0)
            case Not(child):
                self._place_leaf(child, pending, is_negative=True)
                return
            case _:
                self._place_leaf(node, pending, is_negative=False)
                return
        place = self._add(laid, pending.parent)
        self._pending.extend(
            _Pending(child, place, pending.leaves, child.path == node.path)
            for child in reversed(below)
        )

    def _place_leaf(self, node: Expression, pending: _Pending, *, is_negative: bool) -> None:
        assert not isinstance(node, All | AnyOf | Not | MemberOf)
        leaf = next(pending.leaves)
        self._add(Node(Kind.LEAF, node.text, node.path, 0, leaf, node, is_negative), pending.parent)

    def _place_reference(self, node: MemberOf, pending: _Pending) -> None:
        leaf = next(pending.leaves)
        laid = Node(Kind.MEMBER, node.text, node.path, 0, leaf, node)
        place = self._add(laid, pending.parent)
        if node.audience_id not in self._met:
            self._met.add(node.audience_id)
            self._pending.extend(reversed(self._body_of(node.audience_id, place)))


def _is_written_not(node: Not, is_single: bool) -> bool:
    """Whether a `Not` is a `not:` of the definition, and no single criterion in the negative."""
    child = node.child
    single = not isinstance(child, All | AnyOf | Not | MemberOf) and child.path == node.path
    return not single or (node.path.endswith(_NOT) and not is_single)
