"""Messages of outputs as the bytes of `cdp.output.<id>`.

The members of a membership change in their order, then `connection` and `settings`. Equal messages
are equal bytes, in every replay.

Source: docs/outputs.md, a message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import orjson

from cdp_stream.core.engine.migration import Wired
from cdp_stream.core.model.change import Cause, Change
from cdp_stream.core.model.connection import Connection
from cdp_stream.core.outputs.messages import AUDIENCE_DELETE, OutputMessage
from cdp_stream.core.plan.plan import InForce
from cdp_stream.formats.membership import members_of_change

_LEAST: Final = -(2**63)
_GREATEST: Final = 2**64 - 1
"""Bounds of the integers that readers of JSON keep exact; beyond them it is decimal text."""


class OutputEncoder:
    """Encodes the messages of the outputs of one account; remembers the settings of connections."""

    def __init__(self, account_id: str) -> None:
        self._account_id = account_id
        self._settings: dict[str, tuple[Mapping[str, Any], orjson.Fragment]] = {}

    def encode(self, one: OutputMessage) -> bytes:
        """The JSON of one message."""
        message = members_of_change(one.change, self._account_id)
        message["message_id"] = one.message_id
        message["user_attributes"] = {name: exact(value) for name, value in one.attributes.items()}
        message["connection"] = one.connection.id
        message["settings"] = self._settings_of(one.connection)
        return orjson.dumps(message)

    def encode_audience_delete(self, wired: Wired, audience: InForce, at: int) -> bytes:
        """The JSON of the message that an audience, or a variant of it, is defined no more.

        It has what to do where the connection overrode its connector, as it is defined no more
        either.
        """
        name = audience.name if wired.variant is None else f"{audience.name} - {wired.variant}"
        cause = Cause("definition", None, None, None)
        change = Change(
            AUDIENCE_DELETE, audience.id, name, 0, at, 0, wired.variant, cause, audience.digest, ()
        )
        message = members_of_change(change, self._account_id)
        message["message_id"] = f"{audience.id}::{at}:{wired.id}:{AUDIENCE_DELETE}:0"
        message["mpid"] = ""
        message["connection"] = wired.id
        message["settings"] = orjson.Fragment(wired.settings)
        if wired.on_audience_delete is not None:
            message["on_audience_delete"] = wired.on_audience_delete
        return orjson.dumps(message)

    def _settings_of(self, connection: Connection) -> orjson.Fragment:
        settings = connection.settings
        known = self._settings.get(connection.id)
        if known is None or known[0] is not settings:
            # As they were written: they may hold whatever JSON can.
            known = settings, orjson.Fragment(json.dumps(settings, separators=(",", ":")))
            self._settings[connection.id] = known
        return known[1]


def exact(value: Any) -> Any:
    """A value of an attribute as it is sent: an integer of more than 64 bits as decimal text."""
    if type(value) is int:
        return value if _LEAST <= value <= _GREATEST else str(value)
    if type(value) is list:
        return [exact(item) for item in value]
    if type(value) is dict:
        return {key: exact(item) for key, item in value.items()}
    return value
