"""Where Kafka's default partitioner puts a profile, by its id and the number of partitions.

Source: docs/events.md, record.
"""

from collections.abc import Callable

from aiokafka.partitioner import murmur2

from cdp_stream.formats.backfill_rows import Source

__all__ = ["Placement", "hash_of"]

_KEPT = 100_000
"""Some 10 MB. A hash takes longer than the decoding of a small record."""


def hash_of(key: bytes) -> int:
    """What decides on the partition of a key: this, modulo the number of partitions."""
    hashed: int = murmur2(key) & 0x7FFFFFFF
    return hashed


class Placement:
    """Knows the hashes of profiles that were asked for lately."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def here(self, source: Source, own: Source) -> Callable[[int], bool] | None:
        """Tells whether a record of a source counts in the partition that reads it: whether its
        profile was placed there then, and is placed here now. None: all of them count.

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
