"""How long to wait before a request is made again; pure.

Source: docs/memberships.md, delivery.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["LEAST_S", "MOST_S", "pause_s", "retry_after_s"]

LEAST_S: Final = 0.1
MOST_S: Final = 30.0
_LONGEST_ASKED_S: Final = 3600.0
_LAST_DOUBLING: Final = 9


def pause_s(attempt: int, draw: Callable[[float, float], float]) -> float:
    """Seconds before the next attempt: exponential backoff, with full jitter above the least.

    Args:
        attempt: how many have failed, from 1.
        draw: a number between two, such as `random.uniform`.
    """
    longest = min(MOST_S, LEAST_S * 2 ** min(attempt, _LAST_DOUBLING))
    return draw(LEAST_S, longest)


def retry_after_s(header: str | None, now_ms: int) -> float | None:
    """What a `Retry-After` asks for, in seconds from now; None where it asks for nothing readable.

    Source: RFC 9110, 10.2.3: seconds, or an HTTP date. More than an hour is taken as an hour: who
    means longer says so again.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_ASKED_S)
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return min(max(0.0, at.timestamp() - now_ms / 1000), _LONGEST_ASKED_S)
