"""`sum` and `average`: exact totals, rounded only when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cdp_stream.core.calculations.decimals import (
    Decimal,
    decimal_of,
    growth_of,
    minus,
    pack,
    plus,
    quotient,
    total_size,
    unpack,
)
from cdp_stream.core.calculations.fold import NeverForgets
from cdp_stream.core.calculations.number_log import WIDTH, NumberLog, need_of
from cdp_stream.core.model.operators import MISSING


class _Total:
    """What both ways of adding up share.

    Attributes:
        is_average: whether the total is divided by the number of values.
    """

    __slots__ = ("is_average",)

    def __init__(self, *, is_average: bool) -> None:
        self.is_average = is_average

    def item(self, value: Any) -> Decimal | None:
        return decimal_of(value)

    def _value(self, total: Decimal, count: int) -> Any:
        if not self.is_average:
            return quotient(total)
        return quotient(total, count) if count else MISSING


class TotalEver(NeverForgets, _Total):
    """Over all values there ever were. State: `[number of values, packed units, scale]`."""

    __slots__ = ()

    def need(self, items: Sequence[Decimal]) -> int:
        return sum(map(growth_of, items))

    def add(self, state: Any, _time: int, items: Sequence[Decimal], _floor: int) -> tuple[Any, int]:
        if state is None:
            state = [0, 0, 0]
        total = unpack(state[1]), state[2]
        before = total_size(total)
        for number in items:
            total = plus(total, number)
        state[0] += len(items)
        state[1:] = pack(total[0]), total[1]
        return state, max(0, total_size(total) - before)

    def value(self, state: Any, _floor: int) -> Any:
        if state is None:
            return self._value((0, 0), 0)
        count, packed, scale = state
        return self._value((unpack(packed), scale), count)


class TotalWithin(_Total):
    """Over the values of a moving window. State: `[log, wide, packed units, scale]`: every number
    of the window, and their total, from which those that leave are subtracted.
    """

    __slots__ = ()

    def need(self, items: Sequence[Decimal]) -> int:
        return sum(need_of(number) + growth_of(number) for number in items)

    def add(self, state: Any, time: int, items: Sequence[Decimal], floor: int) -> tuple[Any, int]:
        if state is None:
            state = [bytearray(), {}, 0, 0]
        before = len(state[0]) + total_size((unpack(state[2]), state[3]))
        numbers = NumberLog(state[0], state[1])
        total = self._dropped(state, numbers, floor)
        for number in items:
            numbers.insert(time, number)
            total = plus(total, number)
        state[0] = numbers.log
        state[2:] = pack(total[0]), total[1]
        after = len(state[0]) + total_size(total)
        return state, max(0, after - before) + numbers.grew

    def value(self, state: Any, floor: int) -> Any:
        if state is None:
            return self._value((0, 0), 0)
        numbers = NumberLog(state[0], state[1])
        start, end = numbers.start(floor), len(state[0])
        count = (end - start) // WIDTH
        if 2 * start > end:
            total = 0, 0
            for offset in range(start, end, WIDTH):
                total = plus(total, numbers.number(offset))
            return self._value(total, count)
        return self._value(_without(state, numbers, start), count)

    def leaving(self, state: Any, floor: int) -> int | None:
        return NumberLog(state[0], state[1]).time_from(floor)

    def pruned(self, state: Any, floor: int) -> Any:
        numbers = NumberLog(state[0], state[1])
        total = self._dropped(state, numbers, floor)
        if not numbers.log:
            return None
        state[0] = numbers.log
        state[2:] = pack(total[0]), total[1]
        return state

    def _dropped(self, state: Any, numbers: NumberLog, floor: int) -> Decimal:
        """Remove what is older than the floor from the log; returns the total of the rest."""
        start = numbers.start(floor)
        total = _without(state, numbers, start)
        numbers.cut(0, start)
        # A total of nothing has no decimal places, whatever it had before.
        return total if numbers.log else (0, 0)


def _without(state: Any, numbers: NumberLog, start: int) -> Decimal:
    """The total less the numbers before an offset."""
    total = unpack(state[2]), state[3]
    for offset in range(0, start, WIDTH):
        total = minus(total, numbers.number(offset))
    return total
