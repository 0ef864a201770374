"""A change on its way from the topic to the partner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cdp_stream.connectors.change import OutputChange

__all__ = ["Batch", "InFlight"]


@dataclass(slots=True)
class InFlight:
    """A record of the output's topic, taken to be delivered.

    Attributes:
        timestamp: when it was written, epoch ms.
    """

    change: OutputChange[Any]
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes

    @property
    def memory(self) -> int:
        """About the bytes that it takes: as a record, decoded, and as its connector is given it."""
        return 1_500 + 4 * len(self.value)


@dataclass(slots=True, eq=False)
class Batch:
    """Changes that are delivered together, in order; eq is identity."""

    items: Sequence[InFlight]

    @property
    def memory(self) -> int:
        """About the bytes that it takes."""
        return sum(item.memory for item in self.items)

    @property
    def changes(self) -> list[OutputChange[Any]]:
        """What the connector is given."""
        return [item.change for item in self.items]
