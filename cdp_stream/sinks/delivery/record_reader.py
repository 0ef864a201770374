"""Decodes a record of `cdp.output.<id>` into the change that its connector delivers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.connector import AnyConnector, HttpConnector
from cdp_stream.connectors.exchange import Fault
from cdp_stream.sinks.delivery.delivery_settings import DeliverySettings
from cdp_stream.sinks.http.secrets import Redaction, Secrets
from cdp_stream.sinks.state.sink_state import SinkState

__all__ = ["RecordReader", "UndefinedError", "UnreadableError", "settings_problems"]


class UnreadableError(Exception):
    """A record is not a change; the text is the reason."""


class UndefinedError(Exception):
    """No definitions that are known here gave a connection the settings in a record.

    Attributes:
        connection: Its id.
        has_read_earlier: Whether earlier versions of the definitions have been read.
        outcome: What becomes of the record if no definitions come that explain it.
    """

    def __init__(
        self, connection: str, outcome: UnreadableError | Fault, *, has_read_earlier: bool
    ) -> None:
        super().__init__(str(outcome))
        self.connection = connection
        self.outcome = outcome
        self.has_read_earlier = has_read_earlier


class RecordReader:
    """Reads the records of one output.

    Args:
        connector: The output's.
        secrets: Fill in `${NAME}` of connections' settings.
        redaction: Learns their secrets.
        delivery_settings: Knows which settings count for a record.
        state: Knows the lists that were made for connections.
    """

    def __init__(
        self,
        connector: AnyConnector,
        secrets: Secrets,
        redaction: Redaction,
        delivery_settings: DeliverySettings,
        state: SinkState,
    ) -> None:
        self._connector = connector
        self._secrets = secrets
        self._redaction = redaction
        self._delivery_settings = delivery_settings
        self._state = state
        self._known: dict[str, tuple[Any, Any, str | None]] = {}

    def read(self, value: bytes | None) -> OutputChange[Any]:
        """The change in a record.

        Raises:
            UndefinedError: Its settings are not those of its connection, as far as is known here.
            UnreadableError: There is none, or it deletes an audience with settings that do not fit.
            Fault: Its connection's settings cannot be used.
        """
        try:
            message = orjson.loads(value or b"")
            connection = message["connection"]
            settings, list_id = self._settings(message)
            identities = [
                (entry["identity_type"], entry["identity"]) for entry in message["user_identities"]
            ]
            return OutputChange(
                message["message_id"], message["action"], message["audience_id"],
                message["audience_name"], message["mpid"], message["effective_at"],
                message["variant"], tuple(identities), message["user_attributes"], connection,
                settings, list_id, message,
            )  # fmt: skip
        except orjson.JSONDecodeError as error:
            raise UnreadableError("it is not JSON") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise UnreadableError(f"it lacks {error}, or has it in another form") from error

    async def refuse(self, message: Mapping[str, Any]) -> None:
        """Note that a connection's fault was about the settings of a record."""
        await self._delivery_settings.refuse(message)

    def _undefined(self, message: Mapping[str, Any]) -> UnreadableError | Fault:
        """The outcome of a record whose settings no definitions gave its connection."""
        connection = message["connection"]
        why = f"no definitions gave connection {connection} the settings in its record"
        if message["action"] == AUDIENCE_DELETE or not self._delivery_settings.is_defined(
            connection
        ):
            return UnreadableError(why)
        return Fault(
            "connection",
            f"{why}; check that all workers have the same definitions, and who else writes to the "
            "output's topic, then resume it: what waits gets the settings that are defined",
            "undefined",
        )

    def _settings(self, message: Mapping[str, Any]) -> tuple[Any, str | None]:
        connection, raw = message["connection"], self._delivery_settings.settings_of(message)
        if raw is None:
            outcome, has_read_earlier = (
                self._undefined(message),
                self._delivery_settings.has_read_earlier(),
            )
            raise UndefinedError(connection, outcome, has_read_earlier=has_read_earlier)
        known = self._known.get(connection)
        if known is None or known[0] != raw:
            settings = self._checked(connection, raw, message["action"])
            named = (
                self._connector.list_of(settings)
                if isinstance(self._connector, HttpConnector)
                else None
            )
            known = self._known[connection] = (raw, settings, named)
        return known[1], known[2] or self._state.list_of(connection)

    def _checked(self, connection: str, raw: Mapping[str, Any], action: str) -> Any:
        if lacking := self._secrets.lacking(raw):
            raise Fault(
                "connection",
                f"{'; '.join(lacking)}; correct that, and restart the worker",
                "settings",
            )
        for secret in self._secrets.used_by(raw):
            self._redaction.add(secret)
        try:
            return self._connector.connection_settings.model_validate(self._secrets.filled(raw))
        except ValidationError as error:
            why = f"the settings of connection {connection} are invalid: {settings_problems(error)}"
            if action == AUDIENCE_DELETE:  # about a list that this connector knows nothing of
                raise UnreadableError(self._redaction(why)) from None
            raise Fault(
                "connection",
                self._redaction(f"{why}; correct the definitions, then resume it"),
                "settings",
            ) from None


def settings_problems(error: ValidationError) -> str:
    """What is wrong with settings, without the values."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )
