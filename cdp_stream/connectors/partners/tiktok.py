"""TikTok custom audiences, by streaming: hashed emails, phones and advertising ids.

Source: https://business-api.tiktok.com/portal/docs?id=1739940585975809 (/segment/mapping/),
id=1739940583739393 (/segment/audience/), id=1739940539757569 (/dmp/custom_audience/delete/), and
the appendix of return codes, which count more than the HTTP status; the forms of identities:
https://ads.tiktok.com/help/article/list-of-supported-ids-and-formats-for-a-customer-file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import Field

from cdp_stream.connectors.calls import (
    Refusals,
    Sent,
    host,
    json_request,
    not_made,
    remove_then_add,
    text_of,
    unknown_list,
)
from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching, Rate
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
from cdp_stream.connectors.list_connector import ListConnection, ListConnector
from cdp_stream.connectors.members.hashing import (
    DEVICES,
    PHONES,
    device_sha256,
    normal_email,
    phone_sha256,
    sha256_hex,
)
from cdp_stream.connectors.members.members import Form, Member
from cdp_stream.connectors.settings import (
    HttpSettings,
    PartnerId,
    SecretStr,
)

_VERSION: Final = "/open_api/v1.3"
_MOST_ROWS: Final = 10_000
_PAGE, _PAGES = 100, 40
_SCHEMA: Final = ("EMAIL_SHA256", "PHONE_SHA256", "IDFA_SHA256", "AAID_SHA256")
_COLUMN: Final = {
    "email": 0,
    **dict.fromkeys(PHONES, 1),
    "ios_advertising_id": 2,
    "android_advertising_id": 3,
}

_TOO_OFTEN: Final = frozenset({40016, 40100, 40132, 40133})
_CREDENTIALS: Final = frozenset({40001, 40102, 40103, 40104, 40105, 40110, 40113})
_NO_SUCH_THING: Final = 40007
_THEIR_FAULT: Final = range(50000, 60000)


def _email(email: str) -> str:
    """TikTok counts `+` and what follows it as no part of the address."""
    local, at, domain = normal_email(email).rpartition("@")
    text = f"{local.partition('+')[0]}{at}{domain}"
    return text and sha256_hex(text)


_FORMS: Final[dict[str, Form]] = {
    "email": _email,
    **dict.fromkeys(PHONES, lambda phone: phone_sha256(phone, plus=True)),
    **dict.fromkeys(DEVICES, device_sha256),
}


class TikTokSettings(HttpSettings):
    """An advertiser on TikTok."""

    advertiser_id: PartnerId = Field(description="The advertiser's id.")
    access_token: SecretStr = Field(
        description="A long-lived token with audience management and permission to stream."
    )


Change = OutputChange[ListConnection]


class TikTok(ListConnector[TikTokSettings, ListConnection]):
    """Adds hashed identities to a custom audience and removes them."""

    name = "tiktok"
    title = "TikTok"
    summary = "Keeps a custom audience of TikTok's ads equal to the audience."
    output_settings = TikTokSettings
    connection_settings = ListConnection
    identities = frozenset(_FORMS)
    forms = _FORMS
    pattern = "direct"
    batching = Batching(count=_MOST_ROWS, interval_ms=5_000)
    on_audience_delete = "delete"
    rate = Rate(10)

    def __init__(self, output: str, settings: TikTokSettings) -> None:
        super().__init__(output, settings)
        self._url = host(settings, "https://business-api.tiktok.com", _VERSION) + _VERSION
        self._token = settings.access_token.get_secret_value()

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """The access token."""
        return request.with_headers(access_token=self._token)

    def classify(self, request: Request, answer: Answer) -> TryAgain | Fault | None:
        """By TikTok's code, which is there with a status of 200 too."""
        code = _code(answer)
        if code in _TOO_OFTEN or code in _THEIR_FAULT:
            return TryAgain()
        if code in _CREDENTIALS:
            return Fault(
                "output",
                f"TikTok refused us: {answer.words()}; check the token and what it may do, "
                f"then resume output {self.output}",
            )
        return super().classify(request, answer)

    def create_list(self, change: Change) -> ListCreation:
        """Find the audience of that name, or make one."""
        name, advertiser = change.audience_name, self.settings.advertiser_id
        for page in range(1, _PAGES + 1):
            answer = yield Request(
                "GET",
                f"{self._url}/dmp/custom_audience/list/?advertiser_id={advertiser}"
                f"&page={page}&page_size={_PAGE}",
            )
            if _refused(answer):
                raise not_made(self.title, name, answer)
            audiences = answer.objects("data", "list")
            for found in audiences:
                if found.get("name") == name and (list_id := text_of(found.get("audience_id"))):
                    return list_id
            if len(audiences) < _PAGE:
                break
        body = {"custom_audience_name": name, "advertiser_id": advertiser, "action": "create"}
        answer = yield json_request("POST", f"{self._url}/segment/audience/", body)
        list_id = text_of(answer.at("data", "audience_id"))
        if _refused(answer) or list_id is None:
            raise not_made(self.title, name, answer)
        return list_id

    def update(self, members: Sequence[Member]) -> Refusals:
        """Rows to delete, then rows to add; one row an identity."""
        return (yield from remove_then_add(members, _MOST_ROWS, self._send))

    def drop(self, list_id: str) -> Delivery:
        """Delete the custom audience."""
        body = {
            "advertiser_id": self.settings.advertiser_id,
            "custom_audience_ids": [list_id],
        }
        answer = yield json_request("POST", f"{self._url}/dmp/custom_audience/delete/", body)
        words = answer.words().lower()
        is_missing = _code(answer) == _NO_SUCH_THING or "not exist" in words or "not found" in words
        if is_missing or not _refused(answer):
            return Outcome()
        raise Fault(
            "connection",
            f"TikTok did not delete custom audience {list_id}: {answer.words()}; remove it from "
            f"running campaigns, then resume the connection",
        )

    def _send(self, is_in: bool, part: Sequence[Member]) -> Sent:
        list_id = part[0].change.list_id
        body = {
            "advertiser_ids": [self.settings.advertiser_id],
            "action": "add" if is_in else "delete",
            "id_schema": _SCHEMA,
            "batch_data": _rows(part, list_id),
        }
        answer = yield json_request("POST", f"{self._url}/segment/mapping/", body)
        if _code(answer) == _NO_SUCH_THING:
            raise unknown_list(self.title, list_id, answer)
        return answer.words() if _refused(answer) else {}


def _rows(part: Sequence[Member], list_id: str | None) -> list[list[dict[str, Any]]]:
    nothing: dict[str, Any] = {}
    ids = [list_id]
    rows = []
    for member in part:
        row = [nothing] * len(_SCHEMA)
        row[_COLUMN[member.identity_type]] = {"id": member.identity, "audience_ids": ids}
        rows.append(row)
    return rows


def _code(answer: Answer) -> int:
    code = answer.at("code")
    return code if isinstance(code, int) else 0


def _refused(answer: Answer) -> bool:
    return not answer.ok or _code(answer) != 0
