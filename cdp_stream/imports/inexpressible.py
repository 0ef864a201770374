"""What an import has to say: what could not be converted, and what was taken to mean something."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class InexpressibleError(Exception):
    """A criterion that our language does not have; the message says what of it."""


class Kind(StrEnum):
    """What a note tells."""

    LEFT_OUT = "left out"
    READ_AS = "read as"


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that whoever imports should look at.

    Attributes:
        at: its path in the imported file, as `audience.expressions[0]`.
    """

    kind: Kind
    at: str
    text: str

    def __str__(self) -> str:
        """`left out: audience.expressions[0]: why`."""
        return f"{self.kind}: {self.at}: {self.text}"
