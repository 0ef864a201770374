"""Reads `when` of an event criterion and the date tests on values; both come to a `Window`.

Equal meaning gives equal windows, so that criteria which differ in spelling only share their state.

Source: docs/definitions.md, windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cdp_stream.core.model.windows import DAY_MS, Window
from cdp_stream.definitions.criteria.counts import BOUNDS
from cdp_stream.definitions.source.durations import (
    DATE_ADVICE,
    DURATION_ADVICE,
    UNITS_MS,
    day_start,
    duration_ms,
    looks_like_date,
)
from cdp_stream.definitions.source.nodes import Mapping, Node, Scalar, Sequence, describe, shown
from cdp_stream.definitions.source.problems import Problems

DATE_OPERATORS: Final = ("last", "between", "before", "after", "on")
ANY_TIME: Final = "any_time"
DEFAULT_WINDOW_MS: Final = 30 * DAY_MS

_ADVICE: Final = (
    "write `{last: 3d}`, `{between: [6d, 4d]}`, `{before: 2018-09-09}`, `{after: ...}`, "
    "`{on: ...}` or `any_time`"
)
_DATE_TEST_ADVICE: Final = (
    "write `{last: 7d}`, `{between: [6d, 4d]}`, `{before: 2018-09-09}`, `{after: ...}` or "
    "`{on: ...}`"
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


DEFAULT_WINDOW: Final = Window(oldest=DEFAULT_WINDOW_MS, newest=0)
"""The window of an event criterion that names none: the last 30 days."""
ALL_TIME: Final = Window(newest=0)
"""The window that only the lookback cuts."""


def read_when(
    node: Node, path: str, lookbacks_ms: tuple[int | None, ...], problems: Problems
) -> Window | None:
    """The window of an event criterion, not cut yet; None when it is wrong.

    It is wrong too when every lookback (None: unlimited) that will cut it leaves nothing of it.
    """
    if isinstance(node, Scalar) and node.value == ANY_TIME:
        return ALL_TIME
    form = _read_form(node, path, (*DATE_OPERATORS, ANY_TIME), problems)
    if form is None:
        return None
    operator, value, at = form
    bounds = read_bounds(operator, value, at, problems)
    if bounds is None:
        return None
    if isinstance(bounds, Days):
        return Window(start=bounds.start, end=bounds.end, newest=0)
    limits = [lookback for lookback in lookbacks_ms if lookback is not None]
    if limits and len(limits) == len(lookbacks_ms) and bounds.newer_ms > max(limits):
        message = "the newer bound is before the lookback, so no event can ever count"
        advice = f"the lookback is {length_text(max(limits))}"
        problems.error("bad-window", value.mark, at, message, advice)
        return None
    return Window(oldest=bounds.older_ms, newest=bounds.newer_ms)


def read_seen(node: Node, path: str, problems: Problems) -> Window | None:
    """The window of `first_seen` or `last_seen`, a date test; None when it is wrong."""
    form = _read_form(node, path, DATE_OPERATORS, problems)
    return None if form is None else read_date_test(*form, problems)


def _read_form(
    node: Node, path: str, forms: tuple[str, ...], problems: Problems
) -> tuple[str, Node, str] | None:
    """The one date operator of a mapping, its value, and its path."""
    advice = _ADVICE if ANY_TIME in forms else _DATE_TEST_ADVICE
    if not isinstance(node, Mapping):
        problems.error(
            "bad-window", node.mark, path, f"{describe(node)} is not a valid window", advice
        )
        return None
    known = [key for key in node.entries if key in DATE_OPERATORS]
    for key, entry in node.entries.items():
        if key in known:
            continue
        near = f"write `when: {ANY_TIME}`" if key == ANY_TIME and key in forms else None
        better = near or problems.word_for(key, forms) or advice
        at = f"{path}.{shown(key)}"
        problems.error("bad-window", entry.key.mark, at, f"no window is `{shown(key)}`", better)
    if len(known) > 1:
        several = ", ".join(f"`{key}`" for key in known)
        message = f"a window is one of these, not both: {several}"
        better = "`between` needs two bounds"
        problems.error("bad-window", node.mark_of(known[1]), path, message, better)
    elif not node.entries:
        problems.error("bad-window", node.mark, path, "the window is empty", advice)
    if len(known) != 1:
        return None
    return known[0], node.entries[known[0]].value, f"{path}.{known[0]}"


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
    day = read_day(node, path, problems)
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
            "bad-window", node.mark, path, f"`between` needs two bounds, found {found}", advice
        )
        return None
    first, second = node.items
    if _is_date(first) != _is_date(second):
        message = "one bound is a date, the other is not"
        problems.error("bad-window", node.mark, path, message, "write two durations or two dates")
        return None
    if _is_date(first):
        from_day = read_day(first, f"{path}[0]", problems)
        to_day = read_day(second, f"{path}[1]", problems)
        if from_day is None or to_day is None:
            return None
        if from_day > to_day:
            message, advice = "the dates are reversed", "the earlier day comes first"
            problems.error("bad-window", node.mark, path, message, advice)
            return None
        return Days(from_day, to_day + DAY_MS)
    older = read_duration(first, f"{path}[0]", problems, may_be_zero=True)
    newer = read_duration(second, f"{path}[1]", problems, may_be_zero=True)
    if older is None or newer is None:
        return None
    if older <= newer:
        message = f"the bounds are {'equal' if older == newer else 'reversed'}"
        advice = "the older comes first, as `[6d, 4d]`"
        problems.error("bad-window", node.mark, path, message, advice)
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
            "bad-duration",
            node.mark,
            path,
            f"{describe(node)} is not a valid duration",
            DURATION_ADVICE,
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


def read_day(node: Node, path: str, problems: Problems) -> int | None:
    """Midnight UTC, epoch ms, of a date; None when it is none."""
    text = node.value if isinstance(node, Scalar) else None
    day = day_start(text) if isinstance(text, str) else None
    if day is None:
        problems.error(
            "bad-date", node.mark, path, f"{describe(node)} is not a valid date", DATE_ADVICE
        )
    return day


def length_text(length_ms: int) -> str:
    """A duration as it would be written, in the greatest unit up to days that is exact."""
    unit = next(unit for unit in ("d", "h", "m", "s", "ms") if length_ms % UNITS_MS[unit] == 0)
    return f"{length_ms // UNITS_MS[unit]}{unit}"
