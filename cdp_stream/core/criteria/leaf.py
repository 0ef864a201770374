"""What every leaf of an expression can answer."""

from __future__ import annotations

from typing import Protocol

from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.row import Row


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


class Memory(Protocol):
    """What is kept of a profile's events under one slot of its row.

    Attributes:
        slot: its key in `Row.slots`, a digest of the criterion. No state is the state of a profile
            without such events.
        workspace: the state goes when the profile ends there.
        leaves: the leaves whose value depends on it.
    """

    slot: str
    workspace: str

    @property
    def leaves(self) -> tuple[Leaf, ...]: ...

    def prune(self, row: Row, at: int) -> None:
        """Drop what can never count again at `at` or later; there is state."""
        ...


class EventLeaf(Leaf, Memory, Protocol):
    """A leaf that counts events of one workspace and gets each of them directly: most
    criteria of most events are such.
    """

    def record(self, row: Row, time: int, at: int) -> bool:
        """Enter a matching event of `time` at the clock `at >= time`; True when that flips the
        criterion.

        Keeps `row.due` not later than the next flip, and adds to `row.weight` what the state grew,
        `SLOT_SIZE` at most.
        """
        ...


class EventMemory(Memory, Protocol):
    """State that several leaves may read, or that needs more of an event than its time.

    Before and after an event the engine reads whether its leaves hold, and when they are due.
    """

    def need(self, event: Event, batch: Batch) -> int:
        """At most the bytes by which `record` makes the row grow."""
        ...

    def record(self, row: Row, event: Event, batch: Batch, at: int) -> None:
        """Enter a matching event at the clock `at >= event.occurred_at`; adds to `row.weight` what
        the state grew.
        """
        ...
