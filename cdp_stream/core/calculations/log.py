"""Times, each with a few bytes, in one run of bytes in the order of time: the cheapest way to keep
many.

An entry is a time of 6 bytes, big-endian, so that bytes compare as times do, and a payload of a
fixed width. Entries of the same time stay in the order in which they came. Offsets are in bytes.
"""

from __future__ import annotations

from typing import Final

TIME_WIDTH: Final = 6
_END_OF_TIME = 2 ** (8 * TIME_WIDTH)


class Log:
    """How entries with payloads of one width are kept; the bytes themselves are in the row."""

    __slots__ = ("width",)

    def __init__(self, payload_width: int) -> None:
        self.width = TIME_WIDTH + payload_width

    def entry(self, time: int, payload: bytes = b"") -> bytes:
        """One entry; time is at least 0 and before the year 10,000, as those of events are."""
        return time.to_bytes(TIME_WIDTH, "big") + payload

    def start(self, log: bytes | bytearray, floor: int) -> int:
        """The offset of the first entry that is not before the floor."""
        if floor <= 0 or not log:
            return 0
        if floor >= _END_OF_TIME:
            return len(log)
        wanted = floor.to_bytes(TIME_WIDTH, "big")
        if log[:TIME_WIDTH] >= wanted:
            return 0
        width = self.width
        if log[width : width + TIME_WIDTH] >= wanted:
            # Mostly as many leave as come.
            return width
        low, high = 1, len(log) // width
        while low < high:
            middle = (low + high) // 2
            offset = middle * width
            if log[offset : offset + TIME_WIDTH] < wanted:
                low = middle + 1
            else:
                high = middle
        return low * width

    def insert(self, log: bytearray, time: int, payload: bytes = b"") -> None:
        """Put an entry behind those that are not later."""
        entry = self.entry(time, payload)
        last = len(log) - self.width
        if last < 0 or log[last : last + TIME_WIDTH] <= entry[:TIME_WIDTH]:
            log += entry
        else:
            offset = self.start(log, time + 1)
            log[offset:offset] = entry

    def time(self, log: bytes | bytearray, offset: int) -> int:
        """The time of the entry at an offset."""
        return int.from_bytes(log[offset : offset + TIME_WIDTH], "big")

    def time_from(self, log: bytes | bytearray, floor: int) -> int | None:
        """The time of the first entry that is not before the floor."""
        offset = self.start(log, floor)
        return self.time(log, offset) if offset < len(log) else None

    def payload(self, log: bytes | bytearray, offset: int) -> bytes | bytearray:
        """The payload of the entry at an offset."""
        return log[offset + TIME_WIDTH : offset + self.width]

    def find(self, log: bytearray, time: int, payload: bytes) -> int:
        """The offset of an entry that is there."""
        entry = self.entry(time, payload)
        offset = log.find(entry, self.start(log, time))
        while offset % self.width:
            # Found across two entries.
            offset = log.find(entry, offset + 1)
        return offset


def writable(log: bytes | bytearray) -> bytearray:
    """The same bytes, to be changed; a decoded row has others."""
    return log if type(log) is bytearray else bytearray(log)
