"""The worker's own log: a line for each change, to see what would be sent."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching, LocalConnector
from cdp_stream.connectors.exchange import Outcome
from cdp_stream.connectors.settings import ConnectionSettings, OutputSettings

__all__ = ["Log", "LogSettings"]

_LOGGER = logging.getLogger("cdp")


class LogSettings(OutputSettings):
    """How much of a change is in its line."""

    full: bool = Field(
        False,
        description="Whether identities and shared attributes are written too: personal data.",
    )


class Log(LocalConnector[LogSettings, ConnectionSettings]):
    """Writes facts named `change`; identities and attributes only where that is asked for."""

    name = "log"
    title = "Log"
    summary = "Writes a line for each change to the worker's log."
    output_settings = LogSettings
    takes_attributes = True
    pattern = "stream"
    on_audience_delete = "pass"
    batching = Batching(count=1_000, interval_ms=100, per_connection=False)

    async def write(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> Outcome:
        """A line each, in order."""
        for change in changes:
            _LOGGER.info("change", extra={"facts": self._facts(change)})
        return Outcome()

    def _facts(self, change: OutputChange[ConnectionSettings]) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "output": self.output,
            "connection": change.connection,
            "action": change.action,
            "audience_id": change.audience_id,
            "mpid": change.mpid,
            "effective_at": change.effective_at,
            "message_id": change.message_id,
        }
        if self.settings.full:
            facts["user_identities"] = change.message["user_identities"]
            facts["user_attributes"] = change.message["user_attributes"]
        return facts
