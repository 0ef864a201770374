"""At most so many requests in so much time, for one output of one worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["Pace"]


class Pace:
    """Gives requests their turns.

    They are spread evenly, but for a tenth of a second's worth that may go at once.

    Args:
        per_second: the most requests; None is no limit.
        now: a steady clock, seconds.
        sleep: waits.
    """

    def __init__(
        self,
        per_second: float | None,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._step = 0.0 if per_second is None else 1 / per_second
        self._now = now
        self._sleep = sleep
        self._next = 0.0
        self._not_before = 0.0

    def hold(self, seconds: float) -> None:
        """Let nothing go for so long: the partner has asked us to wait."""
        self._not_before = max(self._not_before, self._now() + seconds)

    @property
    def is_free(self) -> bool:
        """Whether a request may go without taking a turn."""
        return not self._step and self._not_before <= self._now()

    async def turn(self) -> None:
        """Return when a request may go."""
        while True:
            now = self._now()
            at = self._not_before
            if self._step:
                at = max(at, self._next, now - _BURST_S)
                self._next = at + self._step
            if at > now:
                await self._sleep(at - now)
            if at >= self._not_before:
                return
            # Held meanwhile. Whoever is must not go together with all the others as it ends.


_BURST_S = 0.1
