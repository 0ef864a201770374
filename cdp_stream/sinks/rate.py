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
        if self._step:
            now = self._now()
            at = max(self._next, now - _BURST_S)
            self._next = at + self._step
            if at > now:
                await self._sleep(at - now)
        while (wait := self._not_before - self._now()) > 0:
            await self._sleep(wait)


_BURST_S = 0.1
