"""The part of definitions with errors that has none, which can still be checked.

An audience, journey or calculated attribute with an error is left out, and so is all that refers to
it. Errors elsewhere, as in a workspace, are errors of everything. Connections and outputs are left
out too: without the audiences that they name they would mean something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from cdp_stream.core.model.definition import Account
from cdp_stream.definitions import Loaded, Problem
from cdp_stream.definitions.compile import compile_account
from cdp_stream.definitions.source.nodes import Entry, Mapping, Node, Scalar, Sequence
from cdp_stream.definitions.source.problems import Problems

_PARTS: Final = ("audiences", "journeys", "calculated_attributes")
_WITHOUT: Final = ("outputs", "connections")
_PLACE: Final = re.compile(rf"({'|'.join(_PARTS)})\[(\d+)\]")
_REFERENCES: Final = ("audience", "calculated_attribute")

_Place = tuple[str, str, int]
"""The file, the key at the top of it, and the index of an item of that list."""


def sound_part(loaded: Loaded) -> Account | None:
    """What the definitions without an error mean by themselves; None when that is unknown."""
    if loaded.account is not None:
        return loaded.account
    items = {place: item for document in loaded.documents for place, item in _items(document)}
    wrong: set[_Place] = set()
    for problem in loaded.errors:
        place = _place_of(problem)
        if place is not None and place in items:
            wrong.add(place)
        elif not problem.path.startswith(_WITHOUT):
            return None
    left_out = _with_what_refers(items, wrong)
    problems = Problems()
    return compile_account([_reduced(one, left_out) for one in loaded.documents], problems)


def _items(document: Mapping) -> Iterator[tuple[_Place, Node]]:
    for part in _PARTS:
        node = document.get(part)
        for index, item in enumerate(node.items if isinstance(node, Sequence) else ()):
            yield (document.mark.file, part, index), item


def _place_of(problem: Problem) -> _Place | None:
    found = _PLACE.match(problem.path)
    return None if found is None else (problem.file, found[1], int(found[2]))


def _with_what_refers(items: dict[_Place, Node], wrong: set[_Place]) -> set[_Place]:
    """The wrong places, those that have an id of theirs too, and all that refers to any of them."""
    ids = {place: item.text("id") for place, item in items.items() if isinstance(item, Mapping)}
    referring: dict[str, list[_Place]] = {}
    for place, item in items.items():
        names = {name.partition("/")[0] for name in _referred(item)}
        for name in (*names, ids.get(place)):
            if name is not None:
                referring.setdefault(name, []).append(place)
    found: set[_Place] = set()
    pending = list(wrong)
    while pending:
        place = pending.pop()
        if place not in found:
            found.add(place)
            pending += referring.get(ids.get(place) or "", ())
    return found


def _referred(item: Node) -> Iterator[str]:
    """What an item names anywhere in it as an audience or a calculated attribute."""
    pending, seen = [item], {id(item)}
    while pending:
        node = pending.pop()
        below: list[Node] = []
        if isinstance(node, Sequence):
            below = node.items
        elif isinstance(node, Mapping):
            below = [entry.value for entry in node.entries.values()]
            yield from filter(None, map(node.text, _REFERENCES))
        for child in below:
            # Aliases make one node of many places.
            if not isinstance(child, Scalar) and id(child) not in seen:
                seen.add(id(child))
                pending.append(child)


def _reduced(document: Mapping, left_out: set[_Place]) -> Mapping:
    """The document without what is left out."""
    entries = {key: entry for key, entry in document.entries.items() if key not in _WITHOUT}
    for part in _PARTS:
        node = document.get(part)
        if isinstance(node, Sequence):
            kept = [
                item
                for index, item in enumerate(node.items)
                if (document.mark.file, part, index) not in left_out
            ]
            entries[part] = Entry(entries[part].key, replace(node, items=kept))
    return replace(document, entries=entries)
