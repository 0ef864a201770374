"""Notes of an import: what could not be converted, and what was interpreted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class InexpressibleError(Exception):
    """A criterion that our language does not have; the message names the part."""


class Kind(StrEnum):
    """The subject of a note."""

    LEFT_OUT = "left out"
    READ_AS = "read as"


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that the user of the import should check.

    Attributes:
        at: its path in the imported file, as `audience.expressions[0]`.
    """

    kind: Kind
    at: str
    text: str

    def __str__(self) -> str:
        """`left out: audience.expressions[0]: why`."""
        return f"{self.kind}: {self.at}: {self.text}"
