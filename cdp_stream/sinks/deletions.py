"""Deletions of audiences: passed on once nothing of the audience is left to be sent, and before
anything is that comes after.

Its message is in every partition of the output's topic. Each partition holds the connection behind
it, and says so in `cdp.sink-state` once all before it is delivered and that is durable. Who holds
partition 0 waits for all of these, has the connector delete, and writes that it was done; then
every partition lets the connection go on. So what a connection of the same name is told afterwards,
because the audience was defined again, never overtakes the deletion.

A partition's messages need not have the same id: definitions from files are told at each
partition's own time. A deletion is known by its place and its id.

Source: docs/memberships.md, deleting an audience.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from cdp_stream.connectors.change import AUDIENCE_DELETE
from cdp_stream.sinks.memory import Memory
from cdp_stream.sinks.taken import Taken

__all__ = ["Deletions"]


class Deletions:
    """The deletions that one output's sink has come to; their connections are held behind them.

    Args:
        memory: Holds what partitions say of them.
        partitions: Of the output's topic.
        act: Has the connector delete; `acted` is called when it has.
        done: Confirms a deletion in its partition, and lets its connection go on.
    """

    def __init__(
        self,
        memory: Memory,
        partitions: int,
        *,
        act: Callable[[Taken], None],
        done: Callable[[Taken], None],
    ) -> None:
        self._memory = memory
        self._partitions = partitions
        self._act = act
        self._done = done
        self._waiting: list[Taken] = []
        self._acted: list[Taken] = []
        self._noting = asyncio.Lock()

    def add(self, item: Taken) -> None:
        """Take a deletion; everything before it in its partition has been taken."""
        self._waiting.append(item)

    def acted(self, items: Collection[Taken]) -> list[Taken]:
        """Note which deletions the partner has taken; returns the rest."""
        rest: list[Taken] = []
        for item in items:
            (self._acted if item.change.action == AUDIENCE_DELETE else rest).append(item)
        return rest

    # Neither forgets what the partner has taken: that is noted whatever has stopped meanwhile, as
    # every partition waits for it.

    def drop(self, connection: str) -> None:
        """Forget those of a connection that is stopped; they will be read again."""
        self._waiting = [item for item in self._waiting if item.change.connection != connection]

    def clear(self) -> None:
        """Forget those of every connection; they will be read again."""
        self._waiting.clear()

    async def advance(self, durable: Callable[[Taken], bool]) -> None:
        """Go as far as what has been delivered now allows.

        Args:
            durable: whether everything of a deletion's connection before it has been delivered,
                and is known as that after a crash.
        """
        await self.note_acted()
        for item in list(self._waiting):
            connection, partition = item.change.connection, item.partition
            if item not in self._waiting:
                continue  # stopped meanwhile
            if self._memory.deleted(connection, partition) == _name(item):
                self._waiting.remove(item)
                self._done(item)
            elif not durable(item):
                continue
            elif partition != 0:
                await self._memory.note_waits(connection, partition, _name(item))
            elif self._all_wait(connection):
                self._waiting.remove(item)
                self._act(item)

    async def note_acted(self) -> None:
        """Write which deletions the partner has taken, and let their connections go on."""
        async with self._noting:
            while self._acted:
                item = self._acted[0]
                if self._memory.deleted(item.change.connection, 0) != _name(item):
                    await self._note_deleted(item)
                self._acted.remove(item)
                # It may have been read again, after its connection was stopped and went on.
                self._waiting = [other for other in self._waiting if other != item]
                self._done(item)

    def _all_wait(self, connection: str) -> bool:
        """Whether every other partition holds the connection behind a deletion not yet done."""
        return all(
            self._memory.waits(connection, other)
            not in {None, self._memory.deleted(connection, other)}
            for other in range(1, self._partitions)
        )

    async def _note_deleted(self, item: Taken) -> None:
        memory, connection = self._memory, item.change.connection
        if memory.list_of(connection) is not None:
            await memory.note_list(connection, None)
        await memory.note_refused(connection, ())
        deletions = {0: _name(item)}
        for other in range(1, self._partitions):
            deletions[other] = memory.waits(connection, other) or ""
        await memory.note_deleted(connection, deletions)
        for other in range(1, self._partitions):
            await memory.note_waits(connection, other, None)


def _name(item: Taken) -> str:
    return f"{item.offset}:{item.change.message_id}"
