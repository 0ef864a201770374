"""Mailchimp: contacts of an audience, by email, with shared attributes as merge fields.

Adds and removals go together in batches; a removal unsubscribes or archives the contact.

Source: https://mailchimp.com/developer/marketing/api/lists/batch-subscribe-or-unsubscribe/ and
https://mailchimp.com/developer/marketing/docs/fundamentals/ (500 members a call, 10 connections,
429, at very high volume a bare 403).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from cdp_stream.connectors.calls import (
    Refusals,
    Sent,
    basic,
    dropped,
    host,
    id_of,
    in_parts,
    json_request,
    not_made,
    text_of,
    unknown_list,
)
from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching
from cdp_stream.connectors.exchange import (
    Answer,
    Delivery,
    Fault,
    ListCreation,
    Request,
    Token,
    TryAgain,
)
from cdp_stream.connectors.list_connector import ListConnection, ListConnector
from cdp_stream.connectors.members.hashing import md5_hex, normal_email
from cdp_stream.connectors.members.members import Form, Member
from cdp_stream.connectors.settings import (
    HttpSettings,
    PartnerId,
    SecretStr,
)
from cdp_stream.errors import UsageError

_FORMS: Final[dict[str, Form]] = {"email": normal_email}
_MOST_MEMBERS: Final = 500
_PAGE: Final = 1_000
_MOST_LISTS: Final = 100_000
_LONGEST_TAG: Final = 10
_FORBIDDEN, _NOT_FOUND = 403, 404


class NewList(BaseModel):
    """What Mailchimp must know to make an audience: who sends, and why people get it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, hide_input_in_errors=True
    )

    company: str
    address1: str
    city: str
    state: str
    zip: str
    country: str
    from_name: str
    from_email: str
    subject: str = ""
    language: str = "en"
    permission_reminder: str


class MailchimpSettings(HttpSettings):
    """A Mailchimp account."""

    api_key: SecretStr = Field(description="An API key; its end (`-us6`) names the data centre.")
    data_center: str | None = Field(
        None, description="The data centre, if the key's end does not name it."
    )
    email_type: Literal["html", "text"] = Field(
        "html", description="The format of mails to contacts."
    )
    double_opt_in: bool = Field(
        False, description="Whether Mailchimp asks people to confirm before they are subscribed."
    )
    on_leave: Literal["unsubscribe", "archive"] = Field(
        "unsubscribe", description="What happens to a contact that leaves the audience."
    )
    new_list: NewList | None = Field(
        None, description="With it, an audience is created for a connection that names none."
    )


class MailchimpConnection(ListConnection):
    """One Mailchimp audience."""

    list_id: PartnerId | None = Field(None, description="Mailchimp's Audience ID.")
    merge_fields: dict[str, str] = Field(
        {}, description="Shared attribute -> merge tag; default: its name in capitals, if valid."
    )


Change = OutputChange[MailchimpConnection]


class Mailchimp(ListConnector[MailchimpSettings, MailchimpConnection]):
    """Subscribes and unsubscribes contacts."""

    name = "mailchimp"
    title = "Mailchimp"
    summary = "Subscribes members to a Mailchimp audience, with attributes as merge fields."
    output_settings = MailchimpSettings
    connection_settings = MailchimpConnection
    identities = frozenset(_FORMS)
    forms = _FORMS
    takes_attributes = True
    no_list_advice = "set its `list_id`, or `new_list` of the output"
    pattern = "direct"
    batching = Batching(count=_MOST_MEMBERS, interval_ms=1_000)
    max_connections = 10

    def __init__(self, output: str, settings: MailchimpSettings) -> None:
        super().__init__(output, settings)
        key = settings.api_key.get_secret_value()
        center = settings.data_center or key.rpartition("-")[2]
        if not settings.api_url and (not center or center == key):
            raise UsageError(
                f"output {output}: the API key of Mailchimp names no data centre",
                "use the whole key, with its `-us6` or the like, or set `data_center`",
            )
        self._url = host(settings, f"https://{center}.api.mailchimp.com", "/3.0")
        self._authorization = basic("cdp-stream", key)

    @property
    def creates_lists(self) -> bool:
        """With `new_list` alone: Mailchimp needs an address for the foot of each mail."""
        return self.settings.new_list is not None

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """Any user, and the key as password."""
        return request.with_headers(authorization=self._authorization)

    def classify(self, request: Request, answer: Answer) -> TryAgain | Fault | None:
        """An empty 403 comes from a firewall when requests are too fast."""
        if answer.status == _FORBIDDEN and not isinstance(answer.json(), dict):
            return TryAgain()
        return super().classify(request, answer)

    def create_list(self, change: Change) -> ListCreation:
        """Find the audience of that name, or make one."""
        name = change.audience_name
        for start in range(0, _MOST_LISTS, _PAGE):
            url = f"{self._url}/3.0/lists?fields=lists.id,lists.name&count={_PAGE}&offset={start}"
            answer = yield Request("GET", url)
            if not answer.ok:
                raise not_made(self.title, name, answer)
            lists = answer.objects("lists")
            if list_id := id_of(name, lists):
                return list_id
            if len(lists) < _PAGE:
                break
        answer = yield json_request("POST", f"{self._url}/3.0/lists", self._new_list(name))
        if answer.ok and (list_id := text_of(answer.at("id"))):
            return list_id
        raise not_made(self.title, name, answer)

    def update(self, members: Sequence[Member]) -> Refusals:
        """Batches of contacts to subscribe and to unsubscribe."""
        alone = [member for member in members if self._goes_alone(member)]
        together = [member for member in members if not self._goes_alone(member)]
        refused = yield from in_parts(together, _MOST_MEMBERS, self._send_batch)
        refused += yield from in_parts(alone, 1, self._send_one)
        return refused

    def drop(self, list_id: str) -> Delivery:
        """Delete the audience there."""
        return (yield from dropped(self.title, f"{self._url}/3.0/lists/{list_id}"))

    def _goes_alone(self, member: Member) -> bool:
        """What no batch can do: archive; or change merge fields and leave the status alone, which
        would ask the person to confirm once more.
        """
        if member.is_in:
            return self.settings.double_opt_in and not member.joins
        return self.settings.on_leave == "archive"

    def _send_batch(self, part: Sequence[Member]) -> Sent:
        list_id = part[0].change.list_id
        url = f"{self._url}/3.0/lists/{list_id}?skip_merge_validation=true"
        rows = [self._contact(member) for member in part]
        answer = yield json_request("POST", url, {"members": rows, "update_existing": True})
        if answer.status == _NOT_FOUND:
            raise unknown_list(self.title, list_id, answer)
        if not answer.ok:
            return answer.words()
        places = {member.identity: index for index, member in enumerate(part)}
        refused = {}
        for error in answer.objects("errors"):
            index = places.get(str(error.get("email_address")).strip().lower())
            if index is not None:
                refused[index] = f"{error.get('error_code', '')} {error.get('error')}".strip()
        return refused

    def _send_one(self, part: Sequence[Member]) -> Sent:
        member = part[0]
        url = f"{self._url}/3.0/lists/{member.change.list_id}/members/{md5_hex(member.identity)}"
        if member.is_in:
            fields = {"merge_fields": self._merge_fields(member.change)}
            answer = yield json_request("PATCH", url + "?skip_merge_validation=true", fields)
            return {} if answer.ok else answer.words()
        answer = yield Request("DELETE", url)
        # 404: it is no contact any more, which is what was wanted.
        return {} if answer.ok or answer.status == _NOT_FOUND else answer.words()

    def _contact(self, member: Member) -> dict[str, Any]:
        if not member.is_in:
            return {"email_address": member.identity, "status": "unsubscribed"}
        contact: dict[str, Any] = {
            "email_address": member.identity,
            "email_type": self.settings.email_type,
            "status": "pending" if self.settings.double_opt_in else "subscribed",
        }
        if fields := self._merge_fields(member.change):
            contact["merge_fields"] = fields
        return contact

    def _merge_fields(self, change: Change) -> dict[str, Any]:
        tags = change.settings.merge_fields
        fields = {}
        for key, value in change.attributes.items():
            tag = tags.get(key) or key.upper()
            if len(tag) <= _LONGEST_TAG and tag.isidentifier():
                fields[tag] = _merge_value(value)
        return fields

    def _new_list(self, name: str) -> dict[str, Any]:
        new = self.settings.new_list
        assert new is not None
        return {
            "name": name,
            "contact": new.model_dump(
                include={"company", "address1", "city", "state", "zip", "country"}
            ),
            "permission_reminder": new.permission_reminder,
            "campaign_defaults": new.model_dump(
                include={"from_name", "from_email", "subject", "language"}
            ),
            "email_type_option": False,
        }


def _merge_value(value: Any) -> Any:  # noqa: ANN401 - whatever an attribute holds
    """Merge fields are text or numbers; a list becomes one line."""
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value
