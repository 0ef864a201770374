"""When a request may be sent: at most so many in so much time, and how long after one that failed.

Source: docs/memberships.md, delivery.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["LEAST_S", "LONGEST_ASKED_S", "MOST_S", "Pace", "asked_s", "pause_s", "retry_after_s"]

LEAST_S: Final = 0.1
MOST_S: Final = 30.0
LONGEST_ASKED_S: Final = 3600.0
"""The longest wait that a partner may ask for, in whatever form; it may ask again."""
_LAST_DOUBLING: Final = 9
_BURST_S: Final = 0.1


class Pace:
    """Limits the rate of the requests that one worker sends for one output.

    Requests are spread evenly; those of a tenth of a second may be sent at once.

    Args:
        per_second: The most requests; None is no limit.
        now: A steady clock, seconds.
        sleep: Waits for seconds.
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
        """Send nothing for so long, as the partner requested."""
        self._not_before = max(self._not_before, self._now() + seconds)

    @property
    def is_free(self) -> bool:
        """Whether there is neither a limit nor a wait: `turn` would return at once."""
        return not self._step and self._not_before <= self._now()

    async def turn(self) -> None:
        """Return when a request may be sent."""
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
            # Loop, so that requests held meanwhile are not all sent when the hold ends.


def pause_s(attempt: int, draw: Callable[[float, float], float]) -> float:
    """Seconds before the next attempt: exponential backoff, with full jitter above the least.

    Args:
        attempt: How many have failed, from 1.
        draw: A number between two, such as `random.uniform`.
    """
    longest = min(MOST_S, LEAST_S * 2 ** min(attempt, _LAST_DOUBLING))
    return draw(LEAST_S, longest)


def retry_after_s(header: str | None, now_ms: int) -> float | None:
    """The wait that a `Retry-After` requests, in seconds from now; None where it cannot be read.

    Source: RFC 9110, 10.2.3: seconds, or an HTTP date.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return asked_s(float(text[:9]))
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return asked_s(at.timestamp() - now_ms / 1000)


def asked_s(seconds: float) -> float | None:
    """A partner's number of seconds to wait, capped; None where it is no number."""
    return None if math.isnan(seconds) else min(max(0.0, seconds), LONGEST_ASKED_S)
