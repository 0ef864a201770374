"""`most_frequent`: the value there was most often; of equals the first in the order of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cdp_stream.core.calculations.fold import NeverForgets, OfAnyValue
from cdp_stream.core.calculations.log import Log, writable
from cdp_stream.core.calculations.scalar import (
    LABEL_SIZE,
    NAME_SIZE,
    key_size,
    label_of,
    name_of,
    order_of,
    value_of,
)
from cdp_stream.core.model.operators import MISSING

_NAMES = Log(NAME_SIZE)
_COUNT_SIZE = 9
_ENTRY_SIZE = LABEL_SIZE + 2 + 1 + _COUNT_SIZE


def _is_before(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Whether a key with its count comes before another."""
    if one[1] != other[1]:
        return one[1] > other[1]
    return order_of(one[0]) < order_of(other[0])


class FrequencyEver(OfAnyValue, NeverForgets):
    """Over all values there ever were. State: `[key of the most frequent, {key: count}]`."""

    __slots__ = ()

    def need(self, items: Sequence[str]) -> int:
        # One of them may also become the most frequent.
        return 2 * sum(map(key_size, items)) + _COUNT_SIZE * len(items)

    def add(self, state: Any, _time: int, items: Sequence[str], _floor: int) -> tuple[Any, int]:
        if state is None:
            state = ["", {}]
        best, counts = state
        grew = 0
        for key in items:
            count = counts.get(key, 0) + 1
            if count == 1:
                grew += key_size(key) + _COUNT_SIZE
            counts[key] = count
            if key != best and _is_before((key, count), (best, counts.get(best, 0))):
                best = key
        grew += max(0, key_size(best) - key_size(state[0]))
        state[0] = best
        return state, grew

    def value(self, state: Any, _floor: int) -> Any:
        return MISSING if state is None else value_of(state[0])


class FrequencyWithin(OfAnyValue):
    """Over the values of a moving window. State: `[log of names, {label: [key, count]}, label of
    the most frequent]`; the label is empty while it is not known.
    """

    __slots__ = ()

    def need(self, items: Sequence[str]) -> int:
        return sum(_NAMES.width + _ENTRY_SIZE + key_size(key) for key in items) + LABEL_SIZE

    def add(self, state: Any, time: int, items: Sequence[str], floor: int) -> tuple[Any, int]:
        if state is None:
            state = [bytearray(), {}, ""]
        before = len(state[0])
        grew = LABEL_SIZE if not state[2] else 0
        self._drop(state, floor)
        log, table, best = state
        for key in items:
            name = name_of(key)
            label = label_of(name)
            _NAMES.insert(log, time, name)
            entry = table.get(label)
            if entry is None:
                entry = table[label] = [key, 0]
                grew += _ENTRY_SIZE + key_size(key)
            entry[1] += 1
            if label != best and (not best or _is_before(entry, table[best])):
                best = label
        state[2] = best
        return state, max(0, len(log) - before) + grew

    def value(self, state: Any, floor: int) -> Any:
        if state is None:
            return MISSING
        log, table, best = state
        left = _left(log, _NAMES.start(log, floor))
        if best and best not in left:
            # The others can only have become fewer.
            return value_of(table[best][0])
        counts = ((key, count - left.get(label, 0)) for label, (key, count) in table.items())
        first = _first((key, count) for key, count in counts if count)
        return MISSING if first is None else value_of(first)

    def leaving(self, state: Any, floor: int) -> int | None:
        return _NAMES.time_from(state[0], floor)

    def pruned(self, state: Any, floor: int) -> Any:
        self._drop(state, floor)
        return state if state[0] else None

    def _drop(self, state: Any, floor: int) -> None:
        """Remove what is older than the floor; the most frequent value is known after it."""
        log, table, best = state
        state[0] = log = writable(log)
        start = _NAMES.start(log, floor)
        if not start:
            return
        left = _left(log, start)
        del log[:start]
        for label, count in left.items():
            table[label][1] -= count
            if not table[label][1]:
                del table[label]
        if best in left:
            first = _first(table.values())
            state[2] = "" if first is None else label_of(name_of(first))


def _left(log: bytes | bytearray, start: int) -> dict[str, int]:
    """How often each label is in the log before an offset."""
    left: dict[str, int] = {}
    for offset in range(0, start, _NAMES.width):
        label = label_of(_NAMES.payload(log, offset))
        left[label] = left.get(label, 0) + 1
    return left


def _first(counts: Iterable[Sequence[Any]]) -> str | None:
    """The most frequent of some keys with their counts."""
    found = list(counts)
    most = max((count for _, count in found), default=0)
    return min((key for key, count in found if count == most), key=order_of, default=None)
