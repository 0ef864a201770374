"""Durations (`30d`) and dates (`2018-09-09`), as text of a definition file.

Source: docs/definitions.md, durations and dates.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from cdp_stream.core.model.durations import MAX_DURATION_MS, UNITS_MS, duration_ms
from cdp_stream.core.model.operators import utc_instant

__all__ = [
    "DATE_ADVICE", "DURATION_ADVICE", "MAX_DURATION_MS", "UNITS_MS", "UNLIMITED", "day_start",
    "duration_ms", "looks_like_date",
]  # fmt: skip

UNLIMITED: Final = "unlimited"

DURATION_PATTERN: Final = f"[0-9]{{1,18}}({'|'.join(UNITS_MS)})"
"""What durations look like; those that are too long look so too."""
DURATION_ADVICE: Final = "write a whole number and one of `ms s m h d w`, as `30d`"
DATE_ADVICE: Final = "write a day that exists as `YYYY-MM-DD`"

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


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
