"""Batches of changes: complete when they are large enough or have waited long enough; pure.

Source: docs/memberships.md, batching: count, bytes, interval, whichever is first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cdp_stream.connectors.change import AUDIENCE_DELETE
from cdp_stream.connectors.connector import Batching
from cdp_stream.sinks.offsets.in_flight import Batch, InFlight

__all__ = ["Batcher"]


@dataclass(slots=True)
class _OpenBatch:
    """A batch that is not complete.

    Attributes:
        due: When it has waited long enough, on the caller's steady clock, seconds.
        lists: By connection, the settings and the list of its changes.
        size: Bytes of its records.
    """

    due: float
    items: list[InFlight] = field(default_factory=list)
    lists: dict[str, tuple[Any, str | None]] = field(default_factory=dict)
    size: int = 0


class Batcher:
    """The batches of one output that are not complete.

    Changes of one connection with other settings, or for another list, are never in one batch: the
    definitions may have changed between them.

    Args:
        batching: When a batch is complete.
        list_of: The list that was made for a connection, where a change does not name it yet.

    Attributes:
        memory: About the bytes of all of them.
    """

    def __init__(
        self, batching: Batching, list_of: Callable[[str], str | None] = lambda _connection: None
    ) -> None:
        self._batching = batching
        self._list_of = list_of
        self._interval_s = batching.interval_ms / 1000
        self._open: dict[str, _OpenBatch] = {}
        self.memory = 0

    def add(self, item: InFlight, now: float) -> list[Batch]:
        """Add a change; returns the batches that are complete now, in order.

        The deletion of an audience is a batch by itself, behind what came before it.
        """
        change = item.change
        key = change.connection if self._batching.per_connection else ""
        if change.action == AUDIENCE_DELETE:
            return [*self.flush(key), Batch([item])]
        batch, size = self._open.get(key), len(item.value)
        complete: list[Batch] = []
        if batch is not None and (
            batch.size + size > self._batching.size or not self._same_list(batch, item)
        ):
            complete, batch = self.flush(key), None
        if batch is None:
            batch = self._open[key] = _OpenBatch(now + self._interval_s)
        batch.items.append(item)
        batch.size += size
        self.memory += item.memory
        batch.lists.setdefault(change.connection, (change.settings, change.list_id))
        if len(batch.items) >= self._batching.count or batch.size >= self._batching.size:
            complete += self.flush(key)
        return complete

    def _same_list(self, batch: _OpenBatch, item: InFlight) -> bool:
        """Whether a change is for the same list as those of its connection in a batch."""
        change = item.change
        before = batch.lists.get(change.connection)
        if before is None:
            return True
        settings, list_id = before
        if settings is not change.settings and settings != change.settings:
            return False
        if list_id == change.list_id:
            return True
        made = self._list_of(change.connection)
        return (list_id or made) == (change.list_id or made)

    def flush(self, key: str) -> list[Batch]:
        """Remove and return the batch of a key, if there is one."""
        batch = self._open.pop(key, None)
        if batch is None:
            return []
        complete = Batch(batch.items)
        self.memory -= complete.memory
        return [complete]

    def flush_largest(self) -> list[Batch]:
        """Remove and return the largest batch, if there is any."""
        return self.flush(max(self._open, key=lambda key: self._open[key].size, default=""))

    def due(self, now: float) -> list[Batch]:
        """Remove and return the batches that have waited long enough."""
        keys = [key for key, batch in self._open.items() if batch.due <= now]
        return [batch for key in keys for batch in self.flush(key)]

    @property
    def next_due(self) -> float | None:
        """When the next batch has waited long enough; None when there is none."""
        return min((batch.due for batch in self._open.values()), default=None)

    def drop(self, connection: str) -> None:
        """Forget the changes of a connection."""
        for key, batch in list(self._open.items()):
            for item in [one for one in batch.items if one.change.connection == connection]:
                self.memory -= item.memory
                batch.size -= len(item.value)
            batch.items[:] = [one for one in batch.items if one.change.connection != connection]
            if not batch.items:
                del self._open[key]

    def clear(self) -> None:
        """Forget everything."""
        self._open.clear()
        self.memory = 0
