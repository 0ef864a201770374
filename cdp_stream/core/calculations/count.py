"""`count`: how many values, or events, there were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cdp_stream.core.calculations.fold import NeverForgets, OfAnyValue
from cdp_stream.core.calculations.log import Log, writable

_TIMES = Log(0)


class CountEver(OfAnyValue, NeverForgets):
    """All that ever were. State: their number."""

    __slots__ = ()

    def need(self, _items: Sequence[Any]) -> int:
        return 0

    def add(self, state: Any, _time: int, items: Sequence[Any], _floor: int) -> tuple[Any, int]:
        return (state or 0) + len(items), 0

    def value(self, state: Any, _floor: int) -> int:
        return state or 0


class CountWithin(OfAnyValue):
    """Those of a moving window. State: a log of their times."""

    __slots__ = ()

    def need(self, items: Sequence[Any]) -> int:
        return _TIMES.width * len(items)

    def add(self, state: Any, time: int, items: Sequence[Any], floor: int) -> tuple[Any, int]:
        times = writable(state or b"")
        before = len(times)
        del times[: _TIMES.start(times, floor)]
        for _ in items:
            _TIMES.insert(times, time)
        return times, max(0, len(times) - before)

    def value(self, state: Any, floor: int) -> int:
        if state is None:
            return 0
        return int(len(state) - _TIMES.start(state, floor)) // _TIMES.width

    def leaving(self, state: Any, floor: int) -> int | None:
        return _TIMES.time_from(state, floor)

    def pruned(self, state: Any, floor: int) -> Any:
        start = _TIMES.start(state, floor)
        if not start:
            return state
        times = writable(state)
        del times[:start]
        return times or None
