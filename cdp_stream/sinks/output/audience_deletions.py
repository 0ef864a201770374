"""Deletions of audiences: sent to the partner after all earlier changes of the audience, and before
all later ones.

A deletion's message is in every partition of the output's topic. Each partition blocks the
connection behind it, and notes in `cdp.sink-state` once all before it is delivered and that is
durable. The worker with partition 0 waits for all of these notes, has the connector delete, and
notes that it was done; then every partition goes on with the connection. So what a connection of
the same name is sent afterwards, because the audience was defined again, never overtakes the
deletion.

Where definitions are files, a partition may lack a deletion that others have: it was assigned again
to a worker with an older file, for example. Then the others would wait for ever. After a while that
is a fault of the connection (`AudienceDeletions.look`). When the connection is resumed, the
deletion is done without the partitions that still lack it, or passed over if partition 0 is one of
them.

A partition's messages need not have the same id: definitions from files are applied at each
partition's own time. A deletion is known by its place and its id.

Source: docs/memberships.md, deleting an audience.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

from cdp_stream.connectors.change import AUDIENCE_DELETE
from cdp_stream.connectors.exchange import Fault
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.state.sink_state import SinkState

__all__ = ["PATIENCE_S", "AudienceDeletions"]

PATIENCE_S: Final = 600.0
"""How long others may lack a deletion, with all that they had delivered, before it is a fault."""

Reached = Callable[[str, Collection[int]], Awaitable[Mapping[int, tuple[int, int]]]]
"""For a connection and partitions: below which offset everything has been delivered, and where the
partition ends; without those that cannot be asked now."""


class AudienceDeletions:
    """The deletions that one output's sink has reached; their connections are blocked behind them.

    Args:
        state: Has what partitions noted of them.
        partitions: How many the output's topic has.
        send: Has the connector delete; `acted` is called when it has.
        over: Confirms a deletion in its partition, and goes on with its connection.
    """

    def __init__(
        self,
        state: SinkState,
        partitions: int,
        *,
        send: Callable[[InFlight], None],
        over: Callable[[InFlight], None],
    ) -> None:
        self._state = state
        self._partitions = partitions
        self._send = send
        self._over = over
        self._waiting: list[InFlight] = []
        self._acted: list[InFlight] = []
        self._noting = asyncio.Lock()
        # Those that were read again after the fault that others lack them.
        self._resumed: list[InFlight] = []
        # Since when it has been known of a connection that partitions lack a deletion, and where
        # these ended then.
        self._lacking: dict[str, tuple[float, Mapping[int, int]]] = {}

    def add(self, item: InFlight) -> None:
        """Add a deletion; everything before it in its partition has been read."""
        self._waiting.append(item)
        if self._state.is_marked(item.change.connection, item.partition, _name(item), "overdue"):
            self._resumed.append(item)

    def acted(self, items: Collection[InFlight]) -> list[InFlight]:
        """Note which deletions the partner has done; returns the other changes."""
        rest: list[InFlight] = []
        for item in items:
            (self._acted if item.change.action == AUDIENCE_DELETE else rest).append(item)
        return rest

    # Neither forgets what the partner has done: that is noted whatever has stopped meanwhile, as
    # every partition waits for it.

    def drop(self, connection: str) -> None:
        """Forget those of a connection that is stopped; they will be read again."""
        for items in (self._waiting, self._resumed):
            items[:] = [item for item in items if item.change.connection != connection]

    def clear(self) -> None:
        """Forget those of every connection; they will be read again."""
        self._waiting.clear()
        self._resumed.clear()
        self._lacking.clear()

    async def advance(self, is_durable: Callable[[InFlight], bool]) -> None:
        """Do the steps that the deliveries so far allow.

        Args:
            is_durable: Whether everything of a deletion's connection before it has been delivered,
                and is known as that after a crash.
        """
        await self.note_acted()
        for item in list(self._waiting):
            connection, partition = item.change.connection, item.partition
            if item not in self._waiting:
                continue  # stopped meanwhile
            if self._is_over(item):
                self._drop(item)
                self._over(item)
            elif not is_durable(item):
                continue
            elif partition == 0 and (item in self._resumed or self._lack(connection) <= {0}):
                self._drop(item)
                self._send(item)
            elif partition != 0 and item in self._resumed and 0 in self._lack(connection):
                await self._state.note_marked(connection, partition, _name(item), "passed")
            else:
                await self._state.note_waits(connection, partition, _name(item))

    async def note_acted(self) -> None:
        """Write which deletions the partner has done, and go on with their connections."""
        async with self._noting:
            while self._acted:
                item = self._acted[0]
                if self._state.deleted(item.change.connection, 0) != _name(item):
                    await self._note_deleted(item)
                self._acted.remove(item)
                # It may have been read again, after its connection was stopped and resumed.
                self._drop(item)
                self._over(item)

    def _drop(self, item: InFlight) -> None:
        for items in (self._waiting, self._resumed):
            items[:] = [other for other in items if other != item]

    async def look(
        self, now: float, reached: Reached, fault: Callable[[Fault, str], object]
    ) -> None:
        """Stop connections that wait for a deletion which partitions lack.

        Args:
            now: On a steady clock, in seconds.
            reached: How far a connection has been delivered in partitions, and where these end.
            fault: Called with what has to stop.
        """
        waiting = {item.change.connection: item for item in self._waiting}
        for connection in self._lacking.keys() - waiting.keys():
            del self._lacking[connection]
        for connection, item in waiting.items():
            lack = self._lack(connection)
            if not self._waits(connection, item.partition) or not lack:
                self._lacking.pop(connection, None)
                continue
            at = await reached(connection, lack)
            if not lack <= at.keys() or lack != self._lack(connection):
                continue
            since, ends = self._lacking.setdefault(
                connection, (now, {number: end for number, (_, end) in at.items()})
            )
            have_passed = all(at[n][0] >= ends.get(n, at[n][1]) for n in lack)
            if now - since >= PATIENCE_S and have_passed:
                del self._lacking[connection]
                fault(Fault("connection", _message(item, lack), "deletion"), connection)
                await self._note_overdue(connection)

    def _is_over(self, item: InFlight) -> bool:
        connection, partition, name = item.change.connection, item.partition, _name(item)
        done = self._state.deleted(connection, partition) == name
        return done or self._state.is_marked(connection, partition, name, "passed")

    def _lack(self, connection: str) -> frozenset[int]:
        """The partitions that do not block the connection behind a deletion not yet done."""
        numbers = range(self._partitions)
        return frozenset(n for n in numbers if not self._waits(connection, n))

    def _waits(self, connection: str, number: int) -> bool:
        deletion = self._state.waits(connection, number)
        return deletion not in {None, self._state.deleted(connection, number)}

    async def _note_overdue(self, connection: str) -> None:
        for number in range(self._partitions):
            deletion = self._state.waits(connection, number)
            if deletion is not None and self._waits(connection, number):
                await self._state.note_marked(connection, number, deletion, "overdue")

    async def _note_deleted(self, item: InFlight) -> None:
        state, connection = self._state, item.change.connection
        if state.list_of(connection) is not None:
            await state.note_list(connection, None)
        await state.note_refused(connection, ())
        deletions = {0: _name(item)}
        for other in range(1, self._partitions):
            deletion = state.waits(connection, other) or state.deleted(connection, other)
            deletions[other] = deletion or ""
        await state.note_deleted(connection, deletions)
        for number in range(self._partitions):
            await state.note_waits(connection, number, None)


def _name(item: InFlight) -> str:
    return f"{item.offset}:{item.change.message_id}"


def _message(item: InFlight, lack: Collection[int]) -> str:
    numbers = ", ".join(map(str, sorted(lack)))
    noun = "partition" if len(lack) == 1 else "partitions"
    then = (
        "the others continue, and the partner is not asked: check whether it must delete its "
        "audience"
        if 0 in lack
        else "the partner is asked without waiting for more"
    )
    return (
        f"audience {item.change.audience_id} was deleted, but {noun} {numbers} of the output's "
        f"topic did not get that, as workers had different definitions; give all workers the same, "
        f"then resume connection {item.change.connection}: {then}"
    )
