"""Events in an order: some chain of times t1 < t2 < ... < tk, a step's event at each, the last at
most `within` after the first, all of them in the window.

The times of each step are kept, equal ones once: more events of one step at one instant add no
chain. Times that are strictly later than each other make an event count for one step only, however
many it matches.

What can be dropped. Let C be a chain of one workspace that lies in the window at the clock, and s
its start. As long as s is in the window, C is, because its other times are later than s and the
clock only moves forward; so the sequence holds, and no other chain matters. Once s has left the
window, so has every time up to s. So no time up to s is ever needed again, only s itself: the
newest such start is kept, and of the steps only times later than it. A late event up to s changes
nothing for the same reason.

Every new chain goes through the event that has just come. The newest start of those through a time
at step i is found by going back from it, step by step, to the latest earlier time; their earliest
end by going forward to the earliest later time. The two do not depend on each other, so some chain
through it is short enough exactly when that one is, and it also lasts longest.

A chain over several workspaces, or one that has not entered a `between`-ago window yet, is no such
C; those are looked for when asked, through each time of the step that has the fewest.

Source: docs/definitions.md, sequence; docs/semantics.md, windows of event criteria.
"""

from __future__ import annotations

from typing import Any

from cdp_stream.core.calculations.log import Log, writable
from cdp_stream.core.criteria.where import compile_where
from cdp_stream.core.model.criterion import Reach, SequenceCriterion
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.meaning import slot_of
from cdp_stream.core.model.row import FOREVER, NEVER, SLOT_SIZE, TIME_SIZE, Row

_TIMES = Log(0)
_STEP_SIZE = 8

Times = bytes | bytearray
"""The different times of one step's events, packed, ascending."""


class Sequence:
    """The criterion, over the events of its workspaces together."""

    __slots__ = ("_is_incremental", "_within_ms", "audiences", "memories")

    def __init__(self, criterion: SequenceCriterion, identity: str) -> None:
        self.audiences: tuple[int, ...] = ()
        self._within_ms = criterion.within_ms
        self.memories = tuple(
            SequenceMemory(self, criterion, reach, slot_of(identity, reach.workspace))
            for reach in criterion.reaches
        )
        self._is_incremental = len(self.memories) == 1 and not self.memories[0].newest

    def holds(self, row: Row, at: int) -> bool:
        if any(memory.start(row, at) is not None for memory in self.memories):
            return True
        return not self._is_incremental and self._is_chained(row, at)

    def next_due(self, row: Row, after: int) -> int:
        lasting = [
            min(FOREVER, start + memory.oldest + 1)
            for memory in self.memories
            if (start := memory.start(row, after)) is not None
        ]
        if lasting:
            return max(lasting)
        if self._is_incremental:
            return FOREVER
        if self._is_chained(row, after):
            return min(memory.next_leaving(row, after) for memory in self.memories)
        # A chain comes about by itself only when its last event enters the window.
        return min(memory.next_ending(row, after) for memory in self.memories)

    def _is_chained(self, row: Row, at: int) -> bool:
        """Whether there is a chain of the times that are kept and in the window."""
        found = [steps for memory in self.memories if (steps := memory.in_window(row, at))]
        if not found:
            return False
        merged = (
            found[0] if len(found) == 1 else [_merged(step) for step in zip(*found, strict=True)]
        )
        return newest_start(merged, self._within_ms) is not None


class SequenceMemory:
    """What is kept of the events of one workspace.

    State: `[start, *times]`: the newest start of a chain that has entered the window, NEVER for
    none, and the times of each step that are later.

    Attributes:
        reads: the events that it reads.
        oldest: the greatest age in the window, ms; FOREVER for any.
        newest: the least age in the window, ms.
    """

    __slots__ = (
        "_bounds", "_leaf", "_steps", "_within_ms", "newest", "oldest", "reads", "slot",
        "workspace",
    )  # fmt: skip

    def __init__(
        self, leaf: Sequence, criterion: SequenceCriterion, reach: Reach, slot: str
    ) -> None:
        window = reach.window
        self.slot = slot
        self.workspace = reach.workspace
        self.oldest = FOREVER if window.oldest is None else window.oldest
        self.newest = window.newest or 0
        self._bounds = (
            -FOREVER if window.start is None else window.start,
            FOREVER if window.end is None else window.end,
        )
        self._leaf = leaf
        self._within_ms = criterion.within_ms
        self._steps = tuple((step.subject, compile_where(step.where)) for step in criterion.steps)
        subjects = dict.fromkeys(step.subject for step in criterion.steps)
        self.reads = tuple(
            (read, subject)
            for subject in subjects
            for read in criterion.reaches_of(subject)
            if read.workspace == reach.workspace
        )

    @property
    def leaves(self) -> tuple[Sequence, ...]:
        """The criterion."""
        return (self._leaf,)

    def need(self, event: Event, batch: Batch) -> int:
        return self._new_size + _TIMES.width * len(self._steps)

    def record(self, row: Row, event: Event, batch: Batch, at: int) -> None:
        time = event.occurred_at
        if time < at - self.oldest or not self._bounds[0] <= time < self._bounds[1]:
            return
        state = row.slots.get(self.slot)
        if state is not None and state[0] != NEVER and (time <= state[0] or self.oldest == FOREVER):
            return
        matched = self._matched(event, batch)
        if not matched:
            return
        if state is None:
            state = row.slots[self.slot] = [NEVER, *(bytearray() for _ in self._steps)]
            row.weight += self._new_size
        else:
            _drop(state, at - self.oldest)
        for step in matched:
            row.weight += _insert(state, step + 1, time)
        if self.newest:
            self._take_entered(state, at)
        else:
            self._take_new(state, matched, time)

    def prune(self, row: Row, at: int) -> None:
        state = row.slots[self.slot]
        floor = at - self.oldest
        _drop(state, floor)
        if self.newest:
            self._take_entered(state, at)
        if state[0] < max(0, floor) and not any(state[1:]):
            del row.slots[self.slot]

    def start(self, row: Row, at: int) -> int | None:
        """The newest start of a chain that has entered the window, while it is in it."""
        state = row.slots.get(self.slot)
        return None if state is None or state[0] < max(0, at - self.oldest) else state[0]

    def in_window(self, row: Row, at: int) -> list[Times]:
        """The times of each step that are kept and in the window; empty without state."""
        state = row.slots.get(self.slot)
        return [] if state is None else self._in_window(state, at)

    def next_leaving(self, row: Row, after: int) -> int:
        """The first instant later than `after` at which a time leaves the window."""
        state = row.slots.get(self.slot) or [NEVER]
        times = [_TIMES.time_from(step, after - self.oldest) for step in state[1:]]
        first = min((time for time in times if time is not None), default=FOREVER)
        return min(FOREVER, first + self.oldest + 1)

    def next_ending(self, row: Row, after: int) -> int:
        """The first instant later than `after` at which a time of the last step enters."""
        state = row.slots.get(self.slot)
        if state is None or not self.newest:
            return FOREVER
        first = _TIMES.time_from(state[-1], after - self.newest + 1)
        return FOREVER if first is None else first + self.newest

    @property
    def _new_size(self) -> int:
        return SLOT_SIZE + TIME_SIZE + _STEP_SIZE * (1 + len(self._steps))

    def _matched(self, event: Event, batch: Batch) -> list[int]:
        """The steps that an event is one of."""
        kind, name, custom = event.kind, event.name.casefold(), event.custom_event_type.casefold()
        return [
            step
            for step, (subject, where) in enumerate(self._steps)
            if subject.covers(kind, name, custom) and (where is None or where(event, batch))
        ]

    def _in_window(self, state: list[Any], at: int) -> list[Times]:
        floor, end = at - self.oldest, at - self.newest + 1
        return [step[_TIMES.start(step, floor) : _TIMES.start(step, end)] for step in state[1:]]

    def _take_new(self, state: list[Any], matched: list[int], time: int) -> None:
        """Keep the start of a chain through the time that came, not the times up to it."""
        starts = [_start_through(state[1:], step, time, self._within_ms) for step in matched]
        newest = max((start for start in starts if start is not None), default=None)
        if newest is not None:
            self._take(state, newest)

    def _take_entered(self, state: list[Any], at: int) -> None:
        """The same of the newest chain that has entered the window."""
        newest = newest_start(self._in_window(state, at), self._within_ms)
        if newest is not None:
            self._take(state, newest)

    def _take(self, state: list[Any], start: int) -> None:
        state[0] = start
        # A window without an oldest time holds its first chain for ever.
        _drop(state, FOREVER if self.oldest == FOREVER else start + 1)


def newest_start(steps: list[Times], within_ms: int) -> int | None:
    """The newest start of a chain of times, one of each step; None when there is no chain."""
    rarest = min(range(len(steps)), key=lambda step: len(steps[step]))
    times = steps[rarest]
    # A later time at a step has no earlier start, so the first chain found is the newest.
    for offset in range(len(times) - _TIMES.width, -1, -_TIMES.width):
        start = _start_through(steps, rarest, _TIMES.time(times, offset), within_ms)
        if start is not None:
            return start
    return None


def _start_through(steps: list[Times], step: int, time: int, within_ms: int) -> int | None:
    """The newest start of a chain that has this time at this step."""
    start = end = time
    for times in reversed(steps[:step]):
        offset = _TIMES.start(times, start) - _TIMES.width
        if offset < 0:
            return None
        start = _TIMES.time(times, offset)
    for times in steps[step + 1 :]:
        following = _TIMES.time_from(times, end + 1)
        if following is None:
            return None
        end = following
    return start if end - start <= within_ms else None


def _merged(steps: tuple[Times, ...]) -> Times:
    width = _TIMES.width
    times = {
        bytes(step[offset : offset + width])
        for step in steps
        for offset in range(0, len(step), width)
    }
    return b"".join(sorted(times))


def _insert(state: list[Any], place: int, time: int) -> int:
    """Enter a time unless it exists; return the bytes that it needs."""
    times = state[place] = writable(state[place])
    if _TIMES.time_from(times, time) == time:
        return 0
    _TIMES.insert(times, time)
    return _TIMES.width


def _drop(state: list[Any], before: int) -> None:
    for place in range(1, len(state)):
        end = _TIMES.start(state[place], before)
        if end:
            times = state[place] = writable(state[place])
            del times[:end]
