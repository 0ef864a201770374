"""With which settings a change is delivered: those that its connection had as it was written.

So a change goes to the list that it is about, however long it waits. But a record alone is not
trusted: its settings count only if definitions gave them to its connection, now or in an earlier
version. Otherwise anyone who can write to the output's topic could redirect changes, and secrets.
These settings are known: those defined now, those that sinks remember, and those of earlier
versions that the topic of definitions still has. A record without settings needs no check.

Once a fault was about settings (their list was deleted, they do not fit, a variable is not set, no
definitions have them), waiting changes could never be delivered with them. From then on changes
that were written with them get the settings that the connection has in the definitions now, if it
is still defined. Every member is sent again when settings change, so the new list ends with the
right members.

The deletion of an audience always has the settings that it was written with: it is about that list.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from cdp_stream.connectors.change import AUDIENCE_DELETE
from cdp_stream.core.model.connection import Connection
from cdp_stream.sinks.state.sink_state import SinkState

__all__ = ["DeliverySettings"]

Settings = Mapping[str, Any]


class DeliverySettings:
    """The settings of connections, of all outputs of a process.

    Args:
        state: Knows which settings connections have had, and which faults were about.
        earlier: The connections of earlier versions of the definitions, as far as they can be read;
            called in a thread, when first needed.
    """

    def __init__(
        self,
        state: SinkState,
        earlier: Callable[[], Iterable[Iterable[Connection]]] = lambda: (),
    ) -> None:
        self._state = state
        self._earlier = earlier
        self._defined: dict[str, Settings] = {}
        self._had: set[tuple[str, str]] = set()
        self._version = 0
        self._read_version = -1
        self._reading: asyncio.Task[int] | None = None

    async def define(self, connections: Iterable[Connection]) -> None:
        """Use what is defined now, and have all sinks remember it."""
        self._version += 1  # there may be others between it and the one before
        self._defined = {connection.id: connection.settings for connection in connections}
        notes = []
        for connection, settings in self._defined.items():
            digest = _digest(settings)
            self._had.add((connection, digest))
            if settings:
                notes.append(self._state.note_settings(connection, digest))
        await asyncio.gather(*notes)

    def settings_of(self, message: Mapping[str, Any]) -> Settings | None:
        """The settings with which a record's change is delivered, as written; None where no
        definitions that are known here gave its connection those in it.
        """
        connection, written = message["connection"], message.get("settings") or {}
        defined = self._defined.get(connection)
        if message["action"] != AUDIENCE_DELETE:
            refused = self._state.refused(connection)
            if refused and defined is not None and _digest(written) in refused:
                return defined
        if written and written != defined and not self._was_defined(connection, written):
            return None
        return written

    def is_defined(self, connection: str) -> bool:
        """Whether a connection is defined now."""
        return connection in self._defined

    async def refuse(self, message: Mapping[str, Any]) -> None:
        """Note that a connection's fault was about the settings of a record."""
        if message["action"] == AUDIENCE_DELETE:
            return
        connection, written = str(message["connection"]), message.get("settings") or {}
        known = self._state.refused(connection)
        refused = {_digest(written)}
        if refused <= known:  # then it was about those that were used instead
            refused.add(_digest(self._defined.get(connection, written)))
        if not refused <= known:
            await self._state.note_refused(connection, refused | known)

    def _was_defined(self, connection: str, settings: Settings) -> bool:
        digest = _digest(settings)
        return (connection, digest) in self._had or digest in self._state.settings(connection)

    def has_read_earlier(self) -> bool:
        """Whether earlier versions have been read; starts to read them where they have not."""
        if self._reading is not None and self._reading.done():
            self._read_version = self._reading.result()
            self._reading = None
        if self._reading is None and self._read_version != self._version:
            self._reading = asyncio.create_task(self._read_earlier(self._version))
        return self._reading is None

    async def _read_earlier(self, version: int) -> int:
        """Learn what the versions before one gave connections; returns that one."""

        def found() -> set[tuple[str, str]]:
            return {
                (connection.id, _digest(connection.settings))
                for connections in self._earlier()
                for connection in connections
            }

        self._had |= await asyncio.to_thread(found)
        return version


def _digest(settings: Settings) -> str:
    """A digest of settings, which reveals none of them."""
    return hashlib.sha256(orjson.dumps(settings, option=orjson.OPT_SORT_KEYS)).hexdigest()
