"""A record of `cdp.output.<id>` as its connector is given it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.connector import AnyConnector, HttpConnector
from cdp_stream.connectors.exchange import Fault
from cdp_stream.sinks.environment import Redaction, filled, names_in

__all__ = ["Reader", "UnreadableError", "settings_problems"]


class UnreadableError(Exception):
    """A record is no change; the text says why."""


class Reader:
    """Reads the records of one output.

    Args:
        connector: The output's.
        environment: Fills in `${NAME}` of connections' settings.
        redaction: Told their secrets.
        settings_of: The settings that count for a record, as written.
        list_of: The list that was made for a connection; None when none was.
    """

    def __init__(
        self,
        connector: AnyConnector,
        environment: Mapping[str, str],
        redaction: Redaction,
        settings_of: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        list_of: Callable[[str], str | None],
    ) -> None:
        self._connector = connector
        self._environment = environment
        self._redaction = redaction
        self._settings_of = settings_of
        self._list_of = list_of
        self._known: dict[str, tuple[Any, Any, str | None]] = {}

    def read(self, value: bytes | None) -> OutputChange[Any]:
        """The change in a record.

        Raises:
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

    def _settings(self, message: Mapping[str, Any]) -> tuple[Any, str | None]:
        connection, raw = message["connection"], self._settings_of(message)
        known = self._known.get(connection)
        if known is None or known[0] != raw:
            settings = self._checked(connection, raw, message["action"])
            named = (
                self._connector.list_of(settings)
                if isinstance(self._connector, HttpConnector)
                else None
            )
            known = self._known[connection] = (raw, settings, named)
        return known[1], known[2] or self._list_of(connection)

    def _checked(self, connection: str, raw: Mapping[str, Any], action: str) -> Any:
        missing = [name for name in dict.fromkeys(names_in(raw)) if name not in self._environment]
        if missing:
            raise Fault(
                "connection",
                f"{', '.join(missing)} is not set in the worker's environment; set it, start the "
                f"worker again, then resume connection {connection}",
            )
        for name in names_in(raw):
            self._redaction.add(self._environment[name])
        try:
            return self._connector.connection_settings.model_validate(
                filled(raw, self._environment)
            )
        except ValidationError as error:
            why = f"the settings of connection {connection} do not fit: {settings_problems(error)}"
            if action == AUDIENCE_DELETE:  # about a list that this connector knows nothing of
                raise UnreadableError(self._redaction(why)) from None
            raise Fault(
                "connection", self._redaction(f"{why}; correct the definitions, then resume it")
            ) from None


def settings_problems(error: ValidationError) -> str:
    """What is wrong with settings, without the values."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )
