"""A Slack channel, by an incoming webhook: who joined and who left, a message for each batch.

Source: docs/connectors/slack.md; https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import Field

from cdp_stream.connectors.calls import json_request
from cdp_stream.connectors.change import (
    ADD,
    DELETE,
    OutputChange,
)
from cdp_stream.connectors.connector import Batching, HttpConnector, Rate
from cdp_stream.connectors.exchange import Delivery, Fault, Outcome, Request, Token
from cdp_stream.connectors.settings import (
    ConnectionSettings,
    HttpSettings,
    IdentityType,
    SecretStr,
)
from cdp_stream.errors import UsageError

__all__ = ["Slack", "SlackConnection", "SlackSettings"]

_PLACE: Final = "https://hooks.slack.com/services/"
"""Replaces the address in what is logged: the address is the secret."""

_BAD_REQUEST: Final = 400
_LINES: Final = {ADD: "+", DELETE: "-"}


class SlackSettings(HttpSettings):
    """One incoming webhook: a channel."""

    api_url: None = Field(None, description="Not for Slack: `webhook_url` is the address.")
    webhook_url: SecretStr = Field(
        description="The incoming webhook's address, as Slack shows it: a secret."
    )


class SlackConnection(ConnectionSettings):
    """How a profile is named in the channel."""

    show: IdentityType | None = Field(
        None, description="An identity type shown beside the mpid, as `email`; personal data."
    )
    most_lines: int = Field(
        20,
        ge=0,
        le=100,
        description="Maximum number of profiles named in a message; the rest are counted.",
    )


class Slack(HttpConnector[SlackSettings, SlackConnection]):
    """Writes for people; nothing keeps a list there."""

    name = "slack"
    title = "Slack"
    summary = "Writes who joined and who left an audience to a Slack channel."
    output_settings = SlackSettings
    connection_settings = SlackConnection
    pattern = "stream"
    batching = Batching(count=500, interval_ms=10_000)
    rate = Rate(1)
    max_connections = 1

    def __init__(self, output: str, settings: SlackSettings) -> None:
        super().__init__(output, settings)
        self._url = settings.webhook_url.get_secret_value()
        if not self._url.startswith(("https://", "http://")):
            raise UsageError(
                f"output {output}: its webhook_url is not the address of a web server",
                "copy it from Slack",
            )

    def deliver(self, changes: Sequence[OutputChange[SlackConnection]]) -> Delivery:
        """One message; none where nobody joined or left."""
        shown = [change for change in changes if change.action in _LINES and not change.of_identity]
        if not shown:
            return Outcome()
        answer = yield json_request("POST", _PLACE, {"text": _text(shown)})
        if answer.ok:
            return Outcome()
        if answer.status == _BAD_REQUEST:
            return Outcome(dict.fromkeys(range(len(changes)), answer.words()))
        raise Fault(
            "output",
            f"Slack answered {answer.words()}; see whether the channel and the webhook of output "
            f"{self.output} are still there, then resume it",
        )

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """At the address, which is a secret."""
        return Request(request.method, self._url, request.body, request.headers)


def _text(changes: Sequence[OutputChange[SlackConnection]]) -> str:
    first = changes[0]
    joined = sum(change.action == ADD for change in changes)
    counts = [(joined, "joined"), (len(changes) - joined, "left")]
    head = ", ".join(f"{count} {verb}" for count, verb in counts if count)
    named = [_line(change) for change in changes[: first.settings.most_lines]]
    if len(named) < len(changes):
        named.append(f"and {len(changes) - len(named)} more")
    return "\n".join([f"*{_escaped(first.audience_name)}*: {head}", *named])


def _line(change: OutputChange[SlackConnection]) -> str:
    shown = [value for name, value in change.identities if name == change.settings.show]
    beside = f" ({', '.join(map(_escaped, shown))})" if shown else ""
    return f"{_LINES[change.action]} {change.mpid}{beside}"


def _escaped(text: str) -> str:
    """Escaped as Slack requires, and on one line."""
    plain = " ".join(text.split())
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
