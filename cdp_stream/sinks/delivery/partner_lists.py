"""The partner's list of a connection that names none: made once, whoever has changes for it.

The worker that holds partition 0 of the output's topic makes it; the others ask for it in
`cdp.sink-state`, and all find its id there. As `create_list` makes a list or finds the one of that
name, a crash between the making and the writing makes no second one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.exchange import Fault
from cdp_stream.sinks.delivery.destination import HttpDestination
from cdp_stream.sinks.delivery.record_reader import RecordReader, UndefinedError, UnreadableError
from cdp_stream.sinks.http.cancellation import AbandonedError, Cancellation
from cdp_stream.sinks.state.sink_state import SinkState

__all__ = ["PartnerLists"]

_LOOK_S: Final = 0.1


class PartnerLists:
    """The lists of one output's connections.

    Args:
        output: Its id.
        destination: Makes them.
        state: Where their ids are.
        is_maker: Whether this worker is the one that makes them now.
    """

    def __init__(
        self,
        output: str,
        destination: HttpDestination,
        state: SinkState,
        is_maker: Callable[[], bool],
    ) -> None:
        self._output = output
        self._destination = destination
        self._state = state
        self._is_maker = is_maker
        self._making: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._cancellation = Cancellation()

    def known(self, connection: str) -> str | None:
        """The list that was made for a connection."""
        return self._state.list_of(connection)

    async def list_for(self, change: OutputChange[Any], cancellation: Cancellation) -> str:
        """The id of the list of a change's connection, made if there is none.

        Raises:
            Fault: The partner does not let us.
            AbandonedError: Told to stop.
        """
        connection = change.connection
        while True:
            known = self._state.list_of(connection)
            if known is not None:
                return known
            if self._is_maker():
                return await self._make(change, cancellation)
            await self._state.want_list(self._output, connection, change.message)
            await cancellation.unless(asyncio.sleep(_LOOK_S))

    async def forget(self, change: OutputChange[Any]) -> None:
        """Know the list no more that was made for a change's connection, if the change was for it.

        Whoever has the next change makes one, or finds it. What is to be deleted is kept in mind.
        """
        made = self._state.list_of(change.connection)
        is_for_it = change.list_id in {None, made} and change.action != AUDIENCE_DELETE
        if made is not None and is_for_it:
            await self._state.note_list(change.connection, None)

    def make_wanted(
        self, reader: RecordReader, fault: Callable[[Fault, Mapping[str, Any]], None]
    ) -> None:
        """Make the lists that other workers wait for, if that is ours to do.

        Args:
            fault: Told what has to stop, and the message that it was about.
        """
        if not self._is_maker() or self._tasks:
            return
        for message in self._state.lists_wanted(self._output):
            task = asyncio.create_task(
                self._make_wanted(message, reader, fault, self._cancellation)
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def come_to_rest(self, patience_s: float) -> None:
        """Leave the making of what others wait for to whoever comes next; return as it has ended.

        Args:
            patience_s: How long a partner may take to answer what is being asked.
        """
        self._cancellation.set()
        self._cancellation = Cancellation()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=patience_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _make_wanted(
        self,
        message: Mapping[str, Any],
        reader: RecordReader,
        fault: Callable[[Fault, Mapping[str, Any]], None],
        cancellation: Cancellation,
    ) -> None:
        connection = str(message["connection"])
        try:
            await self._make(reader.read(orjson.dumps(message)), cancellation)
        except Fault as error:
            if cancellation.is_set:  # it may be another's by now, whose settings are correct
                return
            await self._state.list_made(self._output, connection)
            fault(error, message)
        except UnreadableError:  # whoever has the next change asks again
            await self._state.list_made(self._output, connection)
        except (AbandonedError, UndefinedError):  # it is wanted still, and tried again
            return

    async def _make(self, change: OutputChange[Any], cancellation: Cancellation) -> str:
        connection = change.connection
        async with self._making.setdefault(connection, asyncio.Lock()):
            known = self._state.list_of(connection)
            if known is None:
                known = await self._destination.create_list(change, cancellation)
                await self._state.note_list(connection, known)
            await self._state.list_made(self._output, connection)
            return known
