"""Facebook (Meta) Custom Audiences: hashed emails and phones, and advertising ids.

Source: https://developers.facebook.com/documentation/ads-commerce/marketing-api/audiences/guides/custom-audiences
(hashing, 10,000 rows a call, `session`, flagged audiences), .../reference/custom-audience/users
(`invalid_entry_samples`), .../error-reference and
https://developers.facebook.com/docs/graph-api/overview/rate-limiting (codes 4, 17, 613, 80000 and
on; `x-business-use-case-usage`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, Literal
from urllib.parse import quote

from pydantic import Field

from cdp_stream.connectors.calls import (
    Refusals,
    Sent,
    host,
    id_of,
    json_request,
    mapping_of,
    not_made,
    remove_then_add,
    text_of,
)
from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching
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
    email_sha256,
    normal_device_id,
    phone_sha256,
    sha256_hex,
)
from cdp_stream.connectors.members.members import Form, Member
from cdp_stream.connectors.settings import (
    HttpSettings,
    PartnerId,
    SecretStr,
)

_MOST_ROWS: Final = 10_000
_PAGES: Final = 50
_SCHEMA: Final = ("EMAIL", "PHONE", "MADID")
_COLUMN: Final = {
    "email": 0,
    **dict.fromkeys(PHONES, 1),
    **dict.fromkeys(DEVICES, 2),
}

_PASSING: Final = frozenset({1, 2, 4, 17, 32, 341, 613, *range(80_000, 80_015)})
_CREDENTIALS: Final = frozenset({3, 10, 102, 190, 294, 2655, *range(200, 300)})
_FLAGGED: Final = frozenset({1_713_228, 1_713_230, 1_713_231})
_CANNOT_BE_UPDATED: Final = 2650
_ABUSIVE: Final = 368
_PARAMETER, _NO_SUCH_OBJECT = 100, 33


_FORMS: Final[dict[str, Form]] = {
    "email": email_sha256,
    **dict.fromkeys(PHONES, phone_sha256),
    **dict.fromkeys(DEVICES, normal_device_id),
}


class FacebookSettings(HttpSettings):
    """An ad account of Meta."""

    ad_account_id: PartnerId = Field(description="The ad account, with or without `act_`.")
    access_token: SecretStr = Field(
        description="A system user's token with `ads_management`; one that does not expire."
    )
    api_version: str = Field(
        "v25.0", pattern=r"^v[0-9]+\.[0-9]+$", description="Version of the Graph API."
    )
    customer_file_source: Literal[
        "USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED"
    ] = Field("USER_PROVIDED_ONLY", description="Where the identities come from, for Meta.")


Change = OutputChange[ListConnection]


class Facebook(ListConnector[FacebookSettings, ListConnection]):
    """Adds hashed identities to a custom audience and removes them."""

    name = "facebook"
    title = "Facebook"
    summary = "Keeps a custom audience of Meta's ads equal to the audience."
    output_settings = FacebookSettings
    connection_settings = ListConnection
    identities = frozenset(_FORMS)
    forms = _FORMS
    pattern = "direct"
    batching = Batching(count=_MOST_ROWS, interval_ms=5_000)
    on_audience_delete = "delete"
    max_connections = 5

    def __init__(self, output: str, settings: FacebookSettings) -> None:
        super().__init__(output, settings)
        base = host(settings, "https://graph.facebook.com", f"/{settings.api_version}")
        self._url = f"{base}/{settings.api_version}"
        account = settings.ad_account_id.removeprefix("act_")
        self._audiences = f"{self._url}/act_{account}/customaudiences"
        self._key = f"Bearer {settings.access_token.get_secret_value()}"

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """The access token; in a header, so that it is in no address."""
        return request.with_headers(authorization=self._key)

    def classify(self, request: Request, answer: Answer) -> TryAgain | Fault | None:
        """By Meta's own code, whatever the HTTP status."""
        error = mapping_of(answer.json(), "error")
        code, subcode = error.get("code"), error.get("error_subcode")
        if not isinstance(code, int):
            return super().classify(request, answer)
        if code in _PASSING or error.get("is_transient") is True:
            return TryAgain(_regained(answer))
        found = " ".join(
            str(error[key]) for key in ("error_user_title", "error_user_msg") if error.get(key)
        )
        found = f"{code}/{subcode} {error.get('message')} {found}".strip()
        if code in _CREDENTIALS or code == _ABUSIVE:
            return Fault(
                "output",
                f"Facebook refused us: {found}; check the token, its permissions and the terms of "
                f"custom audiences, then resume output {self.output}",
            )
        if subcode in _FLAGGED or code == _CANNOT_BE_UPDATED:
            return Fault(
                "connection",
                f"Facebook blocks changes of this custom audience: {found}; appeal in Audience "
                "Manager or name another audience, then resume the connection",
            )
        if code == _PARAMETER and subcode == _NO_SUCH_OBJECT and request.method != "DELETE":
            return self._unknown(found)
        return None

    def create_list(self, change: Change) -> ListCreation:
        """Find the custom audience of that name, or make one."""
        name, after = change.audience_name, ""
        for _page in range(_PAGES):
            answer = yield Request("GET", f"{self._audiences}?fields=id,name&limit=500{after}")
            if not answer.ok:
                raise not_made(self.title, name, answer)
            if list_id := id_of(name, answer.objects("data")):
                return list_id
            cursor = text_of(answer.at("paging", "cursors", "after"))
            if cursor is None or "next" not in mapping_of(answer.json(), "paging"):
                break
            after = f"&after={quote(cursor, safe='')}"
        body = {
            "name": name,
            "subtype": "CUSTOM",
            "customer_file_source": self.settings.customer_file_source,
        }
        answer = yield json_request("POST", self._audiences, body)
        list_id = text_of(answer.at("id"))
        if answer.ok and list_id is not None:
            return list_id
        raise not_made(self.title, name, answer)

    def update(self, members: Sequence[Member]) -> Refusals:
        """Rows to delete, then rows to add; one row an identity."""
        return (yield from remove_then_add(members, _MOST_ROWS, self._send))

    def drop(self, list_id: str) -> Delivery:
        """Delete the custom audience."""
        answer = yield Request("DELETE", f"{self._url}/{list_id}")
        error = mapping_of(answer.json(), "error")
        if error.get("error_subcode") == _NO_SUCH_OBJECT or (answer.ok and not error):
            return Outcome()
        raise Fault(
            "connection",
            f"Facebook did not delete custom audience {list_id}: {answer.words()}; see to it "
            "there, then resume the connection",
        )

    def _send(self, is_in: bool, part: Sequence[Member]) -> Sent:
        method = "POST" if is_in else "DELETE"
        rows = [_row(member) for member in part]
        body = {
            "payload": {"schema": _SCHEMA, "data": rows},
            "session": {
                "session_id": _session(method, part),
                "batch_seq": 1,
                "last_batch_flag": True,
                "estimated_num_total": len(part),
            },
        }
        answer = yield json_request(method, f"{self._url}/{part[0].change.list_id}/users", body)
        found = mapping_of(answer.json())
        error = mapping_of(found, "error")
        if method == "DELETE" and error.get("error_subcode") == _NO_SUCH_OBJECT:
            raise self._unknown(str(error.get("message")))
        if error or not answer.ok:
            return answer.words()
        return _invalid(part, found)

    def _unknown(self, found: str) -> Fault:
        return Fault(
            "connection",
            f"Facebook has no such custom audience, or hides it from this token: {found}; correct "
            "`list_id` or give the token's user access, then resume the connection",
        )


def _row(member: Member) -> list[str]:
    row = ["", "", ""]
    row[_COLUMN[member.identity_type]] = member.identity
    return row


def _session(method: str, part: Sequence[Member]) -> int:
    """A number of its own for each upload, the same when it is repeated."""
    text = f"{method} {len(part)} {part[0].change.message_id} {part[0].identity}"
    return int(sha256_hex(text)[:14], 16)


def _invalid(part: Sequence[Member], found: dict[str, Any]) -> dict[int, str]:
    """Meta counts the rows that it could not read, and shows some of them."""
    count, why = found.get("num_invalid_entries"), "Facebook could not read it"
    if isinstance(count, int) and count >= len(part):
        return dict.fromkeys(range(len(part)), why)
    samples = mapping_of(found, "invalid_entry_samples")
    shown = {text for pair in samples.items() for one in pair for text in _texts(one)}
    return {index: why for index, member in enumerate(part) if member.identity in shown}


def _texts(value: object) -> list[str]:
    """A sample is a value, or a row of them in JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return [str(value)]
    values = value if isinstance(value, list) else [value]
    return [str(one) for one in values]


def _regained(answer: Answer) -> float | None:
    """Seconds until the account may call again, where Meta returns it in minutes."""
    try:
        usage = json.loads(answer.headers["x-business-use-case-usage"])
        minutes = [
            one["estimated_time_to_regain_access"] for found in usage.values() for one in found
        ]
        return 60.0 * max(minutes) or None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
