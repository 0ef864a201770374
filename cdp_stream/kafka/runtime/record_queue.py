"""The fetched records of one partition that wait, within a share of memory."""

from collections import deque
from collections.abc import Callable
from typing import Any

from cdp_stream.kafka.clients.chunk import Chunk
from cdp_stream.partition.memory_budget import MemoryBudget

__all__ = ["RecordQueue"]


class RecordQueue:
    """The records of one partition that were fetched and wait, within a share of memory.

    Fetching is paused while they use more than the share, and resumed when they use half of it.
    The caller does both, as it has the consumer.

    Args:
        budget: Memory for what waits, shared with other partitions; joined.

    Attributes:
        epoch: The seek that chunks must follow; others are stale. -1: all are.
        count: How many records wait.
        size: About the bytes of the chunks in which they wait.
        paused: Whether fetching is paused, because too much waits.
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

        Records that were put back are returned alone.

        Args:
            above: Records up to this offset are skipped.
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
        """Put back the last of the records that `take` returned; their bytes count no more."""
        self._rest = rest
        self.count += len(rest)

    def clear(self) -> None:
        """Drop all records, also those that are still to arrive; they will be fetched again."""
        self._chunks.clear()
        self._rest.clear()
        self._cursor = self.count = self.size = 0
        self.epoch = -1
        self.paused = False
