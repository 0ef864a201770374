"""What is in a cart: added and removed quantities in the order of time, and their sum per product.

A line is an added (above 0) or removed (below) quantity of one product. Lines are kept because each
leaves the lookback, and may be overtaken by a late closing action, by itself; sums are kept beside
them so that no verdict has to go through the lines.

A line needs 12 bytes: its time, the number of its product and the number of its quantity. Products
and quantities are stored once. They are given out anew when most of those stored have no line left,
so that state is bounded by the lines that are kept.

State: `[products, sums, quantities, log]`, which are {short id: number}, [[units, scale]] by number
of product, [[units, scale]] by number of quantity, and the lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cdp_stream.core.calculations.decimals import (
    Decimal,
    growth_of,
    minus,
    pack,
    packed_size,
    plus,
    unpack,
)
from cdp_stream.core.calculations.log import Log, writable
from cdp_stream.core.calculations.scalar import key_size

EMPTY_SIZE: Final = 16
"""Bytes that contents without a line take."""

_NUMBER_SIZE = 3
_LINES = Log(2 * _NUMBER_SIZE)
_PAIR_SIZE = 4
_PRODUCT_SIZE = 5 + _PAIR_SIZE
_SLACK = 8
_MOST_PER_LINE = 4

Contents = list[Any]
Line = tuple[str, Decimal]
"""A short product id, and the quantity: below 0 when removed."""


def empty() -> Contents:
    """The contents of a cart nothing was put in."""
    return [{}, [], [], bytearray()]


def line_size(line: Line) -> int:
    """At most the bytes by which `put` makes contents grow."""
    product, quantity = line
    return _LINES.width + key_size(product) + _PRODUCT_SIZE + _PAIR_SIZE + 2 * growth_of(quantity)


def put(contents: Contents, time: int, line: Line) -> int:
    """Enter a line; gives the bytes that the contents grew."""
    products, sums, quantities, _log = contents
    product, quantity = line
    grew = _LINES.width
    place = products.get(product)
    if place is None:
        place = products[product] = len(sums)
        sums.append([0, 0])
        grew += key_size(product) + _PRODUCT_SIZE + packed_size(0)
    before = packed_size(sums[place][0])
    sums[place] = _packed(plus(_unpacked(sums[place]), quantity))
    grew += max(0, packed_size(sums[place][0]) - before)
    entry = _packed(quantity)
    if entry not in quantities:
        quantities.append(entry)
        grew += _PAIR_SIZE + packed_size(entry[0])
    numbers = (place, quantities.index(entry))
    contents[3] = writable(contents[3])
    _LINES.insert(contents[3], time, b"".join(n.to_bytes(_NUMBER_SIZE, "big") for n in numbers))
    return grew


def drop(contents: Contents, before: int) -> None:
    """Forget the lines that are earlier than an instant."""
    end = _LINES.start(contents[3], before)
    if not end:
        return
    _take_out(contents[1], contents, end)
    log = contents[3] = writable(contents[3])
    del log[:end]
    stored = len(contents[1]) + len(contents[2])
    if stored > _MOST_PER_LINE * len(log) // _LINES.width + _SLACK:
        _store_anew(contents)


def first_time(contents: Contents, since: int) -> int | None:
    """The time of the first line that is not before an instant."""
    return _LINES.time_from(contents[3], since)


def sums_since(contents: Contents, since: int) -> Iterator[Line]:
    """Each product and its sum over the lines that are not before an instant."""
    products, sums, _quantities, log = contents
    end = _LINES.start(log, since)
    if end:
        sums = list(sums)
        _take_out(sums, contents, end)
    # Products are numbered in the order in which they were stored.
    return zip(products, map(_unpacked, sums), strict=True)


def _take_out(sums: list[Any], contents: Contents, end: int) -> None:
    """Subtract the lines up to an offset."""
    quantities, log = contents[2], contents[3]
    for offset in range(0, end, _LINES.width):
        place, quantity = _numbers(log, offset)
        sums[place] = _packed(minus(_unpacked(sums[place]), _unpacked(quantities[quantity])))


def _store_anew(contents: Contents) -> None:
    products, quantities, log = list(contents[0]), contents[2], contents[3]
    contents[:] = empty()
    for offset in range(0, len(log), _LINES.width):
        place, quantity = _numbers(log, offset)
        put(contents, _LINES.time(log, offset), (products[place], _unpacked(quantities[quantity])))


def _numbers(log: bytes | bytearray, offset: int) -> tuple[int, int]:
    payload = _LINES.payload(log, offset)
    product, quantity = payload[:_NUMBER_SIZE], payload[_NUMBER_SIZE:]
    return int.from_bytes(product, "big"), int.from_bytes(quantity, "big")


def _packed(number: Decimal) -> list[int | bytes]:
    return [pack(number[0]), number[1]]


def _unpacked(entry: list[Any]) -> Decimal:
    return unpack(entry[0]), entry[1]
