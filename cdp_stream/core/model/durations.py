"""Durations as text: a whole number and a unit, as `30d`.

Source: docs/definitions.md, durations and dates.
"""

from __future__ import annotations

import re
from typing import Final

from cdp_stream.core.model.windows import DAY_MS

UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
MAX_DURATION_MS: Final = 3_652_059 * DAY_MS
"""Ten thousand years: as long as all instants an event may have."""

_DURATION = re.compile(r"([0-9]{1,18})(ms|s|m|h|d|w)")


def duration_ms(text: str) -> int | None:
    """The milliseconds that text like `30d` or `0d` means, None when it is not a valid duration."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    length = int(match[1]) * UNITS_MS[match[2]]
    return length if length <= MAX_DURATION_MS else None
