"""Where audiences and their criteria are written: the file, line and column of a warning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cdp_stream.core.model.criterion import Criterion, Expression, MemberOf
from cdp_stream.core.plan.expression import leaves_of
from cdp_stream.definitions.source.nodes import Mapping, Mark, Node, Sequence
from cdp_stream.definitions.source.problems import WARNINGS, Problem, Severity

_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written.

    Attributes:
        path: from the top of the document.
    """

    node: Node
    mark: Mark
    path: str

    def key(self, *names: str) -> Place:
        """The first of these keys that its mapping has; itself when it has none."""
        if isinstance(self.node, Mapping):
            for name in names:
                entry = self.node.entries.get(name)
                if entry is not None:
                    path = f"{self.path}.{name}" if self.path else name
                    return Place(entry.value, entry.key.mark, path)
        return self

    def at(self, path: str) -> Place:
        """What a path below it names, as `criteria.all[0]`; as far as it can be followed."""
        found = self
        for name, index in _STEP.findall(path):
            if name:
                found = found.key(name)
            elif isinstance(found.node, Sequence) and int(index) < len(found.node.items):
                item = found.node.items[int(index)]
                found = Place(item, item.mark, f"{found.path}[{index}]")
        return found

    def warning(
        self, code: str, message: str, suggestion: str | None, related: Iterable[str]
    ) -> Problem:
        """A warning about what is written here."""
        assert code in WARNINGS, code
        file, line, column = self.mark
        return Problem(
            Severity.WARNING,
            code,
            file,
            line,
            column,
            self.path,
            message,
            suggestion,
            tuple(related),
        )


def definitions_of(documents: Iterable[Mapping]) -> Iterator[Place]:
    """Every document, and every audience, journey, milestone and calculated attribute in it."""
    for document in documents:
        top = Place(document, document.mark, "")
        yield top
        for key in ("calculated_attributes", "audiences"):
            yield from (place for _, place in _items(top, key))
        for _, journey in _items(top, "journeys"):
            yield journey
            yield from (place for _, place in _milestones(journey, "milestones"))


def places_of(documents: Iterable[Mapping]) -> tuple[dict[str, Place], dict[str, Place]]:
    """The places of audiences and milestones, and of calculated attributes, by id."""
    audiences: dict[str, Place] = {}
    calculated: dict[str, Place] = {}
    for document in documents:
        for name, place in _items(Place(document, document.mark, ""), "audiences"):
            audiences[name] = place
        for journey, place in _items(Place(document, document.mark, ""), "journeys"):
            for name, milestone in _milestones(place, "milestones"):
                audiences[f"{journey}/{name}"] = milestone
        for name, place in _items(Place(document, document.mark, ""), "calculated_attributes"):
            calculated[name] = place
    return audiences, calculated


def _items(parent: Place, key: str) -> Iterator[tuple[str, Place]]:
    """The mappings of a list that have an id."""
    node = parent.node.get(key) if isinstance(parent.node, Mapping) else None
    base = f"{parent.path}.{key}" if parent.path else key
    for index, item in enumerate(node.items if isinstance(node, Sequence) else ()):
        if isinstance(item, Mapping) and (name := item.text("id")) is not None:
            yield name, Place(item, item.mark_of("id"), f"{base}[{index}]")


def _milestones(parent: Place, key: str) -> Iterator[tuple[str, Place]]:
    for name, place in _items(parent, key):
        yield name, place
        yield from _milestones(place, "then")


def parents_of(audiences: dict[str, Place]) -> dict[str, str]:
    """The milestone above each milestone that has one."""
    by_path = {(place.mark.file, place.path): name for name, place in audiences.items()}
    found: dict[str, str] = {}
    for name, place in audiences.items():
        above, _, _ = place.path.rpartition(".then[")
        if above:
            found[name] = by_path[place.mark.file, above]
    return found


def written_leaves(expression: Expression) -> Iterator[Criterion]:
    """The criteria that were written, and no place in a journey, which has no path."""
    for leaf in leaves_of(expression):
        if leaf.path and not isinstance(leaf, MemberOf):
            yield leaf
