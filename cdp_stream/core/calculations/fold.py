"""What every calculation can do with its state.

A state is plain MessagePack data: integers of 64 bits, text, bytes, lists, dicts with text keys. No
state (None) is the state of no values. A floor is the oldest time that counts, epoch ms; it only
moves forward between `add` and `pruned`, and questions may be asked for any later floor. A
calculation that never forgets (its window has no greatest age) ignores floors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from cdp_stream.core.calculations.scalar import key_of

EMPTY_SIZE: Final = 48
"""At most the bytes of any state that holds nothing: its lists, its dicts and their small
numbers.
"""


class Fold(Protocol):
    """One calculation over values with times."""

    def item(self, value: Any) -> Any | None:
        """The value that the calculation uses of an event's value, None if it ignores it."""
        ...

    def need(self, items: Sequence[Any]) -> int:
        """At most what `add` returns as the growth by these items, which there may be not yet;
        bytes.
        """
        ...

    def add(self, state: Any, time: int, items: Sequence[Any], floor: int) -> tuple[Any, int]:
        """The state with these items, at least one, of one event at `time >= floor`; state may be
        changed in place. And at least how many bytes it grew, other than by its first `EMPTY_SIZE`.
        """
        ...

    def value(self, state: Any, floor: int) -> Any:
        """The value over what is not older than the floor, MISSING where there is none; state may
        be None.
        """
        ...

    def leaving(self, state: Any, floor: int) -> int | None:
        """The time, not before the floor, whose passing out of the window is the first that can
        change the value; None when none can.
        """
        ...

    def pruned(self, state: Any, floor: int) -> Any:
        """The state without what is older than the floor, None when nothing is left."""
        ...


class OfAnyValue:
    """A fold over values of any kind; its items are their keys."""

    __slots__ = ()

    def item(self, value: Any) -> str | None:
        return key_of(value)


class NeverForgets:
    """A fold over a window that nothing leaves."""

    __slots__ = ()

    def leaving(self, _state: Any, _floor: int) -> int | None:
        return None

    def pruned(self, state: Any, _floor: int) -> Any:
        return state
