"""`unique_values_count` and `unique_list`: the different values; of a list, the first 100 in the
order of text.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from heapq import nsmallest
from typing import Any, Final

from cdp_stream.core.calculations.fold import NeverForgets, OfAnyValue
from cdp_stream.core.calculations.log import Log, writable
from cdp_stream.core.calculations.scalar import (
    LABEL_SIZE,
    NAME_SIZE,
    SHORT_SIZE,
    key_size,
    label_of,
    name_of,
    order_of,
    short_key_of,
    value_of,
)

LONGEST_LIST: Final = 100
"""Values of a list. Source: docs/semantics.md, calculated attributes."""

_NAMES = Log(NAME_SIZE)
_TIME_SIZE = 9
_ENTRY_SIZE = LABEL_SIZE + 2 + 1 + _TIME_SIZE


class DistinctEver(OfAnyValue, NeverForgets):
    """The number of all values there ever were. State: {short key: 0}."""

    __slots__ = ()

    def need(self, items: Sequence[str]) -> int:
        return sum(min(key_size(key), SHORT_SIZE) + 1 for key in items)

    def add(self, state: Any, _time: int, items: Sequence[str], _floor: int) -> tuple[Any, int]:
        if state is None:
            state = {}
        grew = 0
        for key in items:
            short = short_key_of(key)
            if short not in state:
                state[short] = 0
                grew += key_size(short) + 1
        return state, grew

    def value(self, state: Any, _floor: int) -> int:
        return len(state) if state else 0


class ListEver(OfAnyValue, NeverForgets):
    """The first of all values there ever were. State: their keys, in order."""

    __slots__ = ()

    def need(self, items: Sequence[str]) -> int:
        return sum(map(key_size, items))

    def add(self, state: Any, _time: int, items: Sequence[str], _floor: int) -> tuple[Any, int]:
        keys: list[str] = [] if state is None else state
        grew = 0
        for key in items:
            place = bisect_left(keys, order_of(key), key=order_of)
            if place < LONGEST_LIST and keys[place : place + 1] != [key]:
                keys.insert(place, key)
                grew += key_size(key)
                if len(keys) > LONGEST_LIST:
                    grew = max(0, grew - key_size(keys.pop()))
        return keys, grew

    def value(self, state: Any, _floor: int) -> list[Any]:
        return [value_of(key) for key in state or ()]


class DistinctWithin(OfAnyValue):
    """The values of a moving window. State: `[log, {label: [key, time]}]`: the newest time of each
    value, and a log of their names at those times. Where only their number is wanted keys are
    empty.

    Attributes:
        is_list: whether the values are wanted, not their number.
    """

    __slots__ = ("is_list",)

    def __init__(self, *, is_list: bool) -> None:
        self.is_list = is_list

    def need(self, items: Sequence[str]) -> int:
        kept = items if self.is_list else [""] * len(items)
        return sum(_NAMES.width + _ENTRY_SIZE + key_size(key) for key in kept)

    def add(self, state: Any, time: int, items: Sequence[str], floor: int) -> tuple[Any, int]:
        if state is None:
            state = [bytearray(), {}]
        before = len(state[0])
        self._drop(state, floor)
        log, table = state
        grew = 0
        for key in items:
            name = name_of(key)
            label = label_of(name)
            entry = table.get(label)
            if entry is None:
                kept = key if self.is_list else ""
                table[label] = [kept, time]
                grew += _ENTRY_SIZE + key_size(kept)
            elif time <= entry[1]:
                continue
            else:
                offset = _NAMES.find(log, entry[1], name)
                del log[offset : offset + _NAMES.width]
                entry[1] = time
            _NAMES.insert(log, time, name)
        return state, max(0, len(log) - before) + grew

    def value(self, state: Any, floor: int) -> Any:
        if not self.is_list:
            if state is None:
                return 0
            log = state[0]
            return int(len(log) - _NAMES.start(log, floor)) // _NAMES.width
        if state is None:
            return []
        live = [key for key, time in state[1].values() if time >= floor]
        return [value_of(key) for key in nsmallest(LONGEST_LIST, live, key=order_of)]

    def leaving(self, state: Any, floor: int) -> int | None:
        return _NAMES.time_from(state[0], floor)

    def pruned(self, state: Any, floor: int) -> Any:
        self._drop(state, floor)
        return state if state[0] else None

    def _drop(self, state: Any, floor: int) -> None:
        state[0] = log = writable(state[0])
        start = _NAMES.start(log, floor)
        for offset in range(0, start, _NAMES.width):
            del state[1][label_of(_NAMES.payload(log, offset))]
        del log[:start]
