"""The fetched records of one assigned partition, and what the worker knows of that partition."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from cdp_stream.kafka.clients.chunk import Chunk
from cdp_stream.kafka.commit.record_writer import Lane
from cdp_stream.partition.effects import Record
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.partition.processor import ProfileProcessor

__all__ = ["FIRST_SWEPT", "SLICE", "HostedPartition", "RecordQueue", "is_time_marker"]

SLICE = 500
"""Records, or due instants, taken at a time: a few ms of blocked loop."""
BACKLOG_SLICE = 1_000
"""Records taken at a time from a backlog, where rate counts more than latency: each slice costs
requests and tasks. Twice that gained nothing more."""
_BACKLOG = 5_000
FIRST_SWEPT = 5
"""Rows looked at in the first turn after a change of definitions."""


def is_time_marker(record: Record) -> bool:
    """Whether a record is a time marker: no key, an empty value, a header ``time``."""
    return (
        record.key is None
        and not record.value
        and any(name == "time" for name, _ in record.headers)
    )


class RecordQueue:
    """The records of one partition that were fetched and wait, within a share of memory.

    Fetching is paused while they take more than the share, and resumed when they take half of it.
    Both are up to the caller, who knows the consumer.

    Args:
        budget: Memory for what waits, shared with other partitions; joined.

    Attributes:
        epoch: Which seek the chunks must follow: others are stale. -1: all are.
        count: How many records wait.
        size: About the bytes of the chunks in which they wait.
        paused: Whether fetching is paused, as too much waits.
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        budget.join(self)
        self._chunks: deque[Chunk] = deque()
        self._cursor = 0
        self._rest: list[Any] = []
        self.epoch = -1
        self.count = self.size = 0
        self.paused = False

    def add(self, chunk: Chunk) -> bool:
        """Append a chunk; returns whether fetching has to be paused now."""
        self._chunks.append(chunk)
        self.count += len(chunk)
        self.size += chunk.size
        if self.paused or self.size <= self._budget.share():
            return False
        self.paused = True
        return True

    def drained(self) -> bool:
        """Whether fetching can be resumed now: it was paused, and half of the share is free."""
        if not self.paused or self.size > self._budget.share() // 2:
            return False
        self.paused = False
        return True

    def take(
        self, most: int, *, above: int = -1, ends: Callable[[Any], bool] | None = None
    ) -> list[Any]:
        """Remove and return the next records, at most so many.

        What was put back is returned by itself.

        Args:
            above: Records up to this offset are passed over.
            ends: Whether a record without a key has to be the last that is returned.
        """
        if self._rest:
            rest, self._rest = self._rest, []
            self.count -= len(rest)
            return rest
        taken: list[Any] = []
        ended = False
        while self._chunks and len(taken) < most and not ended:
            records = self._chunks[0].records
            start = self._cursor
            while start < len(records) and records[start].offset <= above:
                start += 1
            part = records[start : start + most - len(taken)]
            if ends is not None:
                for number, record in enumerate(part, start=1):
                    if record.key is None and ends(record):
                        del part[number:]
                        ended = True
                        break
            taken += part
            end = start + len(part)
            self.count -= end - self._cursor
            self._cursor = end
            if end == len(records):
                self.size -= self._chunks.popleft().size
                self._cursor = 0
        return taken

    def put_back(self, rest: list[Any]) -> None:
        """Return the last records of those taken last; their bytes are not counted again."""
        self._rest = rest
        self.count += len(rest)

    def clear(self) -> None:
        """Forget every record, also those still on their way here; they will be fetched again."""
        self._chunks.clear()
        self._rest.clear()
        self._cursor = self.count = self.size = 0
        self.epoch = -1
        self.paused = False


class HostedPartition(RecordQueue):
    """One assigned partition.

    Attributes:
        number: The partition's number.
        processor: Decides; restored.
        lane: Delivers.
        applied: Offset of the last record applied; -1 when none was.
        fire_to: Records wait until no instant up to this is due; ``None``: they may go.
        marker: Input position to commit then, behind a time marker.
        switching: Whether other definitions were taken over that are not durable yet.
        preparing: What works out its next switch; ``None`` when nothing does.
        sweep_rows: How many rows to look at in a turn because definitions changed.
        lost_at: ``time.monotonic()`` as another worker's taking over was noticed; ``None``: not.
        behind_since: ``time.monotonic()`` as its definitions were found to be newer than all that
            were read; ``None``: they are not.
        looking: What looks whether its position exists, where a broker said no; ``None``: nothing.
    """

    def __init__(
        self, number: int, processor: ProfileProcessor, lane: Lane, budget: MemoryBudget
    ) -> None:
        super().__init__(budget)
        self.number = number
        self.processor = processor
        self.lane = lane
        self.applied = processor.position
        self.epoch = 0
        # After a restart, what was due by the durable time comes before any record.
        self.fire_to: int | None = processor.time
        self.marker: int | None = None
        self.switching = False
        self.preparing: asyncio.Task[None] | None = None
        self.sweep_rows = FIRST_SWEPT
        self.lost_at: float | None = None
        self.behind_since: float | None = None
        self.looking: asyncio.Task[None] | None = None

    def take_slice(self) -> list[Record]:
        """Take the next records above what was applied, at most a slice, none behind a marker."""
        # A partition that is not fetched, as so much of it waits, is behind however few they are.
        size = BACKLOG_SLICE if self.count > _BACKLOG or self.paused else SLICE
        return self.take(size, above=self.applied, ends=is_time_marker)
