"""Changes gather until there are enough of them, or they have waited long enough; pure.

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
class _Open:
    """What has gathered.

    Attributes:
        due: On the caller's steady clock, in seconds.
        lists: By connection, the settings and the list of its changes.
    """

    due: float
    items: list[InFlight] = field(default_factory=list)
    lists: dict[str, tuple[Any, str | None]] = field(default_factory=dict)
    size: int = 0


class Batcher:
    """What has gathered of one output.

    Changes of one connection with other settings, or for another list, never gather together: what
    waits may be of before and after a change of the definitions.

    Args:
        batching: when it is enough.
        list_of: the list that was made for a connection, where a change does not name it yet.

    Attributes:
        memory: about the bytes that all of it takes.
    """

    def __init__(
        self, batching: Batching, list_of: Callable[[str], str | None] = lambda _connection: None
    ) -> None:
        self._batching = batching
        self._list_of = list_of
        self._interval_s = batching.interval_ms / 1000
        self._open: dict[str, _Open] = {}
        self.memory = 0

    def add(self, item: InFlight, now: float) -> list[Batch]:
        """Take a change; returns what is to be delivered now, in order.

        The deletion of an audience goes alone, behind what has gathered before it.
        """
        change = item.change
        key = change.connection if self._batching.per_connection else ""
        if change.action == AUDIENCE_DELETE:
            return [*self.flush(key), Batch([item])]
        gathered = self._open.get(key)
        size = len(item.value)
        done: list[Batch] = []
        if gathered is not None and (
            gathered.size + size > self._batching.size or not self._goes_with(gathered, item)
        ):
            done = self.flush(key)
            gathered = None
        if gathered is None:
            gathered = self._open[key] = _Open(now + self._interval_s)
        gathered.items.append(item)
        gathered.size += size
        self.memory += item.memory
        gathered.lists.setdefault(change.connection, (change.settings, change.list_id))
        if len(gathered.items) >= self._batching.count or gathered.size >= self._batching.size:
            done += self.flush(key)
        return done

    def _goes_with(self, gathered: _Open, item: InFlight) -> bool:
        """Whether a change is for the same list as those of its connection that have gathered."""
        change = item.change
        before = gathered.lists.get(change.connection)
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
        """What has gathered under a key, if anything."""
        gathered = self._open.pop(key, None)
        if gathered is None:
            return []
        batch = Batch(gathered.items)
        self.memory -= batch.memory
        return [batch]

    def flush_most(self) -> list[Batch]:
        """The most that has gathered under any key."""
        key = max(self._open, key=lambda key: self._open[key].size, default="")
        return self.flush(key)

    def due(self, now: float) -> list[Batch]:
        """What has waited long enough."""
        keys = [key for key, gathered in self._open.items() if gathered.due <= now]
        return [batch for key in keys for batch in self.flush(key)]

    @property
    def next_due(self) -> float | None:
        """When the next will have; None when nothing waits."""
        return min((gathered.due for gathered in self._open.values()), default=None)

    def drop(self, connection: str) -> list[InFlight]:
        """Forget what has gathered of a connection; returns it."""
        dropped: list[InFlight] = []
        for key, gathered in list(self._open.items()):
            gone = [item for item in gathered.items if item.change.connection == connection]
            if gone:
                dropped += gone
                self.memory -= sum(item.memory for item in gone)
                left = [item for item in gathered.items if item.change.connection != connection]
                gathered.items, gathered.size = left, sum(len(item.value) for item in left)
                if not left:
                    del self._open[key]
        return dropped

    def clear(self) -> None:
        """Forget everything."""
        self._open.clear()
        self.memory = 0
