"""So many matching events in a window: exact for any rate, with state bounded by what the threshold
decides on.

Only the newest times can decide: as time passes the oldest leave first. `at least n` needs the n
newest, `at most n` and `equals n` one more. A window that begins some time ago (`between: [6d,
4d]`) needs every time in its reach, because each still has to enter it.

Invariant: after `record` and after `next_due`, the row's due instant is never later than the next
flip.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Self

from cdp_stream.core.model.row import FOREVER, SLOT_SIZE, TIME_SIZE, Row
from cdp_stream.core.model.windows import Window


class _EventCount:
    """What the three ways of counting share: the slot and the bounds of the window."""

    __slots__ = ("audiences", "end", "oldest", "slot", "start", "workspace")

    def __init__(self, slot: str, workspace: str, window: Window) -> None:
        self.slot = slot
        self.workspace = workspace
        self.audiences: tuple[int, ...] = ()
        self.start = window.start if window.start is not None else -FOREVER
        self.end = window.end if window.end is not None else FOREVER
        self.oldest = window.oldest if window.oldest is not None else FOREVER

    @property
    def leaves(self) -> tuple[Self, ...]:
        """Itself: its state is its own."""
        return (self,)


class AtLeastOnce(_EventCount):
    """At least one event up to now: the newest time is all that matters. State: that time."""

    __slots__ = ()

    def record(self, row: Row, time: int, at: int) -> bool:
        slots = row.slots
        newest: int | None = slots.get(self.slot)
        floor = at - self.oldest
        if newest is not None and newest >= floor:
            # Still true; the row's due instant is that of the older time, early but never late.
            if newest < time < self.end:
                slots[self.slot] = time
            return False
        if time < floor or time < self.start or time >= self.end:
            return False
        if newest is None:
            row.weight += SLOT_SIZE
        slots[self.slot] = time
        due = time + self.oldest + 1
        if due < row.due:
            row.due = due
        return True

    def holds(self, row: Row, at: int) -> bool:
        newest: int | None = row.slots.get(self.slot)
        return newest is not None and newest >= at - self.oldest

    def next_due(self, row: Row, after: int) -> int:
        newest: int | None = row.slots.get(self.slot)
        if newest is None:
            return FOREVER
        left = newest + self.oldest + 1
        return left if after < left < FOREVER else FOREVER

    def prune(self, row: Row, at: int) -> None:
        if row.slots[self.slot] < at - self.oldest:
            del row.slots[self.slot]


class NewestTimes(_EventCount):
    """A number of events up to now, from `minimum` to `maximum`. State: the newest times,
    ascending.
    """

    __slots__ = ("keep", "maximum", "minimum")

    def __init__(
        self, slot: str, workspace: str, window: Window, minimum: int, maximum: int | None
    ) -> None:
        super().__init__(slot, workspace, window)
        self.minimum = minimum
        self.maximum = maximum if maximum is not None else FOREVER
        self.keep = minimum if maximum is None else maximum + 1

    def record(self, row: Row, time: int, at: int) -> bool:
        floor = at - self.oldest
        if time < floor or time < self.start or time >= self.end:
            return False
        times: list[int] | None = row.slots.get(self.slot)
        if times is None:
            row.slots[self.slot] = [time]
            row.weight += SLOT_SIZE
            return self._has_grown(row, 0, at)
        if times[0] < floor:
            del times[: bisect_left(times, floor)]
        before = len(times)
        if before == self.keep:
            # As many as decide anything, and as many after: the verdict stays, the due instant can
            # only be later.
            if time > times[0]:
                del times[0]
                insort(times, time)
            return False
        insort(times, time)
        row.weight += TIME_SIZE
        return self._has_grown(row, before, at)

    def _has_grown(self, row: Row, before: int, at: int) -> bool:
        """Whether one more than `before` flips it; else the row's due instant is at most early."""
        if (self.minimum <= before <= self.maximum) == (self.minimum <= before + 1 <= self.maximum):
            return False
        due = self.next_due(row, at)
        if due < row.due:
            row.due = due
        return True

    def holds(self, row: Row, at: int) -> bool:
        times: list[int] | None = row.slots.get(self.slot)
        count = len(times) - bisect_left(times, at - self.oldest) if times else 0
        return self.minimum <= count <= self.maximum

    def next_due(self, row: Row, after: int) -> int:
        times: list[int] | None = row.slots.get(self.slot)
        if not times or self.oldest == FOREVER:
            return FOREVER
        first = bisect_left(times, after - self.oldest)
        count = len(times) - first
        if count > self.maximum:
            leaves = first + count - self.maximum - 1
        elif 0 < self.minimum <= count:
            leaves = first + count - self.minimum
        else:
            return FOREVER
        return times[leaves] + self.oldest + 1

    def prune(self, row: Row, at: int) -> None:
        times: list[int] = row.slots[self.slot]
        del times[: bisect_left(times, at - self.oldest)]
        if not times:
            del row.slots[self.slot]


class TimesAgo(_EventCount):
    """A number of events in a window that ended some time ago. State: every time that is or will be
    in it, ascending.
    """

    __slots__ = ("maximum", "minimum", "newest")

    def __init__(
        self, slot: str, workspace: str, window: Window, minimum: int, maximum: int | None
    ) -> None:
        super().__init__(slot, workspace, window)
        self.newest = window.newest or 0
        self.minimum = minimum
        self.maximum = maximum if maximum is not None else FOREVER

    def record(self, row: Row, time: int, at: int) -> bool:
        floor = at - self.oldest
        if time < floor or time < self.start or time >= self.end:
            return False
        times: list[int] | None = row.slots.get(self.slot)
        if times is None:
            times = row.slots[self.slot] = []
            row.weight += SLOT_SIZE
        else:
            row.weight += TIME_SIZE
            del times[: bisect_left(times, floor)]
        insort(times, time)
        entry = time + self.newest
        due = entry if entry > at else time + self.oldest + 1
        if due < row.due:
            row.due = due
        if entry > at:
            return False
        count = bisect_right(times, at - self.newest)
        return (self.minimum <= count - 1 <= self.maximum) != (
            self.minimum <= count <= self.maximum
        )

    def holds(self, row: Row, at: int) -> bool:
        times: list[int] | None = row.slots.get(self.slot)
        count = (
            bisect_right(times, at - self.newest) - bisect_left(times, at - self.oldest)
            if times
            else 0
        )
        return self.minimum <= count <= self.maximum

    def next_due(self, row: Row, after: int) -> int:
        times: list[int] | None = row.slots.get(self.slot)
        if not times:
            return FOREVER
        due = FOREVER
        entering = bisect_right(times, after - self.newest)
        if entering < len(times):
            due = times[entering] + self.newest
        leaving = bisect_left(times, after - self.oldest)
        if leaving < len(times):
            due = min(due, times[leaving] + self.oldest + 1)
        return due

    def prune(self, row: Row, at: int) -> None:
        times: list[int] = row.slots[self.slot]
        del times[: bisect_left(times, at - self.oldest)]
        if not times:
            del row.slots[self.slot]


def event_count(
    slot: str, workspace: str, window: Window, minimum: int, maximum: int | None
) -> AtLeastOnce | NewestTimes | TimesAgo:
    """The cheapest exact way to count for these bounds."""
    if window.newest:
        return TimesAgo(slot, workspace, window, minimum, maximum)
    if minimum == 1 and maximum is None:
        return AtLeastOnce(slot, workspace, window)
    return NewestTimes(slot, workspace, window, minimum, maximum)
