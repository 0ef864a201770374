"""The records of one partition that were fetched and wait to be applied."""

from collections import deque
from collections.abc import Sequence

from cdp_stream.kafka.faust_adapter.consumer import Chunk
from cdp_stream.partition.effects import Record
from cdp_stream.partition.room import Room

__all__ = ["SLICE", "RecordQueue", "is_time_marker"]

SLICE = 500
"""Records, or due instants, in one step: a few ms of blocked loop."""
BACKLOG_SLICE = 1_000
"""Records in one step of a backlog, where rate counts more than latency: each slice costs requests
and tasks. Slices of twice that size gained nothing more."""
_BACKLOG = 5_000


def is_time_marker(record: Record) -> bool:
    """Whether a record is a time marker: no key, an empty value, a header ``time``."""
    return (
        record.key is None
        and not record.value
        and any(name == "time" for name, _ in record.headers)
    )


class RecordQueue:
    """Records in the order of their offsets; its length is how many wait.

    Args:
        room: Memory for fetched records, of all partitions together.

    Attributes:
        size: About the bytes of memory of the chunks that wait.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._chunks: deque[Chunk] = deque()
        self._cursor = 0
        self._rest: list[Record] = []
        self._count = 0
        self.size = 0
        room.join(self)

    def __len__(self) -> int:
        """How many records wait."""
        return self._count

    @property
    def is_over_its_share(self) -> bool:
        """Whether nothing more should be fetched for now."""
        return self.size > self._room.share()

    @property
    def is_half_empty(self) -> bool:
        """Whether fetching may go on."""
        return self.size <= self._room.share() // 2

    def add(self, chunk: Chunk) -> None:
        """Add the records of a fetch."""
        self._chunks.append(chunk)
        self._count += len(chunk)
        self.size += chunk.size

    def clear(self) -> None:
        """Drop all records; they will be fetched again."""
        self._chunks.clear()
        self._rest.clear()
        self._cursor = self._count = self.size = 0

    def next_slice(self, after: int, *, is_backlog: bool = False) -> list[Record]:
        """Remove and return the next records; a time marker is the last of its slice.

        Args:
            after: Records up to this offset were applied already and are left out.
            is_backlog: Whether the partition is behind, however few records wait here.
        """
        if self._rest:
            rest, self._rest = self._rest, []
            self._count -= len(rest)
            return rest
        found: list[Record] = []
        size = BACKLOG_SLICE if is_backlog or self._count > _BACKLOG else SLICE
        marked = False
        while self._chunks and len(found) < size and not marked:
            records = self._chunks[0].records
            start = self._first_after(records, after)
            part = records[start : start + size - len(found)]
            for count, record in enumerate(part, start=1):
                if record.key is None and is_time_marker(record):
                    del part[count:]
                    marked = True
                    break
            found += part
            end = start + len(part)
            self._count -= end - self._cursor
            self._cursor = end
            if end == len(records):
                self.size -= self._chunks.popleft().size
                self._cursor = 0
        return found

    def put_back(self, rest: list[Record]) -> None:
        """Put back records of the newest slice that were not applied."""
        self._rest = rest
        self._count += len(rest)

    def _first_after(self, records: Sequence[Record], offset: int) -> int:
        """Index, from the cursor on, of the first record behind an offset."""
        index = self._cursor
        while index < len(records) and records[index].offset <= offset:
            index += 1
        return index
