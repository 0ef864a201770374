"""Which times count at an instant, and when that next changes by itself.

A window is four numbers: absolute bounds and bounds on the age. Every `when` of an event criterion,
every date test on a value, and the lookback itself are such a window, so there is one place in
which an edge can be right or wrong.

Invariant: `next_change(e, after)` is later than `after`, and `contains(e, t)` is constant on
[after, next_change).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Window:
    """The times e that count at the instant t: `start <= e < end` and `t - oldest <= e <= t -
    newest`.

    Attributes:
        start: the first instant that counts, epoch ms; None for no bound.
        end: the first instant that no longer counts, epoch ms; None for no bound.
        oldest: the greatest age that counts, ms, included; None for no bound.
        newest: the smallest age that counts, ms, included; None when the time may even lie after t
            (a date value compared with a calendar day). Times of events never do.

    Source: docs/semantics.md, windows of event criteria.
    """

    start: int | None = None
    end: int | None = None
    oldest: int | None = None
    newest: int | None = None

    def contains(self, time: int, at: int) -> bool:
        """Whether `time` counts at the instant `at`."""
        if self.start is not None and time < self.start:
            return False
        if self.end is not None and time >= self.end:
            return False
        if self.oldest is not None and time < at - self.oldest:
            return False
        return self.newest is None or time <= at - self.newest

    def next_change(self, time: int, after: int) -> int | None:
        """The first instant later than `after` at which `contains(time, ...)` changes, None if it
        never will.
        """
        if self.start is not None and time < self.start:
            return None
        if self.end is not None and time >= self.end:
            return None
        if self.newest is not None:
            entered = time + self.newest
            if entered > after:
                # A window whose ages are reversed holds nothing; definitions refuse it.
                return entered
        if self.oldest is not None:
            left = time + self.oldest + 1
            if left > after:
                return left
        return None

    def cut_to(self, lookback_ms: int | None) -> Window:
        """This window, reaching back no further than the lookback (None: unlimited)."""
        if lookback_ms is None or (self.oldest is not None and self.oldest <= lookback_ms):
            return self
        return replace(self, oldest=lookback_ms)
