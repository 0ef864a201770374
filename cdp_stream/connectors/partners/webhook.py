"""Your own HTTP endpoint: changes in JSON, signed according to Standard Webhooks.

Source: docs/webhook.md; https://www.standardwebhooks.com.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final

import orjson
from pydantic import Field

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching, HttpConnector
from cdp_stream.connectors.exchange import (
    Delivery,
    Fault,
    Outcome,
    Request,
    Token,
    shown_address,
)
from cdp_stream.connectors.settings import ConnectionSettings, HttpSettings, SecretStr, WebAddress
from cdp_stream.errors import UsageError

__all__ = ["Webhook", "WebhookSettings"]

_BASE64_SECRET: Final = "whsec_"
_NOT_THERE: Final = frozenset({404, 405, 410})
_REFUSES_CHANGES: Final = range(400, 500)


class WebhookSettings(HttpSettings):
    """An endpoint, and the secret that it shares with us."""

    api_url: None = Field(None, description="Not for a webhook: `url` is its address.")
    url: WebAddress = Field(description="The URL to which changes are POSTed.")
    secret: SecretStr = Field(
        description="Signs each request: `whsec_` and base64, or any text, used as its UTF-8 bytes."
    )
    batch: int = Field(100, ge=1, le=10_000, description="Maximum number of changes in one POST.")


class Webhook(HttpConnector[WebhookSettings, ConnectionSettings]):
    """POSTs `{"output": ID, "changes": [...]}`; a 2xx answer means that all were accepted."""

    name = "webhook"
    title = "Webhook"
    summary = "POSTs changes to a URL of yours, signed according to Standard Webhooks."
    output_settings = WebhookSettings
    takes_attributes = True
    pattern = "stream"
    on_audience_delete = "pass"
    batching = Batching(count=100, interval_ms=1_000, per_connection=False)
    max_connections = 50

    def __init__(self, output: str, settings: WebhookSettings) -> None:
        super().__init__(output, settings)
        self._key = _signing_key(output, settings.secret.get_secret_value())
        self._head = b'{"output":' + orjson.dumps(output) + b',"changes":['

    @property
    def gathering(self) -> Batching:
        """At most `batch` changes in a POST."""
        return replace(self.batching, count=self.settings.batch)

    def deliver(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> Delivery:
        """One POST; its id is that of the changes in it, so a repetition has the same.

        Changes that are refused are sent again in halves, until those that are at fault are
        alone.
        """
        answer = yield self._post(changes)
        if answer.ok:
            return Outcome()
        if answer.status not in _REFUSES_CHANGES or answer.status in _NOT_THERE:
            raise Fault(
                "output",
                f"{shown_address(self.settings.url)} answered {answer.words()}; check the url "
                f"of output {self.output} and what serves it, then resume it",
            )
        if len(changes) == 1:
            return Outcome({0: answer.words()})
        rejected: dict[int, str] = {}
        middle = len(changes) // 2
        for start, part in ((0, changes[:middle]), (middle, changes[middle:])):
            outcome = yield from self.deliver(part)
            rejected |= {start + place: why for place, why in outcome.rejected.items()}
        return Outcome(rejected)

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """Signed at this moment: receivers refuse what is older than a few minutes."""
        timestamp = str(now // 1000)
        signed = f"{request.headers['webhook-id']}.{timestamp}.".encode() + request.body
        signature = base64.b64encode(hmac.digest(self._key, signed, "sha256")).decode()
        return request.with_headers(
            webhook_timestamp=timestamp, webhook_signature=f"v1,{signature}"
        )

    def _post(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> Request:
        ids = "\n".join(f"{change.message_id} {change.connection}" for change in changes)
        body = self._head + b",".join([change.json() for change in changes]) + b"]}"
        headers = {
            "content-type": "application/json",
            "webhook-id": f"msg_{sha256(ids.encode()).hexdigest()[:32]}",
        }
        return Request("POST", self.settings.url, body, headers)


def _signing_key(output: str, secret: str) -> bytes:
    if not secret.startswith(_BASE64_SECRET):
        key = secret.encode()
    else:
        text = secret.removeprefix(_BASE64_SECRET)
        try:
            key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
    if not key:
        raise UsageError(
            f"output {output}: its secret is empty, or no base64 after {_BASE64_SECRET}",
            "copy it from the receiver",
        )
    return key
