"""The first and the last value of a window, and their times; of values at the same instant the
earlier read is the first and the later read the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cdp_stream.core.calculations.fold import NeverForgets, OfAnyValue
from cdp_stream.core.calculations.log import Log, writable
from cdp_stream.core.calculations.scalar import (
    LABEL_SIZE,
    NAME_SIZE,
    key_size,
    label_of,
    name_of,
    value_of,
)
from cdp_stream.core.model.operators import MISSING

_NAMES = Log(NAME_SIZE)
_TIMES = Log(0)
_COUNT_SIZE = 9
_ENTRY_SIZE = LABEL_SIZE + 2 + 1 + _COUNT_SIZE


class LastValue(OfAnyValue):
    """The last value. State: `[time, key]`; what was before can never be the last again."""

    __slots__ = ()

    def need(self, items: Sequence[str]) -> int:
        return key_size(items[-1])

    def add(self, state: Any, time: int, items: Sequence[str], _floor: int) -> tuple[Any, int]:
        key = items[-1]
        if state is None:
            return [time, key], key_size(key)
        if time < state[0]:
            return state, 0
        grew = key_size(key) - key_size(state[1])
        return [time, key], max(0, grew)

    def value(self, state: Any, floor: int) -> Any:
        return MISSING if state is None or state[0] < floor else value_of(state[1])

    def leaving(self, state: Any, floor: int) -> int | None:
        time: int = state[0]
        return time if time >= floor else None

    def pruned(self, state: Any, floor: int) -> Any:
        return state if state[0] >= floor else None


class LastTime(OfAnyValue):
    """The time of the last value. State: that time."""

    __slots__ = ()

    def need(self, _items: Sequence[Any]) -> int:
        return 0

    def add(self, state: Any, time: int, _items: Sequence[Any], _floor: int) -> tuple[Any, int]:
        return time if state is None else max(time, state), 0

    def value(self, state: Any, floor: int) -> Any:
        return MISSING if state is None or state < floor else state

    def leaving(self, state: Any, floor: int) -> int | None:
        return state if state >= floor else None

    def pruned(self, state: Any, floor: int) -> Any:
        return state if state >= floor else None


class FirstValueEver(OfAnyValue, NeverForgets):
    """The first value there ever was. State: `[time, key]`."""

    __slots__ = ()

    def need(self, items: Sequence[str]) -> int:
        return key_size(items[0])

    def add(self, state: Any, time: int, items: Sequence[str], _floor: int) -> tuple[Any, int]:
        key = items[0]
        if state is None:
            return [time, key], key_size(key)
        if time >= state[0]:
            return state, 0
        grew = key_size(key) - key_size(state[1])
        return [time, key], max(0, grew)

    def value(self, state: Any, _floor: int) -> Any:
        return MISSING if state is None else value_of(state[1])


class FirstTimeEver(OfAnyValue, NeverForgets):
    """The time of the first value there ever was. State: that time."""

    __slots__ = ()

    def need(self, _items: Sequence[Any]) -> int:
        return 0

    def add(self, state: Any, time: int, _items: Sequence[Any], _floor: int) -> tuple[Any, int]:
        return time if state is None else min(time, state), 0

    def value(self, state: Any, _floor: int) -> Any:
        return MISSING if state is None else state


class FirstValueWithin(OfAnyValue):
    """The first value of a moving window. State: `[log of names, {label: [key, entries of it]}]`:
    the first value of every instant, because each may be the first one day.
    """

    __slots__ = ()

    def need(self, items: Sequence[str]) -> int:
        return _NAMES.width + _ENTRY_SIZE + key_size(items[0])

    def add(self, state: Any, time: int, items: Sequence[str], floor: int) -> tuple[Any, int]:
        if state is None:
            state = [bytearray(), {}]
        before = len(state[0])
        self._drop(state, floor)
        log, table = state
        if _NAMES.time_from(log, time) == time:
            return state, 0
        key = items[0]
        name = name_of(key)
        _NAMES.insert(log, time, name)
        entry = table.get(label_of(name))
        if entry is not None:
            entry[1] += 1
            return state, max(0, len(log) - before)
        table[label_of(name)] = [key, 1]
        return state, max(0, len(log) - before) + _ENTRY_SIZE + key_size(key)

    def value(self, state: Any, floor: int) -> Any:
        if state is None:
            return MISSING
        log, table = state
        start = _NAMES.start(log, floor)
        if start == len(log):
            return MISSING
        return value_of(table[label_of(_NAMES.payload(log, start))][0])

    def leaving(self, state: Any, floor: int) -> int | None:
        return _NAMES.time_from(state[0], floor)

    def pruned(self, state: Any, floor: int) -> Any:
        self._drop(state, floor)
        return state if state[0] else None

    def _drop(self, state: Any, floor: int) -> None:
        state[0] = log = writable(state[0])
        table = state[1]
        start = _NAMES.start(log, floor)
        for offset in range(0, start, _NAMES.width):
            label = label_of(_NAMES.payload(log, offset))
            table[label][1] -= 1
            if not table[label][1]:
                del table[label]
        del log[:start]


class FirstTimeWithin(OfAnyValue):
    """The time of the first value of a moving window. State: a log of the instants of values."""

    __slots__ = ()

    def need(self, _items: Sequence[Any]) -> int:
        return _TIMES.width

    def add(self, state: Any, time: int, _items: Sequence[Any], floor: int) -> tuple[Any, int]:
        times = writable(state or b"")
        before = len(times)
        del times[: _TIMES.start(times, floor)]
        if _TIMES.time_from(times, time) != time:
            _TIMES.insert(times, time)
        return times, max(0, len(times) - before)

    def value(self, state: Any, floor: int) -> Any:
        time = None if state is None else _TIMES.time_from(state, floor)
        return MISSING if time is None else time

    def leaving(self, state: Any, floor: int) -> int | None:
        return _TIMES.time_from(state, floor)

    def pruned(self, state: Any, floor: int) -> Any:
        times = writable(state)
        del times[: _TIMES.start(times, floor)]
        return times or None
