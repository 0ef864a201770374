"""Snapchat customer lists (segments): hashed emails, phones and mobile ad ids.

Source: https://developers.snap.com/api/marketing-api/Ads-API/customer-lists (one schema a call,
100,000 rows), .../authentication (refresh tokens), .../rate-limits (10 requests a second a token);
normalisation: https://developers.snap.com/api/marketing-api/Conversions-API/BestPractices.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Final

from pydantic import Field

from cdp_stream.connectors.calls import (
    Refusals,
    Sent,
    dropped,
    form_request,
    host,
    id_of,
    in_parts,
    json_request,
    mapping_of,
    not_made,
    refreshed,
    text_of,
    unknown_list,
)
from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching, Rate
from cdp_stream.connectors.exchange import (
    Delivery,
    ListCreation,
    Request,
    Token,
    TokenFetch,
)
from cdp_stream.connectors.list_connector import ListConnection, ListConnector
from cdp_stream.connectors.members.hashing import (
    DEVICES,
    PHONES,
    device_sha256,
    email_sha256,
    phone_sha256,
)
from cdp_stream.connectors.members.members import Form, Member
from cdp_stream.connectors.settings import (
    HttpSettings,
    PartnerId,
    SecretStr,
)
from cdp_stream.errors import UsageError

_MOST_ROWS: Final = 100_000
_PAGES: Final = 50
_SCHEMAS: Final = {
    "email": "EMAIL_SHA256",
    **dict.fromkeys(PHONES, "PHONE_SHA256"),
    **dict.fromkeys(DEVICES, "MOBILE_AD_ID_SHA256"),
}
_NOT_FOUND: Final = 404


_FORMS: Final[dict[str, Form]] = {
    "email": email_sha256,
    **dict.fromkeys(PHONES, phone_sha256),
    **dict.fromkeys(DEVICES, device_sha256),
}


class SnapchatSettings(HttpSettings):
    """An ad account on Snapchat, and the OAuth app that may use it."""

    ad_account_id: PartnerId = Field(description="The ad account's id.")
    client_id: str | None = Field(None, description="The OAuth app's client id.")
    client_secret: SecretStr | None = Field(None, description="The OAuth app's secret.")
    refresh_token: SecretStr | None = Field(None, description="The app's refresh token.")
    access_token: SecretStr | None = Field(
        None, description="An access token instead of those three; it is valid for half an hour."
    )
    retention_in_days: int = Field(
        9999, ge=1, le=9999, description="Retention of created lists; 9999 is unlimited."
    )


Change = OutputChange[ListConnection]


class Snapchat(ListConnector[SnapchatSettings, ListConnection]):
    """Adds hashed identities to a segment and removes them."""

    name = "snapchat"
    title = "Snapchat"
    summary = "Keeps a customer list of Snapchat's ads equal to the audience."
    output_settings = SnapchatSettings
    connection_settings = ListConnection
    identities = frozenset(_FORMS)
    forms = _FORMS
    pattern = "direct"
    batching = Batching(count=10_000, interval_ms=5_000)
    rate = Rate(10)

    def __init__(self, output: str, settings: SnapchatSettings) -> None:
        super().__init__(output, settings)
        app = (settings.client_id, settings.client_secret, settings.refresh_token)
        if settings.access_token is None and None in app:
            raise UsageError(
                f"output {output}: Snapchat needs credentials",
                "set `client_id`, `client_secret` and `refresh_token`, or `access_token`",
            )
        self._url = host(settings, "https://adsapi.snapchat.com", "/v1") + "/v1"
        accounts = host(settings, "https://accounts.snapchat.com", "/v1")
        self._token_url = f"{accounts}/login/oauth2/access_token"
        self._lists = f"{self._url}/adaccounts/{settings.ad_account_id}/segments"

    def fetch_token(self, now: int) -> TokenFetch | None:
        """An access token, for the refresh token."""
        refresh, secret = self.settings.refresh_token, self.settings.client_secret
        if self.settings.access_token is not None or refresh is None or secret is None:
            return None
        form = {
            "grant_type": "refresh_token",
            "client_id": self.settings.client_id,
            "client_secret": secret.get_secret_value(),
            "refresh_token": refresh.get_secret_value(),
        }
        request = form_request(self._token_url, form)
        cure = "check `client_id`, `client_secret` and `refresh_token`, then resume the output"
        return refreshed(self.title, request, now, cure)

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """The access token: the one in the settings, or the one that was fetched."""
        own = self.settings.access_token
        value = token.value if token is not None else own.get_secret_value() if own else ""
        return request.with_headers(authorization=f"Bearer {value}")

    def create_list(self, change: Change) -> ListCreation:
        """Find the segment of that name, or make one."""
        name, url = change.audience_name, f"{self._lists}?limit=1000"
        for _page in range(_PAGES):
            answer = yield Request("GET", url)
            if not answer.ok:
                raise not_made(self.title, name, answer)
            segments = [mapping_of(row, "segment") for row in answer.objects("segments")]
            if list_id := id_of(name, segments):
                return list_id
            following = answer.at("paging", "next_link")
            if not isinstance(following, str) or not following.startswith(self._lists):
                break
            url = following
        segment = {
            "name": name,
            "description": f"The audience {change.audience_id}",
            "source_type": "FIRST_PARTY",
            "retention_in_days": self.settings.retention_in_days,
            "ad_account_id": self.settings.ad_account_id,
        }
        answer = yield json_request("POST", self._lists, {"segments": [segment]})
        for row in answer.objects("segments"):
            list_id = text_of(mapping_of(row, "segment").get("id"))
            if answer.ok and list_id is not None:
                return list_id
        raise not_made(self.title, name, answer)

    def update(self, members: Sequence[Member]) -> Refusals:
        """A call for each kind of identity: to delete, then to add."""
        refused = []
        for is_in, schema in product((False, True), dict.fromkeys(_SCHEMAS.values())):
            rows = [
                member
                for member in members
                if member.is_in is is_in and _SCHEMAS[member.identity_type] == schema
            ]
            method = "POST" if is_in else "DELETE"
            refused += yield from in_parts(rows, _MOST_ROWS, partial(self._send, method, schema))
        return refused

    def drop(self, list_id: str) -> Delivery:
        """Delete the segment."""
        return (yield from dropped(self.title, f"{self._url}/segments/{list_id}"))

    def _send(self, method: str, schema: str, part: Sequence[Member]) -> Sent:
        list_id = part[0].change.list_id
        users = {"schema": [schema], "data": [[member.identity] for member in part]}
        answer = yield json_request(
            method, f"{self._url}/segments/{list_id}/users", {"users": [users]}
        )
        if answer.status == _NOT_FOUND:
            raise unknown_list(self.title, list_id, answer)
        statuses = [row.get("sub_request_status") for row in answer.objects("users")]
        statuses.append(answer.at("request_status"))
        failed = any(str(one).upper() in {"ERROR", "FAILED", "PARTIAL"} for one in statuses)
        return answer.words() if failed or not answer.ok else {}
