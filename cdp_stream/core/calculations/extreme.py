"""`min` and `max`, of numbers and numeric text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cdp_stream.core.calculations.decimals import (
    Decimal,
    decimal_of,
    growth_of,
    less,
    pack,
    packed_size,
    quotient,
    unpack,
)
from cdp_stream.core.calculations.fold import NeverForgets
from cdp_stream.core.calculations.number_log import WIDTH, NumberLog, need_of
from cdp_stream.core.model.operators import MISSING


class _Extreme:
    """What both ways share.

    Attributes:
        is_max: whether the greatest is wanted, not the least.
    """

    __slots__ = ("is_max",)

    def __init__(self, *, is_max: bool) -> None:
        self.is_max = is_max

    def item(self, value: Any) -> Decimal | None:
        return decimal_of(value)

    def _beats(self, one: Decimal, other: Decimal) -> bool:
        return less(other, one) if self.is_max else less(one, other)

    def _best(self, items: Sequence[Decimal]) -> Decimal:
        best = items[0]
        for number in items:
            if self._beats(number, best):
                best = number
        return best


class ExtremeEver(NeverForgets, _Extreme):
    """Over all numbers there ever were. State: `[packed units, scale]` of the best."""

    __slots__ = ()

    def need(self, items: Sequence[Decimal]) -> int:
        return max(map(growth_of, items))

    def add(self, state: Any, _time: int, items: Sequence[Decimal], _floor: int) -> tuple[Any, int]:
        best = self._best(items)
        if state is None:
            packed = pack(best[0])
            return [packed, best[1]], packed_size(packed)
        before = packed_size(state[0])
        if self._beats(best, (unpack(state[0]), state[1])):
            state[:] = pack(best[0]), best[1]
        return state, max(0, packed_size(state[0]) - before)

    def value(self, state: Any, _floor: int) -> Any:
        return MISSING if state is None else quotient((unpack(state[0]), state[1]))


class ExtremeWithin(_Extreme):
    """Over the numbers of a moving window. State: `[log, wide]` of those that are, or will be, the
    best: each beats every later one, so the oldest of the window is the best.
    """

    __slots__ = ()

    def need(self, items: Sequence[Decimal]) -> int:
        return max(map(need_of, items))

    def add(self, state: Any, time: int, items: Sequence[Decimal], floor: int) -> tuple[Any, int]:
        if state is None:
            state = [bytearray(), {}]
        before = len(state[0])
        numbers = NumberLog(state[0], state[1])
        numbers.cut(0, numbers.start(floor))
        self._insert(numbers, time, self._best(items))
        state[0] = numbers.log
        return state, max(0, len(state[0]) - before) + numbers.grew

    def value(self, state: Any, floor: int) -> Any:
        if state is None:
            return MISSING
        numbers = NumberLog(state[0], state[1])
        start = numbers.start(floor)
        return quotient(numbers.number(start)) if start < len(state[0]) else MISSING

    def leaving(self, state: Any, floor: int) -> int | None:
        return NumberLog(state[0], state[1]).time_from(floor)

    def pruned(self, state: Any, floor: int) -> Any:
        numbers = NumberLog(state[0], state[1])
        numbers.cut(0, numbers.start(floor))
        state[0] = numbers.log
        return state if state[0] else None

    def _insert(self, numbers: NumberLog, time: int, number: Decimal) -> None:
        start = numbers.start(time)
        if start < len(numbers.log) and not self._beats(number, numbers.number(start)):
            return
        # Those that are not later and do not beat it will never be the best again.
        end = numbers.start(time + 1)
        begin = end
        while begin and not self._beats(numbers.number(begin - WIDTH), number):
            begin -= WIDTH
        numbers.cut(begin, end)
        numbers.insert(time, number)
