"""The records of one fetch, and how much is fetched at a time."""

from collections.abc import Collection, Iterator
from typing import Any

__all__ = [
    "FETCHES_WAITING",
    "FETCH_BYTES",
    "LEAST_FETCHED",
    "MOST_FETCHED",
    "Chunk",
    "memory_of",
]

_RECORD_BYTES = 250
"""Memory of a record besides its contents."""
FETCH_BYTES = 16 * 1024 * 1024
"""The most that one broker answers at a time, a batch that is larger by itself aside."""
FETCHES_WAITING = 4
"""How many answers may wait of one partition before its fetching is paused."""
MOST_FETCHED = 1024 * 1024
LEAST_FETCHED = 16 * 1024
"""Bounds of the bytes requested of one partition; a broker returns a whole batch at least."""


class Chunk:
    """The records of one partition from one fetch, in order.

    Attributes:
        records: As aiokafka decoded them, at least one.
        epoch: Which seek of the partition they follow.
        size: Approximate bytes of memory that they use.
    """

    __slots__ = ("epoch", "records", "size")

    def __init__(self, records: list[Any], epoch: int) -> None:
        self.records = records
        self.epoch = epoch
        self.size = memory_of(records)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


def memory_of(records: Collection[Any]) -> int:
    """Approximate bytes of memory of records: hostile ones may be all key, or all headers."""
    size = _RECORD_BYTES * len(records)
    for record in records:
        size += len(record.value or b"") + len(record.key or b"")
        if record.headers:
            size += sum(len(name) + len(value or b"") for name, value in record.headers)
    return size
