"""What every leaf of an expression can answer."""

from __future__ import annotations

from typing import Protocol

from cdp_stream.core.row import Row


class Leaf(Protocol):
    """One truth about a profile.

    Attributes:
        audiences: places, in order of evaluation, of the audiences that may change when it flips.
    """

    audiences: tuple[int, ...]

    def holds(self, row: Row, at: int) -> bool:
        """Whether it is true at the instant `at`, which is the row's clock or an instant up to the
        next due one.
        """
        ...

    def next_due(self, row: Row, after: int) -> int:
        """An instant later than `after` before which it cannot flip by itself; FOREVER if it never
        can.
        """
        ...


class EventLeaf(Leaf, Protocol):
    """A leaf that counts events.

    Attributes:
        slot: its key in `Row.slots`, a digest of the criterion.
        workspace: the state goes when the profile ends there.
    """

    slot: str
    workspace: str

    def record(self, row: Row, time: int, at: int) -> bool:
        """Enter a matching event of `time` at the clock `at >= time`; True when that flips the
        criterion.
        """
        ...

    def prune(self, row: Row, at: int) -> None:
        """Drop what can never count again at `at` or later."""
        ...
