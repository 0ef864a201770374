"""Bounds on a time, as our windows.

Days are 24 hours. `greater_than` and `greater_than_equal` of an instant differ by a millisecond,
which makes no difference.

Source: docs/importing.md, time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from cdp_stream.core.model.operators import instant_of
from cdp_stream.core.model.windows import DAY_MS
from cdp_stream.imports import audience_sdk as sdk
from cdp_stream.imports.inexpressible import InexpressibleError

ANCIENT: Final = "36500d"
""""At any earlier time" beside a newer bound."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNITS: Final = (("d", DAY_MS), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
_LOWER: Final = ("greater_than", "greater_than_equal")
_ABOUT: Final = ("month", "quarter", "year")


@dataclass(frozen=True, slots=True)
class Bounds:
    """When something happened: ago in ms, or days; None where there is no such bound.

    Attributes:
        oldest_ago, newest_ago: ms before the present, both included.
        first, last: the first and last day, as dates, both included.
    """

    oldest_ago: int | None = None
    newest_ago: int | None = None
    first: date | None = None
    last: date | None = None

    def __and__(self, other: Bounds) -> Bounds:
        """Both: the narrower of each."""
        return Bounds(
            _narrower(min, self.oldest_ago, other.oldest_ago),
            _narrower(max, self.newest_ago, other.newest_ago),
            _narrower(max, self.first, other.first),
            _narrower(min, self.last, other.last),
        )

    def window(self) -> dict[str, Any] | None:
        """The window of ours; None where every time counts.

        Raises:
            InexpressibleError: no window of ours has such bounds.
        """
        ago = self.oldest_ago is not None or self.newest_ago is not None
        if ago and (self.first is not None or self.last is not None):
            raise InexpressibleError("a window between a date and a time ago")
        if ago:
            return self._ago()
        if self.first is not None and self.last is not None:
            return self._days(self.first, self.last)
        if self.first is not None:
            return {"after": self.first.isoformat()}
        if self.last is not None:
            return {"before": (self.last + timedelta(days=1)).isoformat()}
        return None

    def _ago(self) -> dict[str, Any]:
        if self.newest_ago is None:
            assert self.oldest_ago is not None
            if self.oldest_ago <= 0:
                raise InexpressibleError("a time in the future")
            return {"last": duration(self.oldest_ago)}
        oldest = ANCIENT if self.oldest_ago is None else duration(self.oldest_ago)
        if self.newest_ago < 0 or (
            self.oldest_ago is not None and self.oldest_ago <= self.newest_ago
        ):
            raise InexpressibleError("a window that can contain nothing, or of the future")
        return {"between": [oldest, duration(self.newest_ago)]}

    @staticmethod
    def _days(first: date, last: date) -> dict[str, Any]:
        if first > last:
            raise InexpressibleError("a window that can contain nothing")
        if first == last:
            return {"on": first.isoformat()}
        return {"between": [first.isoformat(), last.isoformat()]}


def bounds_of(operator: str, when: sdk.AbsoluteDate | sdk.RelativeDate) -> Bounds:
    """The bounds that one comparison of a time sets.

    Raises:
        InexpressibleError: our windows have no such bound.
    """
    if isinstance(when, sdk.AbsoluteDate):
        return _absolute(operator, when.text)
    if when.boundary is not None:
        raise InexpressibleError(f"the {when.boundary} of a calendar {when.unit}")
    if when.relative_to is not None:
        raise InexpressibleError("a time relative to another event")
    ago = -when.offset * sdk.UNITS_MS[when.unit]
    if ago != int(ago):
        raise InexpressibleError("a fraction of a millisecond")
    if operator in _LOWER:
        return Bounds(oldest_ago=int(ago))
    if operator in {"less_than", "less_than_equal"}:
        # "Up to now" holds of everything that has happened.
        return Bounds() if ago == 0 else Bounds(newest_ago=int(ago))
    raise InexpressibleError(f"`{operator}` of a moment that moves")


def about(when: sdk.AbsoluteDate | sdk.RelativeDate) -> str | None:
    """How a calendar unit was counted, None for one that is exact."""
    if isinstance(when, sdk.RelativeDate) and when.unit in _ABOUT:
        days = sdk.UNITS_MS[when.unit] // DAY_MS
        return f"a {when.unit} is {days} days of 24 hours here"
    return None


def duration(milliseconds: int) -> str:
    """A duration in its greatest whole unit up to days."""
    return next(
        f"{milliseconds // length}{unit}" for unit, length in _UNITS if milliseconds % length == 0
    )


def _absolute(operator: str, text: str) -> Bounds:
    """A bound at a date. A date with no time is a whole day; an instant must be a midnight."""
    instant = instant_of(text)
    if instant is None:
        raise InexpressibleError(f"`{text}`, which is not a date")
    if instant % DAY_MS:
        raise InexpressibleError(f"`{text}`, an instant within a day: windows have whole days")
    day = date(1970, 1, 1) + timedelta(days=instant // DAY_MS)
    whole = _DAY.fullmatch(text) is not None
    one = timedelta(days=1)
    if operator == "equals":
        return Bounds(first=day, last=day)
    if operator in _LOWER:
        return Bounds(first=day + one if whole and operator == "greater_than" else day)
    if operator in {"less_than", "less_than_equal"}:
        return Bounds(last=day if whole and operator == "less_than_equal" else day - one)
    raise InexpressibleError(f"`{operator}` of a date")


def _narrower(choose: Any, one: Any, other: Any) -> Any:  # noqa: ANN401 - of any one kind
    present = [bound for bound in (one, other) if bound is not None]
    return choose(present) if present else None
