"""A YAML document as a tree in which every node knows where it was written.

All checks read the tree, so that every problem has its file, line and column. A node
that several aliases name is one object, so the tree may be a graph without cycles; `size` and
`height` count it as if it were written out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

ScalarValue = str | int | float | bool | None


class Mark(NamedTuple):
    """A place in a file; line and column count from 1, columns in characters."""

    file: str
    line: int
    column: int


@dataclass(slots=True)
class Scalar:
    """Text, a number, a boolean or null.

    Attributes:
        raw: as written, without quotes.
    """

    mark: Mark
    value: ScalarValue
    raw: str
    size: int = 1
    height: int = 1


@dataclass(slots=True)
class Sequence:
    """A list."""

    mark: Mark
    items: list[Node] = field(default_factory=list)
    size: int = 1
    height: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping, and its value."""

    key: Scalar
    value: Node


@dataclass(slots=True)
class Mapping:
    """A mapping, in the order of the file; a key that is a plain `1` or `true` is that text."""

    mark: Mark
    entries: dict[str, Entry] = field(default_factory=dict)
    size: int = 1
    height: int = 1

    def get(self, key: str) -> Node | None:
        """The value of a key, None where the key is missing."""
        entry = self.entries.get(key)
        return None if entry is None else entry.value

    def text(self, key: str) -> str | None:
        """The value of a key where it is text, else None."""
        value = self.get(key)
        return value.value if isinstance(value, Scalar) and isinstance(value.value, str) else None

    def mark_of(self, key: str) -> Mark:
        """Where a key is written; the mapping's own place where the key is missing."""
        entry = self.entries.get(key)
        return self.mark if entry is None else entry.key.mark


Node = Scalar | Sequence | Mapping


def describe(node: Node) -> str:
    """What a node is, in the words of a message: `a list`, `the number 3`."""
    if isinstance(node, Sequence):
        return "a list" if node.items else "an empty list"
    if isinstance(node, Mapping):
        return "a mapping" if node.entries else "an empty mapping"
    if node.value is None:
        return "nothing (null)"
    if isinstance(node.value, bool):
        return f"the boolean {shown(node.raw)}"
    if isinstance(node.value, str):
        return f"the text '{shown(node.value)}'"
    return f"the number {shown(node.raw)}"


def shown(text: str, limit: int = 60) -> str:
    """Text from a file as messages show it: one line, harmless, not too long."""
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
