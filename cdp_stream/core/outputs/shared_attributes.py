"""What is shared with an output about a profile: user attributes and calculated attributes.

Source: docs/outputs.md, shared attributes.
"""

from __future__ import annotations

from typing import Any

from cdp_stream.core.criteria.calculated_attribute import CalculatedMemory
from cdp_stream.core.model.change import Occasion
from cdp_stream.core.model.operators import MISSING
from cdp_stream.core.model.row import FOREVER, Row


class SharedAttribute:
    """A user attribute, as the workspaces of an audience know it: of several, the first that has
    the key.

    Attributes:
        workspaces: ids, in the order of the account.
        audiences: ids of those with a connection that shares it.
    """

    __slots__ = ("audiences", "key", "workspaces")

    def __init__(self, workspaces: tuple[str, ...], key: str) -> None:
        self.workspaces = workspaces
        self.key = key
        self.audiences: set[str] = set()

    def value(self, row: Row, _at: int) -> Any:
        """Its value as decoded JSON, or MISSING."""
        for workspace in self.workspaces:
            space = row.spaces.get(workspace)
            if space is not None and self.key in space.attributes:
                return space.attributes[self.key]
        return MISSING

    @property
    def read_in(self) -> tuple[str, ...]:
        """What its value is read in; together with the key, what it means."""
        return self.workspaces

    def reads(self, workspace: str) -> bool:
        """Whether its value may be of this workspace."""
        return workspace in self.workspaces

    def next_change(self, _row: Row, _after: int) -> int:
        """It never changes by itself."""
        return FOREVER


class SharedCalculation:
    """A calculated attribute, read where its state is kept.

    Attributes:
        audiences: ids of those with a connection that shares it.
    """

    __slots__ = ("audiences", "memory")

    def __init__(self, memory: CalculatedMemory) -> None:
        self.memory = memory
        self.audiences: set[str] = set()

    def value(self, row: Row, at: int) -> Any:
        """Its value at an instant that is not before the row's clock, or MISSING."""
        return self.memory.value(row, at)

    @property
    def read_in(self) -> tuple[str, ...]:
        """The slot of its state, which follows from its meaning."""
        return ("", self.memory.slot)

    def reads(self, workspace: str) -> bool:
        """Whether its value is of this workspace."""
        return self.memory.workspace == workspace

    def next_change(self, row: Row, after: int) -> int:
        """The first instant later than `after` at which it can change with no further event."""
        return self.memory.next_change(row, after)


Shared = SharedAttribute | SharedCalculation

Before = dict[Shared | None, tuple[Any, Occasion]]
"""The values before the instant that is being evaluated, of what is written in it, and the cause:
shared attributes that may have changed, and under None the identities.
"""


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: `1`, `1.0` and `true` are not."""
    if type(one) is not type(other):
        return False
    if type(one) is list:
        return len(one) == len(other) and all(map(is_same, one, other))
    if type(one) is dict:
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    return bool(one == other)
