"""So many matching events over several workspaces, each counted in the window of its own.

A workspace needs only as many of its newest times as decide by themselves: with that many in the
window the total is at least as great. A window that begins some time ago needs every time in its
reach. What is in one workspace goes with the profile's end there.

Source: docs/semantics.md, counts and windows of event criteria.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

from cdp_stream.core.criteria.where import compile_where
from cdp_stream.core.model.criterion import EventCriterion, Reach
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.meaning import slot_of
from cdp_stream.core.model.row import FOREVER, SLOT_SIZE, TIME_SIZE, Row


class CountAcross:
    """The criterion: the number of events of all its workspaces, from `minimum` to `maximum`."""

    __slots__ = ("_maximum", "_minimum", "audiences", "memories")

    def __init__(self, criterion: EventCriterion, identity: str) -> None:
        self.audiences: tuple[int, ...] = ()
        self._minimum = criterion.minimum
        self._maximum = FOREVER if criterion.maximum is None else criterion.maximum
        self.memories = tuple(
            CountMemory(self, criterion, reach, slot_of(identity, reach.workspace))
            for reach in criterion.reaches
        )

    def holds(self, row: Row, at: int) -> bool:
        total = sum(memory.count(row, at) for memory in self.memories)
        return self._minimum <= total <= self._maximum

    def next_due(self, row: Row, after: int) -> int:
        entering = min(memory.next_entering(row, after) for memory in self.memories)
        leaving = sorted(
            instant for memory in self.memories for instant in memory.leaving(row, after)
        )
        count = len(leaving)
        if count > self._maximum:
            changes = count - self._maximum
        elif 0 < self._minimum <= count:
            changes = count - self._minimum + 1
        else:
            return entering
        return min(entering, leaving[changes - 1], FOREVER)


class CountMemory:
    """The times of one workspace's events. State: times in ascending order, epoch ms.

    Attributes:
        reads: the events that it reads.
    """

    __slots__ = (
        "_bounds", "_keep", "_leaf", "_newest", "_oldest", "_where", "reads", "slot", "workspace",
    )  # fmt: skip

    def __init__(
        self, leaf: CountAcross, criterion: EventCriterion, reach: Reach, slot: str
    ) -> None:
        window = reach.window
        self.slot = slot
        self.workspace = reach.workspace
        self.reads = ((reach, criterion.subject),)
        self._leaf = leaf
        self._where = compile_where(criterion.where)
        self._oldest = FOREVER if window.oldest is None else window.oldest
        self._newest = window.newest or 0
        self._bounds = (
            -FOREVER if window.start is None else window.start,
            FOREVER if window.end is None else window.end,
        )
        decisive = criterion.minimum if criterion.maximum is None else criterion.maximum + 1
        self._keep = FOREVER if self._newest else decisive

    @property
    def leaves(self) -> tuple[CountAcross, ...]:
        """The criterion."""
        return (self._leaf,)

    def need(self, event: Event, batch: Batch) -> int:
        return SLOT_SIZE + TIME_SIZE

    def record(self, row: Row, event: Event, batch: Batch, at: int) -> None:
        time = event.occurred_at
        floor = at - self._oldest
        if time < floor or not self._bounds[0] <= time < self._bounds[1]:
            return
        if self._where is not None and not self._where(event, batch):
            return
        times: list[int] | None = row.slots.get(self.slot)
        if times is None:
            row.slots[self.slot] = [time]
            row.weight += SLOT_SIZE + TIME_SIZE
            return
        before = len(times)
        del times[: bisect_left(times, floor)]
        insort(times, time)
        del times[: max(0, len(times) - self._keep)]
        row.weight += TIME_SIZE * max(0, len(times) - before)

    def prune(self, row: Row, at: int) -> None:
        times: list[int] = row.slots[self.slot]
        del times[: bisect_left(times, at - self._oldest)]
        if not times:
            del row.slots[self.slot]

    def count(self, row: Row, at: int) -> int:
        """How many of the times that are kept lie in the window."""
        first, end = self._in_window(row, at)
        return end - first

    def leaving(self, row: Row, after: int) -> list[int]:
        """For each time in the window, the instant at which it leaves."""
        first, end = self._in_window(row, after)
        times = row.slots.get(self.slot, ())
        return [times[place] + self._oldest + 1 for place in range(first, end)]

    def next_entering(self, row: Row, after: int) -> int:
        """The first instant later than `after` at which a time enters the window."""
        times = row.slots.get(self.slot, ())
        _, end = self._in_window(row, after)
        return times[end] + self._newest if end < len(times) else FOREVER

    def _in_window(self, row: Row, at: int) -> tuple[int, int]:
        times = row.slots.get(self.slot)
        if not times:
            return 0, 0
        return bisect_left(times, at - self._oldest), bisect_right(times, at - self._newest)
