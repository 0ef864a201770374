"""Pinterest customer lists: hashed emails and mobile ad ids.

Source: https://developers.pinterest.com/docs/api/v5/customer_lists-update (emails in lower case;
records hashed with SHA-256, of any kinds together), /customer_lists-create, /audiences-create (a
list is made an audience of type CUSTOMER_LIST), /oauth-token, and
https://developers.pinterest.com/docs/reference/rate-limits/ (writes: 400 a minute). Pinterest
states no number of records a call: 10,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from pydantic import Field

from cdp_stream.connectors.calls import (
    Refusals,
    Sent,
    basic,
    form_request,
    host,
    id_of,
    json_request,
    not_made,
    refreshed,
    remove_then_add,
    text_of,
    unknown_list,
)
from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching, Rate
from cdp_stream.connectors.exchange import (
    Delivery,
    ListCreation,
    Outcome,
    Request,
    Token,
    TokenFetch,
)
from cdp_stream.connectors.list_connector import ListConnection, ListConnector
from cdp_stream.connectors.members.hashing import DEVICES, device_sha256, email_sha256
from cdp_stream.connectors.members.members import Form, Member
from cdp_stream.connectors.settings import (
    HttpSettings,
    PartnerId,
    SecretStr,
)
from cdp_stream.errors import UsageError

_MOST_RECORDS: Final = 10_000
_PAGES: Final = 100
_NOT_FOUND: Final = 404
_NOBODY: Final = "nobody@example.invalid"  # RFC 2606


_FORMS: Final[dict[str, Form]] = {
    "email": email_sha256,
    **dict.fromkeys(DEVICES, device_sha256),
}


class PinterestSettings(HttpSettings):
    """An ad account on Pinterest, and the app that may use it."""

    ad_account_id: PartnerId = Field(description="The ad account's id.")
    app_id: PartnerId | None = Field(None, description="The app's id.")
    app_secret: SecretStr | None = Field(None, description="The app's secret.")
    refresh_token: SecretStr | None = Field(
        None, description="The app's refresh token, with `ads:write`."
    )
    access_token: SecretStr | None = Field(
        None, description="An access token instead of those three; it is valid for a month."
    )


Change = OutputChange[ListConnection]


class Pinterest(ListConnector[PinterestSettings, ListConnection]):
    """Adds hashed identities to a customer list and removes them."""

    name = "pinterest"
    title = "Pinterest"
    summary = "Keeps a customer list of Pinterest's ads equal to the audience."
    output_settings = PinterestSettings
    connection_settings = ListConnection
    identities = frozenset(_FORMS)
    forms = _FORMS
    pattern = "direct"
    batching = Batching(count=_MOST_RECORDS, interval_ms=5_000)
    rate = Rate(400, 60.0)

    def __init__(self, output: str, settings: PinterestSettings) -> None:
        super().__init__(output, settings)
        app = (settings.app_id, settings.app_secret, settings.refresh_token)
        if settings.access_token is None and None in app:
            raise UsageError(
                f"output {output}: Pinterest needs credentials",
                "set `app_id`, `app_secret` and `refresh_token`, or `access_token`",
            )
        self._url = host(settings, "https://api.pinterest.com", "/v5") + "/v5"
        account = f"{self._url}/ad_accounts/{settings.ad_account_id}"
        self._lists, self._audiences = f"{account}/customer_lists", f"{account}/audiences"

    def fetch_token(self, now: int) -> TokenFetch | None:
        """An access token, for the refresh token."""
        refresh, secret = self.settings.refresh_token, self.settings.app_secret
        if self.settings.access_token is not None or refresh is None or secret is None:
            return None
        form = {"grant_type": "refresh_token", "refresh_token": refresh.get_secret_value()}
        key = basic(self.settings.app_id or "", secret.get_secret_value())
        request = form_request(f"{self._url}/oauth/token", form, authorization=key)
        cure = "check `app_id`, `app_secret` and `refresh_token`, then resume the output"
        return refreshed(self.title, request, now, cure)

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """The access token: the one in the settings, or the one that was fetched."""
        own = self.settings.access_token
        value = token.value if token is not None else own.get_secret_value() if own else ""
        return request.with_headers(authorization=f"Bearer {value}")

    def create_list(self, change: Change) -> ListCreation:
        """Find the list of that name, or make one. It may not be empty, so it is made of an address
        that nobody can have; Pinterest keeps only those records that are somebody's.
        """
        name, after = change.audience_name, ""
        for _page in range(_PAGES):
            answer = yield Request("GET", f"{self._lists}?page_size=250{after}")
            if not answer.ok:
                raise not_made(self.title, name, answer)
            if list_id := id_of(name, answer.objects("items")):
                return list_id
            bookmark = text_of(answer.at("bookmark"))
            if bookmark is None:
                break
            after = f"&bookmark={quote(bookmark, safe='')}"
        body = {"name": name, "list_type": "EMAIL", "records": email_sha256(_NOBODY)}
        answer = yield json_request("POST", self._lists, body)
        list_id = text_of(answer.at("id"))
        if not answer.ok or list_id is None:
            raise not_made(self.title, name, answer)
        # It may be refused while the list is small: ads need the audience, the list does not.
        yield json_request("POST", self._audiences, _audience(name, list_id))
        return list_id

    def update(self, members: Sequence[Member]) -> Refusals:
        """One call to remove, one to add."""
        return (yield from remove_then_add(members, _MOST_RECORDS, self._send))

    def drop(self, list_id: str) -> Delivery:
        """Do nothing: Pinterest deletes no customer lists."""
        yield from ()
        return Outcome()

    def _send(self, is_in: bool, part: Sequence[Member]) -> Sent:
        list_id = part[0].change.list_id
        records = ",".join(member.identity for member in part)
        body = {"operation_type": "ADD" if is_in else "REMOVE", "records": records}
        answer = yield json_request("PATCH", f"{self._lists}/{list_id}", body)
        if answer.status == _NOT_FOUND:
            raise unknown_list(self.title, list_id, answer)
        return {} if answer.ok else answer.words()


def _audience(name: str, list_id: str) -> dict[str, Any]:
    return {
        "name": name,
        "audience_type": "CUSTOMER_LIST",
        "rule": {"customer_list_id": list_id},
    }
