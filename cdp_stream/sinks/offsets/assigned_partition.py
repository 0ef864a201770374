"""One assigned partition of an output's topic."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Any

from cdp_stream.kafka.clients.chunk import Chunk
from cdp_stream.sinks.offsets.progress import Progress

__all__ = ["SLICE", "AssignedPartition"]

SLICE = 500
"""Records taken at a time: a few ms of blocked loop."""


class AssignedPartition:
    """What waits of a partition, and how far it has been delivered.

    Attributes:
        epoch: Chunks of any other epoch are stale; -1 means all are.
        waiting: How many records wait to be looked at.
        waiting_bytes: About the memory of those that wait in chunks.
        paused: Whether fetching is paused, as too much waits.
        last: Offset of the last record looked at since the last seek; -1 when none was.
        written: What was last kept of its progress.
        written_at: When, on a steady clock, seconds.
        dated: When what was taken and not confirmed was written, by offset.
        first_seen: When the first record that waits was written, while nothing is taken.
        undefined: Offset of the record that waits for definitions which explain it, and since when,
            on a steady clock, seconds; None where none does.
    """

    def __init__(self, number: int, progress: Progress, written: Mapping[str, Any] | None) -> None:
        self.number = number
        self.progress = progress
        self.written = written
        self.written_at = 0.0
        self.epoch = -1
        self.chunks: deque[Chunk] = deque()
        self._cursor = 0
        self.waiting = self.waiting_bytes = 0
        self.paused = False
        self.last = -1
        self.dated: OrderedDict[int, int] = OrderedDict()
        self.first_seen: int | None = None
        self.undefined: tuple[int, float] | None = None

    def add(self, chunk: Chunk) -> None:
        """Let a chunk wait."""
        self.chunks.append(chunk)
        self.waiting += len(chunk)
        self.waiting_bytes += chunk.size

    def take_slice(self) -> list[Any]:
        """The next records, at most a slice."""
        if not self.chunks:
            return []
        records = self.chunks[0].records
        part = records[self._cursor : self._cursor + SLICE]
        self._cursor += len(part)
        self.waiting -= len(part)
        if self._cursor >= len(records):
            self.waiting_bytes -= self.chunks.popleft().size
            self._cursor = 0
        return part

    def put_back(self, records: list[Any]) -> None:
        """Let the last records of the slice that was taken wait again."""
        self.waiting += len(records)
        if self._cursor:
            self._cursor -= len(records)
        else:  # they were the end of a chunk, which is gone
            chunk = Chunk(records, self.epoch)
            self.chunks.appendleft(chunk)
            self.waiting_bytes += chunk.size

    def drop_waiting(self) -> None:
        """Forget the records that wait; they will be fetched again."""
        self.chunks.clear()
        self._cursor = self.waiting = self.waiting_bytes = 0
        self.epoch = self.last = -1
        self.paused = False

    def oldest(self) -> int | None:
        """When the oldest change was written that was taken, or waits to be, and was not confirmed;
        epoch ms.
        """
        return next(iter(self.dated.values()), self.first_seen)

    def oldest_unsent(self) -> int | None:
        """The same, with what waits for connections that stand still."""
        known = (at for at in (self.oldest(), self.progress.owed_since) if at is not None)
        return min(known, default=None)
