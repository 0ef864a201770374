"""A change in flight: read from the output's topic, and not confirmed by the partner yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cdp_stream.connectors.change import OutputChange

__all__ = ["Batch", "InFlight"]


@dataclass(slots=True)
class InFlight:
    """A change, and the record of the output's topic that it was in."""

    change: OutputChange[Any]
    partition: int
    offset: int
    key: bytes | None
    value: bytes

    @property
    def memory(self) -> int:
        """About its bytes: as a record, decoded, and as its connector is given it."""
        return 1_500 + 4 * len(self.value)


@dataclass(slots=True, eq=False)
class Batch:
    """Changes that are delivered together, in order; eq is identity."""

    items: Sequence[InFlight]

    @property
    def memory(self) -> int:
        """About the bytes of its items."""
        return sum(item.memory for item in self.items)
