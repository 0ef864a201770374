"""Numbers with times, 16 bytes each.

State: `[log, wide]`. A payload is the scale and the units of a decimal, in 1 and 9 bytes; for the
few that do not fit, a scale of 255 and the number of an entry of `wide`: text of that number ->
`[packed units, scale]`.
"""

from __future__ import annotations

from typing import Any

from cdp_stream.core.calculations.decimals import Decimal, growth_of, pack, packed_size, unpack
from cdp_stream.core.calculations.log import TIME_WIDTH, Log, writable

_UNITS_WIDTH = 9
_UNITS_LIMIT = 2 ** (8 * _UNITS_WIDTH - 1)
_WIDE = 255
_WIDE_SIZE = 32
_NUMBERS = Log(1 + _UNITS_WIDTH)
WIDTH = _NUMBERS.width


class NumberLog:
    """The log of one state, opened to be read or changed.

    Attributes:
        log: what to put back as the first member of the state.
        grew: bytes that the wide numbers inserted take, at most.
    """

    __slots__ = ("_wide", "grew", "log")

    def __init__(self, log: bytes | bytearray, wide: dict[str, Any]) -> None:
        self.log = log
        self._wide = wide
        self.grew = 0

    def start(self, floor: int) -> int:
        """The offset of the first number that is not before the floor."""
        return _NUMBERS.start(self.log, floor)

    def time_from(self, floor: int) -> int | None:
        """The time of that number."""
        return _NUMBERS.time_from(self.log, floor)

    def number(self, offset: int) -> Decimal:
        """The number at an offset."""
        begin = offset + TIME_WIDTH + 1
        scale = self.log[begin - 1]
        units = int.from_bytes(self.log[begin : begin + _UNITS_WIDTH], "big", signed=True)
        if scale == _WIDE:
            packed, scale = self._wide[str(units)]
            units = unpack(packed)
        return units, scale

    def insert(self, time: int, number: Decimal) -> None:
        """Put a number behind those that are not later."""
        self.log = writable(self.log)
        units, scale = number
        if scale >= _WIDE or not -_UNITS_LIMIT <= units < _UNITS_LIMIT:
            packed = pack(units)
            self.grew += packed_size(packed) + _WIDE_SIZE
            units = int(next(reversed(self._wide), "0")) + 1
            self._wide[str(units)] = [packed, scale]
            scale = _WIDE
        payload = bytes((scale,)) + units.to_bytes(_UNITS_WIDTH, "big", signed=True)
        _NUMBERS.insert(self.log, time, payload)

    def cut(self, begin: int, end: int) -> None:
        """Remove the numbers between two offsets."""
        if begin == end:
            return
        self.log = writable(self.log)
        if self._wide:
            for offset in range(begin + TIME_WIDTH, end, WIDTH):
                if self.log[offset] == _WIDE:
                    reference = self.log[offset + 1 : offset + 1 + _UNITS_WIDTH]
                    del self._wide[str(int.from_bytes(reference, "big"))]
        del self.log[begin:end]


def need_of(number: Decimal) -> int:
    """At most the bytes that a number needs in a log."""
    return WIDTH + _WIDE_SIZE + growth_of(number)
