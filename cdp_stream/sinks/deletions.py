"""Deletions of audiences: passed on once nothing of the audience is left to be sent.

Its message is in every partition of the output's topic. Each worker reports the partitions of its
own whose committed position has come to it (`cdp.sink-state`), and lets them go on; who holds
partition 0 waits for all of these, then has the connector delete. The reports are forgotten when
that has been committed: until then a crash does it again.

Source: docs/memberships.md, deleting an audience.
"""

from __future__ import annotations

from collections.abc import Callable

from cdp_stream.sinks.memory import Memory
from cdp_stream.sinks.progress import Progress
from cdp_stream.sinks.taken import Taken

__all__ = ["Deletions"]


class Deletions:
    """The deletions that one output's sink has come to.

    Args:
        memory: Holds the reports.
        partitions: Of the output's topic.
        confirm: Lets a partition go on behind a deletion.
        act: Has the connector delete.
    """

    def __init__(
        self,
        memory: Memory,
        partitions: int,
        *,
        confirm: Callable[[Taken], None],
        act: Callable[[Taken], None],
    ) -> None:
        self._memory = memory
        self._partitions = partitions
        self._confirm = confirm
        self._act = act
        self._waiting: list[Taken] = []
        self._acting: list[Taken] = []

    def add(self, item: Taken) -> None:
        """Take a deletion; everything before it in its partition has been taken."""
        self._waiting.append(item)

    def drop(self, connection: str) -> None:
        """Forget those of a connection that is stopped; they will be read again."""
        self._waiting = [i for i in self._waiting if i.change.connection != connection]
        self._acting = [i for i in self._acting if i.change.connection != connection]

    def clear(self) -> None:
        """Forget all; they will be read again."""
        self._waiting.clear()
        self._acting.clear()

    async def advance(self, committed: Callable[[int], int], progress: dict[int, Progress]) -> None:
        """Go as far as what is committed now allows.

        Args:
            committed: The group's committed position of a partition.
            progress: Of the partitions held.
        """
        for item in [i for i in self._acting if committed(i.partition) > i.offset]:
            self._acting.remove(item)
            await self._forget(item)
        for item in list(self._waiting):
            course = progress.get(item.partition)
            connection, message_id = item.change.connection, item.change.message_id
            if (
                course is None
                or course.position_of(connection) != item.offset
                or committed(item.partition) < item.offset
            ):
                continue
            if item.partition != 0:
                await self._memory.note_passed(connection, message_id, item.partition)
            elif not self._all_passed(connection, message_id):
                continue
            if item not in self._waiting:
                continue  # stopped while that was written
            self._waiting.remove(item)
            if item.partition == 0:
                self._acting.append(item)
                self._act(item)
            else:
                self._confirm(item)

    def _all_passed(self, connection: str, message_id: str) -> bool:
        return all(
            self._memory.has_passed(connection, message_id, other)
            for other in range(1, self._partitions)
        )

    async def _forget(self, item: Taken) -> None:
        connection, message_id = item.change.connection, item.change.message_id
        for other in range(1, self._partitions):
            await self._memory.note_passed(connection, message_id, other, passed=False)
        if self._memory.list_of(connection) is not None:
            await self._memory.note_list(connection, None)
