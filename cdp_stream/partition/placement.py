"""Where Kafka's default partitioner puts a profile, by its id and the number of partitions.

A profile that has records in two partitions is split: neither partition has all of it.

Source: docs/events.md, record.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, unpack_from
from typing import Final

from cdp_stream.formats.backfill_rows import Source
from cdp_stream.formats.rejects import Reason, Reject

__all__ = ["Placed", "Placement", "everywhere", "hash_of", "placed_in", "wrong_partition"]

Placed = Callable[[int], bool]
"""Whether a profile is placed in one partition."""

_KEPT = 100_000
"""Some 10 MB. A hash takes longer than the decoding of a small record."""
_FACTOR: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C
_ALL: Final = 0xFFFFFFFF
_WORDS: Final = tuple(Struct(f"<{words}I").unpack_from for words in range(6))
"""By the number of words of four bytes; a profile id has five at most."""


def hash_of(key: bytes) -> int:
    """The hash of a key; its partition is this, modulo the number of partitions.

    It is the murmur2 of Kafka's own clients, without the sign.
    """
    size = len(key)
    words, rest = size >> 2, size & 3
    hashed = _SEED ^ size
    for word in _WORDS[words](key) if words < len(_WORDS) else unpack_from(f"<{words}I", key):
        mixed = word * _FACTOR & _ALL
        hashed = (hashed * _FACTOR & _ALL) ^ ((mixed ^ mixed >> 24) * _FACTOR & _ALL)
    if rest:
        hashed = (hashed ^ int.from_bytes(key[-rest:], "little")) * _FACTOR & _ALL
    hashed = (hashed ^ hashed >> 13) * _FACTOR & _ALL
    return (hashed ^ hashed >> 15) & 0x7FFFFFFF


def everywhere(mpid: int) -> bool:
    """Every profile is: how many partitions there are is not known."""
    return True


def placed_in(partition: int, partitions: int) -> Placed:
    """Whether profiles are placed in a partition, of so many."""

    def is_here(mpid: int) -> bool:
        return hash_of(b"%d" % mpid) % partitions == partition

    return is_here


def wrong_partition(mpid: int, partition: int, partitions: int, value: bytes | None) -> Reject:
    """The reject of a record that is in another partition than its profile's."""
    place = hash_of(b"%d" % mpid) % partitions
    detail = (
        f"key: expected in partition {place} of {partitions}, where murmur2 puts it, found in "
        f"{partition}"
    )
    return Reject(Reason.WRONG_PARTITION, detail, value)


class Placement:
    """Remembers the hashes of recent profiles."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def here(self, source: Source, own: Source) -> Placed | None:
        """Whether a record of a source counts in the partition that reads it: whether its profile
        was placed there then, and is placed here now. None: it is the partition's own log, in
        which every record counts that is not misplaced.

        Args:
            source: what is read.
            own: the log of the partition that reads it.
        """
        if source is own:
            return None
        there, before = source.partition, source.partitions
        here, now = own.partition, own.partitions
        known = self._known

        def is_here(mpid: int) -> bool:
            hashed = known.get(mpid)
            if hashed is None:
                if len(known) >= _KEPT:
                    known.clear()
                hashed = known[mpid] = hash_of(b"%d" % mpid)
            return hashed % now == here and hashed % before == there

        return is_here
