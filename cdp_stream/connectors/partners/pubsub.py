"""Google Cloud Pub/Sub: each change is a message, those of a profile in order.

Source: cloud.google.com/pubsub/docs/reference/rest/v1/projects.topics/publish and .../pubsub/quotas
(1,000 messages or 10 MB a request), .../pubsub/docs/ordering.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import orjson
from pydantic import Field

from cdp_stream.connectors.auth.google import GoogleConnector, GoogleSettings, reasons
from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching
from cdp_stream.connectors.exchange import Delivery, Fault, Outcome, Request
from cdp_stream.connectors.members.members import fitting
from cdp_stream.connectors.settings import ConnectionSettings

__all__ = ["PubSub"]

_MESSAGES: Final = 1_000
_SIZE: Final = 9_000_000


class PubSubSettings(GoogleSettings):
    """Which topic."""

    project: str = Field(description="The Google Cloud project.")
    topic: str = Field(description="The topic; it must exist.")


class PubSub(GoogleConnector[PubSubSettings, ConnectionSettings]):
    """Messages that hold the change as it is."""

    name = "pubsub"
    title = "Google Cloud Pub/Sub"
    summary = "Publishes each change as a message, those of a profile in order."
    output_settings = PubSubSettings
    takes_attributes = True
    pattern = "stream"
    batching = Batching(count=_MESSAGES, interval_ms=100, per_connection=False)
    scope = "https://www.googleapis.com/auth/pubsub"

    def deliver(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> Delivery:
        """A request is accepted or refused as a whole."""
        messages = [_message(change) for change in changes]
        for piece in fitting([len(one) for one in messages], _MESSAGES, _SIZE):
            body = b'{"messages":[' + b",".join(messages[piece]) + b"]}"
            answer = yield Request("POST", self._url, body, {"content-type": "application/json"})
            if not answer.ok:
                words, _ = reasons(answer)
                raise Fault(
                    "output",
                    f"Pub/Sub refused messages for topic {self.settings.topic}: {words}; check "
                    f"the project and the topic, then resume output {self.output}",
                )
        return Outcome()

    @property
    def _url(self) -> str:
        host = (self.settings.api_url or "https://pubsub.googleapis.com").rstrip("/")
        project, topic = quote(self.settings.project), quote(self.settings.topic)
        return f"{host}/v1/projects/{project}/topics/{topic}:publish"


def _message(change: OutputChange[ConnectionSettings]) -> bytes:
    message: dict[str, Any] = {
        "data": b64encode(change.json()).decode(),
        "attributes": {
            "message_id": change.message_id,
            "action": change.action,
            "audience_id": change.audience_id,
            "connection": change.connection,
        },
    }
    if change.mpid:  # an audience's deletion is nobody's
        message["orderingKey"] = change.mpid
    return orjson.dumps(message)
