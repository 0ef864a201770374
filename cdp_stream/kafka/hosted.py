"""One assigned partition: its processor, the records that wait for it, what is on its way."""

import asyncio
from collections import deque
from collections.abc import Sequence

from cdp_stream.kafka.chunks import Chunk
from cdp_stream.kafka.delivery import Lane
from cdp_stream.partition.effects import Record
from cdp_stream.partition.processor import ProfileProcessor

__all__ = ["FIRST_SWEPT", "SLICE", "HostedPartition", "is_time_marker"]

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


class HostedPartition:
    """One assigned partition.

    Attributes:
        number: The partition's number.
        processor: Decides; restored.
        lane: Delivers.
        applied: Offset of the last record applied; -1 when none was.
        epoch: Chunks of any other epoch are stale; -1 means all are.
        held: How many records wait.
        held_bytes: About the memory of those that wait in chunks.
        paused: Whether fetching is paused, as too much waits.
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

    def __init__(self, number: int, processor: ProfileProcessor, lane: Lane) -> None:
        self.number = number
        self.processor = processor
        self.lane = lane
        self.applied = processor.position
        self.epoch = 0
        self.chunks: deque[Chunk] = deque()
        self._cursor = 0
        self._rest: list[Record] = []
        self.held = self.held_bytes = 0
        self.paused = False
        # After a restart, what was due by the durable time comes before any record.
        self.fire_to: int | None = processor.time
        self.marker: int | None = None
        self.switching = False
        self.preparing: asyncio.Task[None] | None = None
        self.sweep_rows = FIRST_SWEPT
        self.lost_at: float | None = None
        self.behind_since: float | None = None
        self.looking: asyncio.Task[None] | None = None

    def add(self, chunk: Chunk) -> None:
        """Let a chunk wait."""
        self.chunks.append(chunk)
        self.held += len(chunk)
        self.held_bytes += chunk.size

    def drop_waiting(self) -> None:
        """Forget the records that wait; they will be fetched again."""
        self.chunks.clear()
        self._rest.clear()
        self._cursor = self.held = self.held_bytes = 0
        self.epoch = -1
        self.paused = False

    def take_slice(self) -> list[Record]:
        """Take the next records above what was applied, at most a slice, none behind a marker."""
        if self._rest:
            rest, self._rest = self._rest, []
            self.held -= len(rest)
            return rest
        taken: list[Record] = []
        # A partition that is not fetched, as so much of it waits, is behind however few they are.
        size = BACKLOG_SLICE if self.held > _BACKLOG or self.paused else SLICE
        marked = False
        while self.chunks and len(taken) < size and not marked:
            records = self.chunks[0].records
            start = self._first_new(records)
            part = records[start : start + size - len(taken)]
            for count, record in enumerate(part, start=1):
                if record.key is None and is_time_marker(record):
                    del part[count:]
                    marked = True
                    break
            taken += part
            end = start + len(part)
            self.held -= end - self._cursor
            self._cursor = end
            if end == len(records):
                self.held_bytes -= self.chunks.popleft().size
                self._cursor = 0
        return taken

    def put_back(self, rest: list[Record]) -> None:
        """Let records wait again that were taken last and not applied."""
        self._rest = rest
        self.held += len(rest)

    def _first_new(self, records: Sequence[Record]) -> int:
        """Index, from the cursor on, of the first record above what was applied."""
        index = self._cursor
        while index < len(records) and records[index].offset <= self.applied:
            index += 1
        return index
