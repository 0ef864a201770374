"""How long to wait before a request is made again; pure.

Source: docs/memberships.md, delivery.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["LEAST_S", "LONGEST_ASKED_S", "MOST_S", "asked_s", "pause_s", "retry_after_s"]

LEAST_S: Final = 0.1
MOST_S: Final = 30.0
LONGEST_ASKED_S: Final = 3600.0
"""The longest wait that a partner may ask for, however it does: who means longer says so again."""
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
    """The wait that a partner's number asks for, within what it may; None where it is no number."""
    return None if math.isnan(seconds) else min(max(0.0, seconds), LONGEST_ASKED_S)
