"""Reads `when` of an event criterion and the date tests on values; both come to a `Window`.

Equal meaning gives equal windows, so that criteria which differ in spelling only share their state.

Source: docs/definitions.md, windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cdp_stream.core.windows import DAY_MS, Window
from cdp_stream.definitions.counts import BOUNDS
from cdp_stream.definitions.durations import (
    DATE_ADVICE,
    DURATION_ADVICE,
    day_start,
    duration_ms,
    looks_like_date,
)
from cdp_stream.definitions.nodes import Mapping, Node, Scalar, Sequence, describe, shown
from cdp_stream.definitions.problems import Problems

DATE_OPERATORS: Final = ("last", "between", "before", "after", "on")
ANY_TIME: Final = "any_time"
DEFAULT_WINDOW_MS: Final = 30 * DAY_MS

_ADVICE: Final = (
    "write `{last: 3d}`, `{between: [6d, 4d]}`, `{before: 2018-09-09}`, `{after: ...}`, "
    "`{on: ...}` or `any_time`"
)


@dataclass(frozen=True, slots=True)
class Ago:
    """From so long ago to so long ago, ms, both included; the older age is the greater."""

    older_ms: int
    newer_ms: int


@dataclass(frozen=True, slots=True)
class Days:
    """Calendar days: epoch ms, the start included, the end not; None is no bound."""

    start: int | None
    end: int | None


def default_window(lookback_ms: int | None) -> Window:
    """The window of an event criterion that names none: the last 30 days."""
    return Window(oldest=DEFAULT_WINDOW_MS, newest=0).cut_to(lookback_ms)


def read_when(node: Node, path: str, lookback_ms: int | None, problems: Problems) -> Window | None:
    """The window of an event criterion, cut by the lookback; None when it is wrong."""
    if isinstance(node, Scalar) and node.value == ANY_TIME:
        return Window(newest=0).cut_to(lookback_ms)
    if not isinstance(node, Mapping):
        problems.error("bad-window", node.mark, path, f"{describe(node)} is no window", _ADVICE)
        return None
    known = []
    for key, entry in node.entries.items():
        if key in DATE_OPERATORS:
            known.append(key)
        else:
            near = f"write `when: {ANY_TIME}`" if key == ANY_TIME else None
            advice = near or problems.near(key, (*DATE_OPERATORS, ANY_TIME)) or _ADVICE
            problems.error(
                "bad-window",
                entry.key.mark,
                f"{path}.{shown(key)}",
                f"no window is `{shown(key)}`",
                advice,
            )
    if len(known) != 1:
        if len(known) > 1:
            message = (
                f"a window is one of these, not both: {', '.join(f'`{key}`' for key in known)}"
            )
            problems.error(
                "bad-window", node.mark_of(known[1]), path, message, "`between` takes two bounds"
            )
        elif not node.entries:
            problems.error("bad-window", node.mark, path, "the window is empty", _ADVICE)
        return None
    value = node.entries[known[0]].value
    bounds = read_bounds(known[0], value, f"{path}.{known[0]}", problems)
    if bounds is None:
        return None
    if isinstance(bounds, Days):
        return Window(start=bounds.start, end=bounds.end, newest=0).cut_to(lookback_ms)
    if lookback_ms is not None and bounds.newer_ms > lookback_ms:
        message = "the newer bound lies before the lookback, so no event can ever count"
        problems.error(
            "bad-window",
            value.mark,
            f"{path}.{known[0]}",
            message,
            f"the lookback is {_spoken(lookback_ms)}",
        )
        return None
    return Window(oldest=bounds.older_ms, newest=bounds.newer_ms).cut_to(lookback_ms)


def read_date_test(operator: str, node: Node, path: str, problems: Problems) -> Window | None:
    """The window that a date test on a value means; values are not cut by any lookback."""
    bounds = read_bounds(operator, node, path, problems)
    if bounds is None:
        return None
    if isinstance(bounds, Days):
        return Window(start=bounds.start, end=bounds.end)
    return Window(oldest=bounds.older_ms, newest=bounds.newer_ms)


def read_bounds(operator: str, node: Node, path: str, problems: Problems) -> Ago | Days | None:
    """The bounds that one of `DATE_OPERATORS` gives, None when they are wrong."""
    if operator == "between":
        return _between(node, path, problems)
    if operator == "last":
        length = read_duration(node, path, problems)
        return None if length is None else Ago(length, 0)
    day = _read_day(node, path, problems)
    if day is None:
        return None
    if operator == "before":
        return Days(None, day)
    return Days(day, None) if operator == "after" else Days(day, day + DAY_MS)


def _between(node: Node, path: str, problems: Problems) -> Ago | Days | None:
    if not isinstance(node, Sequence) or len(node.items) != BOUNDS:
        found = f"a list of {len(node.items)}" if isinstance(node, Sequence) else describe(node)
        advice = "write `[6d, 4d]` (ago, the older first) or two dates"
        problems.error(
            "bad-window", node.mark, path, f"`between` takes two bounds, found {found}", advice
        )
        return None
    first, second = node.items
    if _is_date(first) != _is_date(second):
        message = "one bound is a date, the other is not"
        problems.error("bad-window", node.mark, path, message, "write two durations or two dates")
        return None
    if _is_date(first):
        from_day = _read_day(first, f"{path}[0]", problems)
        to_day = _read_day(second, f"{path}[1]", problems)
        if from_day is None or to_day is None:
            return None
        if from_day > to_day:
            problems.error(
                "bad-window",
                node.mark,
                path,
                "the dates are reversed",
                "the earlier day comes first",
            )
            return None
        return Days(from_day, to_day + DAY_MS)
    older = read_duration(first, f"{path}[0]", problems, may_be_zero=True)
    newer = read_duration(second, f"{path}[1]", problems, may_be_zero=True)
    if older is None or newer is None:
        return None
    if older <= newer:
        fault = "equal" if older == newer else "reversed"
        problems.error(
            "bad-window",
            node.mark,
            path,
            f"the bounds are {fault}",
            "the older comes first, as `[6d, 4d]`",
        )
        return None
    return Ago(older, newer)


def _is_date(node: Node) -> bool:
    return isinstance(node, Scalar) and isinstance(node.value, str) and looks_like_date(node.value)


def read_duration(
    node: Node, path: str, problems: Problems, may_be_zero: bool = False
) -> int | None:
    """The milliseconds of a duration, None when it is none or zero where that may not be."""
    text = node.value if isinstance(node, Scalar) else None
    length = duration_ms(text) if isinstance(text, str) else None
    if length is None:
        problems.error(
            "bad-duration", node.mark, path, f"{describe(node)} is no duration", DURATION_ADVICE
        )
    elif length == 0 and not may_be_zero:
        problems.error(
            "bad-duration",
            node.mark,
            path,
            "the duration is zero",
            "a duration is above zero, as `30d`",
        )
        return None
    return length


def _read_day(node: Node, path: str, problems: Problems) -> int | None:
    text = node.value if isinstance(node, Scalar) else None
    day = day_start(text) if isinstance(text, str) else None
    if day is None:
        problems.error("bad-date", node.mark, path, f"{describe(node)} is no date", DATE_ADVICE)
    return day


def _spoken(length_ms: int) -> str:
    return f"{length_ms // DAY_MS}d" if length_ms % DAY_MS == 0 else f"{length_ms}ms"
