"""Exact decimal numbers: `(units, scale)` is units / 10**scale.

A number written 0.1 is a tenth, not the binary fraction next to it, so sums come out as on paper.

Source: docs/semantics.md, calculated attributes.
"""

from __future__ import annotations

import re
from typing import Any, Final

from cdp_stream.core.model.operators import number_of

Decimal = tuple[int, int]
"""`(units, scale)`; scale is from 0 to `PLACES`, and no greater than it needs to be."""

PLACES: Final = 400
"""Digits after this decimal place are ignored: no double has as many, and text like
`1e-99999999` must not take the memory of its zeros.
"""

_PARTS = re.compile(r"\s*([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?)0*(\d*))?\s*", re.ASCII)
_LONGEST_EXPONENT = 7
_BEYOND_DOUBLES = 2**1024
_LEAST, _GREATEST = -(2**63), 2**63 - 1
_WIDE_HEADER = 5
_NARROW_SIZE = 9


def decimal_of(value: Any) -> Decimal | None:
    """The number that a JSON number or wholly numeric text is; None for anything else, and for what
    is beyond the range of doubles.
    """
    number = number_of(value)
    if number is None:
        return None
    if type(number) is int:
        return (number, 0) if -_BEYOND_DOUBLES < number < _BEYOND_DOUBLES else None
    return _parsed(value if type(value) is str else repr(value))


def _parsed(text: str) -> Decimal:
    """A finite number's text, read digit by digit: it may be a hundred thousand of them."""
    match = _PARTS.fullmatch(text)
    assert match is not None, "a narrower pattern in operators.py let it through"
    sign, whole, fraction, exponent_sign, exponent = match.groups("")
    digits = (whole + fraction).lstrip("0")
    if len(exponent) > _LONGEST_EXPONENT:
        # It is finite, so it is nought, or too small by far.
        return 0, 0
    shift = int(exponent or 0)
    scale = len(fraction) + (shift if exponent_sign == "-" else -shift)
    if scale > PLACES:
        digits, scale = digits[: PLACES - scale], PLACES
    significant = digits.rstrip("0")
    if not significant:
        return 0, 0
    scale -= len(digits) - len(significant)
    units = int(significant)
    if scale < 0:
        units, scale = units * 10**-scale, 0
    return (-units if sign == "-" else units), scale


def less(one: Decimal, other: Decimal) -> bool:
    """Whether `one` is less than `other`, exactly."""
    if one[1] == other[1]:
        return one[0] < other[0]
    return bool(one[0] * 10 ** other[1] < other[0] * 10 ** one[1])


def plus(total: Decimal, number: Decimal) -> Decimal:
    """The sum; its scale is the greater of the two, even where it could be less."""
    units, scale = total
    more, places = number
    if places > scale:
        return units * 10 ** (places - scale) + more, places
    return units + more * 10 ** (scale - places), scale


def minus(total: Decimal, number: Decimal) -> Decimal:
    """The difference, scaled as by `plus`."""
    return plus(total, (-number[0], number[1]))


def quotient(number: Decimal, divisor: int = 1) -> int | float:
    """The number divided by a positive integer: an integer when whole, else the nearest float,
    rounded once. What is beyond floats is rounded to an integer.
    """
    units, scale = number
    divisor *= 10**scale
    whole, rest = divmod(units, divisor)
    if not rest:
        return whole
    try:
        return units / divisor
    except OverflowError:
        return whole + (2 * rest >= divisor)


def pack(integer: int) -> int | bytes:
    """An integer as MessagePack data, which has no wide ones."""
    if _LEAST <= integer <= _GREATEST:
        return integer
    return integer.to_bytes(integer.bit_length() // 8 + 1, "big", signed=True)


def unpack(packed: int | bytes) -> int:
    """The integer that was packed."""
    return packed if isinstance(packed, int) else int.from_bytes(packed, "big", signed=True)


def packed_size(packed: int | bytes) -> int:
    """At most the bytes that a packed integer needs."""
    return _NARROW_SIZE if isinstance(packed, int) else len(packed) + _WIDE_HEADER


def total_size(total: Decimal) -> int:
    """At most the bytes that the packed units of a total take; more places count when they come,
    not when the total grows into them, so that `growth_of` what is added is enough.
    """
    units, scale = total
    # A decimal place takes a little more than 13 / 4 bits, and less than 4.
    return 16 + max(0, units.bit_length() - 13 * scale // 4) // 8 + scale // 2


def growth_of(number: Decimal) -> int:
    """At most the bytes by which a total grows when this number is added to it, or which the number
    needs by itself when packed.
    """
    units, scale = number
    return (units.bit_length() + 4 * scale) // 8 + _NARROW_SIZE + _WIDE_HEADER
