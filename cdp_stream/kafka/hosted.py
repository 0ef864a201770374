"""One assigned partition: its processor, the records that wait for it, what is on its way."""

from collections import deque

from cdp_stream.kafka.chunks import Chunk
from cdp_stream.kafka.delivery import Lane
from cdp_stream.partition.effects import Processor, Record

__all__ = ["SLICE", "HostedPartition", "is_time_marker"]

SLICE = 500
"""Records, or due instants, taken at a time: a few ms of blocked loop."""


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
        paused: Whether fetching is paused, as too many wait.
        fire_to: Records wait until no instant up to this is due; ``None``: they may go.
        marker: Input position to commit then, behind a time marker.
    """

    def __init__(self, number: int, processor: Processor, lane: Lane) -> None:
        self.number = number
        self.processor = processor
        self.lane = lane
        self.applied = processor.position
        self.epoch = 0
        self.chunks: deque[Chunk] = deque()
        self._cursor = 0
        self.held = 0
        self.paused = False
        # After a restart, what was due by the durable time comes before any record.
        self.fire_to: int | None = processor.time
        self.marker: int | None = None

    def drop_waiting(self) -> None:
        """Forget the records that wait; they will be fetched again."""
        self.chunks.clear()
        self._cursor = self.held = 0
        self.epoch = -1
        self.paused = False

    def take_slice(self) -> list[Record]:
        """Take the next records above what was applied, at most a slice, none behind a marker."""
        taken: list[Record] = []
        while self.chunks and len(taken) < SLICE:
            records = self.chunks[0].records
            end = min(len(records), self._cursor + SLICE - len(taken))
            for index in range(self._cursor, end):
                record = records[index]
                if record.offset <= self.applied:
                    continue
                taken.append(record)
                if record.key is None and is_time_marker(record):
                    end = index + 1
                    break
            self.held -= end - self._cursor
            self._cursor = end
            if end == len(records):
                self.chunks.popleft()
                self._cursor = 0
            if taken and taken[-1].key is None and is_time_marker(taken[-1]):
                break
        return taken
