"""Checks what audiences and milestones refer to: that it exists, and that there is no circle.

References may go to any depth, so nothing here recurses.

Source: docs/definitions.md, audience criteria.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from cdp_stream.core.model.criterion import Expression
from cdp_stream.definitions.criteria.scope import Reference
from cdp_stream.definitions.source.nodes import Mark, shown
from cdp_stream.definitions.source.problems import Problems


@dataclass(frozen=True, slots=True)
class Definition:
    """An audience or milestone as the references see it.

    Attributes:
        expression: None for a remaining-users split, and for criteria with problems.
        references: the audiences and milestones that its criteria name.
        follows: the milestones on which its place in the journey depends: its parent and its left
            neighbour (who depends on the next one to the left).
    """

    id: str
    mark: Mark
    path: str
    expression: Expression | None
    references: tuple[Reference, ...]
    follows: tuple[str, ...] = ()

    def needs(self) -> Iterator[str]:
        """Everything it refers to, in one way or the other."""
        yield from self.follows
        for reference in self.references:
            yield reference.target


def check_references(
    definitions: dict[str, Definition], journeys: set[str], known: set[str], problems: Problems
) -> None:
    """Note every reference to nothing.

    `known` are all ids that were given, be what they name right or not.
    """
    for definition in definitions.values():
        for reference in definition.references:
            target = reference.target
            if target in known:
                continue
            message = f"there is no audience or milestone `{shown(target)}`"
            if target in journeys:
                advice: str | None = (
                    f"a journey is not an audience; name a milestone, as `{target}/...`"
                )
            else:
                advice = problems.near(target, known) or "milestones are named `journey/milestone`"
            problems.error(
                "unknown-reference", reference.mark, reference.path, message, advice,
                [definition.id],
            )  # fmt: skip


def check_cycles(definitions: dict[str, Definition], problems: Problems) -> None:
    """Note every circle of references, once, with the way round it."""
    for component in _components(definitions):
        members = set(component)
        first = min(component, key=list(definitions).index) if len(component) > 1 else component[0]
        definition = definitions[first]
        if len(component) == 1 and first not in definition.needs():
            continue
        way = _way_round(first, members, definitions)
        circle = " -> ".join((*way, first))
        at, path = definition.mark, definition.path
        for reference in definition.references:
            if reference.target == (way[1] if len(way) > 1 else first):
                at, path = reference.mark, reference.path
                break
        message = f"these refer to each other in a circle: {circle}"
        problems.error("cycle", at, path, message, "break it at one of them", sorted(members))


def in_order(definitions: dict[str, Definition]) -> list[str]:
    """The ids so that each comes after all it needs; there must be no cycles."""
    return [component[0] for component in _components(definitions)]


def _way_round(first: str, members: set[str], definitions: dict[str, Definition]) -> list[str]:
    """The shortest way from a member back to itself, inside its circle."""
    came_from: dict[str, str] = {}
    queue = deque([first])
    while queue:
        at = queue.popleft()
        for target in definitions[at].needs():
            if target == first:
                way = [at]
                while way[-1] != first:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if target in members and target not in came_from:
                came_from[target] = at
                queue.append(target)
    raise AssertionError(f"{first} is in no circle")


def _components(definitions: dict[str, Definition]) -> Iterator[list[str]]:
    """The strongly connected components, each after those it needs.

    Tarjan's algorithm, with a stack of its own.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_ids: list[str] = []
    is_open: set[str] = set()
    for root in definitions:
        if root in index:
            continue
        work: list[tuple[str, Iterator[str]]] = []

        def enter(name: str, work: list[tuple[str, Iterator[str]]] = work) -> None:
            index[name] = low[name] = len(index)
            open_ids.append(name)
            is_open.add(name)
            work.append((name, definitions[name].needs()))

        enter(root)
        while work:
            name, targets = work[-1]
            target = next(targets, None)
            if target is not None:
                if target in definitions and target not in index:
                    enter(target)
                elif target in is_open:
                    low[name] = min(low[name], index[target])
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[name])
            if low[name] == index[name]:
                component: list[str] = []
                while not component or component[-1] != name:
                    component.append(open_ids.pop())
                    is_open.discard(component[-1])
                yield component
