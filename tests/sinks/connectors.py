"""Connectors of the tests' own, and changes for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import SecretStr

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching, HttpConnector
from cdp_stream.connectors.exchange import (
    Delivery,
    Fault,
    ListCreation,
    Outcome,
    Request,
    Token,
    TokenFetch,
)
from cdp_stream.connectors.settings import ConnectionSettings, HttpSettings


class PostSettings(HttpSettings):
    """Where to post."""

    url: str
    key: SecretStr = SecretStr("a-secret-key")


class ListSettings(ConnectionSettings):
    """Which list."""

    list_id: str | None = None


class Post(HttpConnector[PostSettings, ListSettings]):
    """One POST for a batch; an answer 422 rejects it, 410 is a fault of the connection."""

    name = "post"
    title = "Post"
    summary = "For tests."
    output_settings = PostSettings
    connection_settings = ListSettings
    batching = Batching(count=10, interval_ms=50)

    def deliver(self, changes: Sequence[OutputChange[ListSettings]]) -> Delivery:
        body = orjson.dumps([
            {"id": c.message_id, "action": c.action, "mpid": c.mpid, "list": c.list_id,
             "connection": c.connection}
            for c in changes
        ])  # fmt: skip
        answer = yield Request("POST", f"{self.settings.url}/changes", body)
        if answer.status == 422:
            return Outcome({place: answer.words() for place in range(len(changes))})
        if answer.status == 410:
            raise Fault("connection", f"the list is gone: {answer.words()}; make it again")
        if not answer.ok:
            raise Fault("output", f"not understood: {answer.words()}")
        return Outcome()

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        return request.with_headers(authorization=f"Bearer {self.settings.key.get_secret_value()}")


class Tokens(Post):
    """Gets a token first."""

    name = "tokens"

    def fetch_token(self, now: int) -> TokenFetch:
        answer = yield Request("POST", f"{self.settings.url}/token")
        return Token(answer.json()["token"], now + answer.json()["lives_ms"])

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        assert token is not None
        return request.with_headers(authorization=f"Bearer {token.value}")


class Listed(Post):
    """Makes a list for a connection that names none."""

    name = "listed"

    def list_of(self, settings: ListSettings) -> str | None:
        return settings.list_id

    @property
    def creates_lists(self) -> bool:
        return True

    def create_list(self, change: OutputChange[ListSettings]) -> ListCreation:
        body = orjson.dumps({"name": change.audience_name})
        answer = yield Request("POST", f"{self.settings.url}/lists", body)
        return str(answer.json()["id"])


def change(
    number: int = 1, *, mpid: int = 7, action: str = "add", connection: str = "a@out",
    list_id: str | None = None, **more: Any,
) -> OutputChange[ListSettings]:  # fmt: skip
    return OutputChange(
        f"a:{mpid}:{number}:0", action, "a", "A", str(mpid), number, None,
        (("email", f"{mpid}@example.com"),), {}, connection, ListSettings(), list_id, more,
    )  # fmt: skip


def message(
    number: int, *, mpid: int, action: str = "add", audience: str = "a", output: str = "out",
    settings: dict[str, Any] | None = None, **more: Any,
) -> bytes:  # fmt: skip
    """A record of an output's topic, as profiles write it."""
    return orjson.dumps({
        "message_id": f"{audience}:{mpid}:{number}:0",
        "action": action,
        "account_id": "test",
        "audience_id": audience,
        "audience_name": audience.upper(),
        "mpid": "" if action == "audience_delete" else str(mpid),
        "effective_at": number,
        "ordinal": 0,
        "variant": None,
        "cause": {"kind": "event", "criterion": None, "event_id": None, "event_time": number},
        "definition": "d1",
        "user_identities": [{"identity_type": "email", "identity": f"{mpid}@example.com"}],
        "user_attributes": {},
        "connection": f"{audience}@{output}",
        "settings": settings or {},
        **more,
    })  # fmt: skip
