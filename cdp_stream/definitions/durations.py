"""Durations (`30d`) and dates (`2018-09-09`), as text of a definition file.

Source: docs/definitions.md, durations and dates.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from cdp_stream.core.operators import utc_instant
from cdp_stream.core.windows import DAY_MS

UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
UNLIMITED: Final = "unlimited"
MAX_DURATION_MS: Final = 3_652_059 * DAY_MS
"""Ten thousand years: as long as all instants an event may have."""

DURATION_ADVICE: Final = "write a whole number and one of `ms s m h d w`, as `30d`"
DATE_ADVICE: Final = "write a day that exists as `YYYY-MM-DD`"

_DURATION = re.compile(r"([0-9]{1,18})(ms|s|m|h|d|w)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def duration_ms(text: str) -> int | None:
    """The milliseconds that text like `30d` or `0d` means, None when it is no duration."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    length = int(match[1]) * UNITS_MS[match[2]]
    return length if length <= MAX_DURATION_MS else None


def day_start(text: str) -> int | None:
    """Midnight UTC, epoch ms, that begins the day `YYYY-MM-DD`; None when there is no such."""
    if not looks_like_date(text):
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return utc_instant(day.year, day.month, day.day)


def looks_like_date(text: str) -> bool:
    """Whether text has the form of a date, be there such a day or not."""
    return _DATE.fullmatch(text) is not None
