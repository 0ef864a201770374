"""How far recovery has come: a line in the log every few seconds."""

import time
from collections.abc import Callable, Mapping

from cdp_stream.kafka.log import log

__all__ = ["RecoveryProgress"]

_EVERY_S = 5.0


class RecoveryProgress:
    """The progress of one reading of a changelog.

    Args:
        topic: The changelog.
        starts: The first offset to read, of partitions that are not read from their beginning.
        clock: Seconds of a steady clock.

    Attributes:
        records: How many were read.
    """

    def __init__(
        self, topic: str, starts: Mapping[int, int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.records = 0
        self._topic = topic
        self._starts = starts
        self._clock = clock
        self._began = self._told = clock()

    def count(self, records: int) -> None:
        """Note records that were read."""
        self.records += records

    def note(self, read_to: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Tell the log how far it is, when it is time to.

        The share is one of offsets, of which compaction has left gaps: a changelog has no cheap
        count of what is in it.

        Args:
            read_to: The next offset of each partition of which something was read.
            ends: The end offset of each partition that the broker has spoken of.
        """
        now = self._clock()
        if now - self._told < _EVERY_S:
            return
        self._told = now
        seconds = now - self._began
        starts = self._starts
        total = sum(end - starts.get(number, 0) for number, end in ends.items())
        done = sum(offset - starts.get(number, 0) for number, offset in read_to.items())
        log(
            "recovery_progress", topic=self._topic, records=self.records,
            records_per_second=round(self.records / seconds),
            percent=round(100 * done / total, 1) if total else 0.0,
            seconds_left=round(seconds * (total - done) / done) if done else None,
        )  # fmt: skip
