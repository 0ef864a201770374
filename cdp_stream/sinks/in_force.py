"""With which settings a change is delivered: those that its connection had as it was told.

So a change goes to the list that it is about, however long it waits. But once a fault was about
these settings (their list is gone, they do not fit, a variable is not set), what waits could never
be delivered with them. From then on changes that were told with them get the settings that the
connection has in the definitions now, if it is still defined. As every member is told again when
settings change, the new list ends with the right members.

The deletion of an audience always has the settings that it was told with: it is about that list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from cdp_stream.connectors.change import AUDIENCE_DELETE
from cdp_stream.core.connection import Connection
from cdp_stream.sinks.memory import Memory

__all__ = ["InForce"]

Settings = Mapping[str, Any]


class InForce:
    """The settings of connections, of all outputs of a process.

    Args:
        memory: Knows which settings faults were about.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._defined: dict[str, Settings] = {}

    def define(self, connections: Iterable[Connection]) -> None:
        """Take over what is defined now."""
        self._defined = {connection.id: connection.settings for connection in connections}

    def settings_of(self, message: Mapping[str, Any]) -> Settings:
        """The settings with which a record's change is delivered, as written."""
        connection, written = message["connection"], message.get("settings") or {}
        if message["action"] == AUDIENCE_DELETE:
            return written
        refused = self._memory.refused(connection)
        if not refused or _digest(written) not in refused:
            return written
        return self._defined.get(connection, written)

    async def refuse(self, message: Mapping[str, Any]) -> None:
        """Note that a connection's fault was about the settings of a record."""
        if message["action"] == AUDIENCE_DELETE:
            return
        connection, written = str(message["connection"]), message.get("settings") or {}
        known = self._memory.refused(connection)
        refused = {_digest(written)}
        if refused <= known:  # then it was about those that were used instead
            refused.add(_digest(self._defined.get(connection, written)))
        if not refused <= known:
            await self._memory.note_refused(connection, refused | known)


def _digest(settings: Settings) -> str:
    """Names settings without telling them."""
    return hashlib.sha256(orjson.dumps(settings, option=orjson.OPT_SORT_KEYS)).hexdigest()
