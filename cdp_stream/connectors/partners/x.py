"""X (Twitter): users of a custom audience.

A request is accepted or refused as a whole; a refusal names the operations at fault by their place.
They are left out, and the rest is sent again.

Sources: developer.x.com/en/docs/x-ads-api/audiences/api-reference/custom-audience-users (2,500
operations, 5,000,000 bytes, 1,500 requests a minute, `success_count`), .../custom-audiences,
.../audiences/overview/user-data (forms and hashes).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode

import orjson
from pydantic import Field

from cdp_stream.connectors.auth.oauth1 import oauth_header
from cdp_stream.connectors.calls import seconds_until
from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.connector import Batching, HttpConnector, Rate
from cdp_stream.connectors.exchange import (
    Answer,
    Delivery,
    Fault,
    ListCreation,
    Outcome,
    Request,
    Token,
    TryAgain,
)
from cdp_stream.connectors.members.hashing import (
    DEVICES,
    PHONES,
    device_sha256,
    email_sha256,
    phone_sha256,
    sha256_hex,
)
from cdp_stream.connectors.members.members import Form, Member, fitting, last_of_each_form
from cdp_stream.connectors.settings import ConnectionSettings, HttpSettings, SecretStr

__all__ = ["X"]

_OPERATIONS: Final = 2_500
_SIZE: Final = 4_900_000
_MISSING: Final = 404
_TOO_MANY: Final = 429
_JSON: Final = {"content-type": "application/json"}
_PAGES: Final = 100
_RESETS: Final = ("x-account-rate-limit-reset", "x-rate-limit-reset")


def _twitter(text: str) -> str:
    """A user's number, or a handle without its `@`."""
    handle = text.strip().lower().lstrip("@")
    return handle and sha256_hex(handle)


_FORMS: Final[dict[str, Form]] = {
    "email": email_sha256,
    "twitter": _twitter,
    **dict.fromkeys(DEVICES, device_sha256),
    **dict.fromkeys(PHONES, lambda text: phone_sha256(text, plus=True)),
}
_FIELDS: Final = {
    "email": "email",
    **dict.fromkeys(DEVICES, "device_id"),
    **dict.fromkeys(PHONES, "phone_number"),
}


class XSettings(HttpSettings):
    """An ads account, and the keys of an app and of a user who may change it."""

    account_id: str = Field(description="The ads account, as `18ce54d4x5t`.")
    consumer_key: str = Field(description="The app's key.")
    consumer_secret: SecretStr = Field(description="The app's secret.")
    access_token: SecretStr = Field(description="The user's token.")
    access_token_secret: SecretStr = Field(description="The user's token's secret.")


class XConnection(ConnectionSettings):
    """Which audience."""

    audience_id: str | None = Field(
        None, description="The custom audience; default: one is created, named after the audience."
    )


class X(HttpConnector[XSettings, XConnection]):
    """Users of custom audiences."""

    name = "x"
    title = "X (Twitter)"
    summary = "Adds users to custom audiences of X and removes them."
    output_settings = XSettings
    connection_settings = XConnection
    identities = frozenset(_FORMS)
    on_audience_delete = "delete"
    batching: ClassVar[Batching] = Batching(count=_OPERATIONS, interval_ms=60_000)
    rate = Rate(1_500, 60)

    def deliver(self, changes: Sequence[OutputChange[XConnection]]) -> Delivery:
        """An operation for each change, with the identities that it has."""
        if changes[0].action == AUDIENCE_DELETE:
            return (yield from self._delete(changes[0]))
        members, refused = last_of_each_form(changes, _FORMS)
        users: dict[tuple[int, bool], list[Member]] = {}
        for member in members:
            users.setdefault((member.place, member.is_in), []).append(member)
        operations = [(place, _operation(found)) for (place, _), found in users.items()]
        for piece in fitting([len(body) + 1 for _, body in operations], _OPERATIONS, _SIZE):
            waiting = operations[piece]
            while waiting:
                body = b"[" + b",".join([one for _, one in waiting]) + b"]"
                url = f"{self._audiences}/{changes[0].list_id}/users"
                answer = yield Request("POST", url, body, _JSON)
                if answer.ok:
                    break
                wrong = self._wrong(answer, len(waiting))
                for place, why in wrong.items():
                    refused[waiting[place][0]] = why
                waiting = [one for place, one in enumerate(waiting) if place not in wrong]
        return Outcome(refused)

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """Signed for this instant."""
        settings = self.settings
        app = settings.consumer_key, settings.consumer_secret.get_secret_value()
        user = (
            settings.access_token.get_secret_value(),
            settings.access_token_secret.get_secret_value(),
        )
        return request.with_headers(authorization=oauth_header(request, now, app, user))

    def classify(self, request: Request, answer: Answer) -> TryAgain | Fault | None:
        """X returns the end of a rate window; an answer with another count is no answer."""
        if answer.status == _TOO_MANY:
            return TryAgain(seconds_until(answer, *_RESETS))
        total, success = answer.at("total_count"), answer.at("success_count")
        if answer.ok and request.url.endswith("/users") and total != success:
            return TryAgain()
        return super().classify(request, answer)

    def list_of(self, settings: XConnection) -> str | None:
        """The custom audience."""
        return settings.audience_id

    @property
    def creates_lists(self) -> bool:
        """Custom audiences are made with the audience's name."""
        return True

    def create_list(self, change: OutputChange[XConnection]) -> ListCreation:
        """Find the custom audience of the audience's name, or make one."""
        cursor: str | None = None
        for _ in range(_PAGES):
            query = {"count": "1000", **({"cursor": cursor} if cursor else {})}
            answer = yield Request("GET", f"{self._audiences}?{urlencode(query)}")
            for one in answer.objects("data"):
                if one.get("name") == change.audience_name and one.get("id"):
                    return str(one["id"])
            cursor = answer.at("next_cursor")
            if not isinstance(cursor, str) or not cursor:
                break
        named = urlencode({"name": change.audience_name}, quote_via=quote)
        answer = yield Request("POST", f"{self._audiences}?{named}")
        made = answer.at("data", "id")
        if not answer.ok or not made:
            raise Fault(
                "connection",
                f"X made no custom audience for {change.audience_name}: {answer.words()}; make "
                "one and set audience_id, then resume the connection",
            )
        return str(made)

    def _delete(self, change: OutputChange[XConnection]) -> Delivery:
        """Delete the custom audience; one that does not exist counts as deleted."""
        if change.list_id is None:
            return Outcome()
        answer = yield Request("DELETE", f"{self._audiences}/{change.list_id}")
        if not answer.ok and answer.status != _MISSING:
            raise self._fault(answer)
        return Outcome()

    def _wrong(self, answer: Answer, count: int) -> dict[int, str]:
        """Place -> why, of the operations that are at fault.

        Raises:
            Fault: the request is refused for something else.
        """
        found = answer.at("operation_errors")
        wrong = {
            place: json.dumps(errors)[:300]
            for place, errors in enumerate(found if isinstance(found, list) else [])
            if errors and place < count
        }
        if not wrong:
            raise self._fault(answer)
        return wrong

    def _fault(self, answer: Answer) -> Fault:
        return Fault(
            "connection",
            f"X refused the custom audience or the request: {answer.words()}; check the "
            "connection's audience_id, then resume it",
        )

    @property
    def _audiences(self) -> str:
        host = (self.settings.api_url or "https://ads-api.x.com").rstrip("/")
        return f"{host}/12/accounts/{self.settings.account_id}/custom_audiences"


def _operation(members: Sequence[Member]) -> bytes:
    numbers = {
        _twitter(identity)
        for identity_type, identity in members[0].change.identities
        if identity_type == "twitter" and identity.strip().isdecimal()
    }
    user: dict[str, list[str]] = {}
    for one in members:
        handle = "twitter_id" if one.identity in numbers else "handle"
        user.setdefault(_FIELDS.get(one.identity_type, handle), []).append(one.identity)
    content: dict[str, Any] = {
        "operation_type": "Update" if members[0].is_in else "Delete",
        "params": {"users": [user]},
    }
    return orjson.dumps(content)
