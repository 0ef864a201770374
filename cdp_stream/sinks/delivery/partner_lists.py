"""The partner's list of a connection that names none: made once, whichever worker needs it.

The worker that is assigned partition 0 of the output's topic makes it. The others ask for it in
`cdp.sink-state`, and all find its id there. `create_list` makes a list or finds the one of that
name, so a crash between making it and writing its id makes no second one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.exchange import Fault
from cdp_stream.sinks.delivery.record_reader import UndefinedError, UnreadableError
from cdp_stream.sinks.http.cancellation import AbandonedError, Cancellation
from cdp_stream.sinks.http.sender import Sender
from cdp_stream.sinks.offsets.assignment import Assignment
from cdp_stream.sinks.output.context import OutputContext

__all__ = ["PartnerLists"]

_POLL_S: Final = 0.1

OnFault = Callable[[Fault, str, Mapping[str, Any]], object]


class PartnerLists:
    """The lists of one output's connections, made by its sender."""

    def __init__(self, context: OutputContext, assignment: Assignment, sender: Sender) -> None:
        self._context = context
        self._state = context.state
        self._assignment = assignment
        self._sender = sender
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._cancellation = Cancellation()

    @property
    def _is_maker(self) -> bool:
        return 0 in self._assignment.partitions

    async def list_for(self, change: OutputChange[Any], cancellation: Cancellation) -> str:
        """The id of the list of a change's connection, made if there is none.

        Raises:
            Fault: The partner does not let us.
            AbandonedError: Cancelled.
        """
        while True:
            known = self._state.list_of(change.connection)
            if known is not None:
                return known
            if self._is_maker:
                return await self._make(change, cancellation)
            await self._state.want_list(self._context.output, change.connection, change.message)
            await cancellation.unless(asyncio.sleep(_POLL_S))

    async def forget(self, change: OutputChange[Any]) -> None:
        """Forget the list that was made for a change's connection, if the change was for it.

        The next change makes one, or finds it. The list of a deletion is remembered.
        """
        made = self._state.list_of(change.connection)
        is_for_it = change.list_id in {None, made} and change.action != AUDIENCE_DELETE
        if made is not None and is_for_it:
            await self._state.note_list(change.connection, None)

    def make_wanted(self, fault: OnFault) -> None:
        """Start to make the lists that other workers wait for, if this worker makes them.

        Args:
            fault: Called with what has to stop, the connection and the message that it was about.
        """
        if not self._is_maker or self._tasks:
            return
        for message in self._state.lists_wanted(self._context.output):
            task = asyncio.create_task(self._make_one(message, fault, self._cancellation))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def drain(self, timeout_s: float) -> None:
        """Make no more lists for other workers; return once no request is under way.

        Args:
            timeout_s: How long a partner may take to answer a request under way.
        """
        self._cancellation.set()
        self._cancellation = Cancellation()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _make_one(
        self, message: Mapping[str, Any], fault: OnFault, cancellation: Cancellation
    ) -> None:
        connection = str(message["connection"])
        try:
            await self._make(self._context.reader.read(orjson.dumps(message)), cancellation)
        except Fault as error:
            if cancellation.is_set:  # another worker may make it by now, with settings that fit
                return
            await self._state.list_made(self._context.output, connection)
            fault(error, connection, message)
        except UnreadableError:  # the worker with the next change requests it again
            await self._state.list_made(self._context.output, connection)
        except (AbandonedError, UndefinedError):  # it is still wanted, and tried again
            return

    async def _make(self, change: OutputChange[Any], cancellation: Cancellation) -> str:
        connection = change.connection
        async with self._locks.setdefault(connection, asyncio.Lock()):
            known = self._state.list_of(connection)
            if known is None:
                known = await self._sender.create_list(change, cancellation)
                await self._state.note_list(connection, known)
            await self._state.list_made(self._context.output, connection)
            return known
