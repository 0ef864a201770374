"""Customer.io: an attribute of a person for each audience, or a manual segment.

Source: https://docs.customer.io/integrations/api/track/ (`/api/v2/batch`: 500 kB, 32 kB each, 207
with `errors[].batch_index`; `_update` updates existing people only; `add_customers` and
`remove_customers`: 1,000 ids, the latter by `id` alone; 100 requests a second) and
https://docs.customer.io/integrations/api/app/ (`/v1/segments`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from pydantic import Field

from cdp_stream.connectors.calls import (
    Sent,
    basic,
    host,
    id_of,
    in_parts,
    json_request,
    not_made,
    remove_then_add,
    text_of,
    unknown_list,
)
from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.connector import Batching, HttpConnector, Rate
from cdp_stream.connectors.exchange import (
    Delivery,
    Fault,
    ListCreation,
    Outcome,
    Request,
    Token,
)
from cdp_stream.connectors.members.hashing import normal_email
from cdp_stream.connectors.members.members import Form, Member, last_of_each_form, outcome
from cdp_stream.connectors.settings import (
    ConnectionSettings,
    HttpSettings,
    PartnerId,
    SecretStr,
)

_TRACK: Final = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}
_APP: Final = {"us": "https://api.customer.io", "eu": "https://api-eu.customer.io"}
_IDENTITIES: Final = {"id": "customer_id", "email": "email"}
_FORMS: Final[dict[str, Form]] = {"customer_id": str.strip, "email": normal_email}
_MOST_IDS: Final = 1_000
_MOST_BYTES: Final = 500_000
_BAD_REQUEST, _NOT_FOUND = 400, 404


class CustomerIoSettings(HttpSettings):
    """A Customer.io workspace."""

    site_id: str = Field(description="The Site ID of the Track API.")
    api_key: SecretStr = Field(description="The API key of the Track API.")
    app_api_key: SecretStr | None = Field(
        None,
        description="A key of the App API; with it, manual segments are created for audiences.",
    )
    region: Literal["us", "eu"] = Field("us", description="Where the workspace is.")
    identify_by: Literal["id", "email"] = Field(
        "id", description="How the workspace identifies people: by our `customer_id` or `email`."
    )
    create_missing_users: bool = Field(
        False, description="Whether people that Customer.io does not know are created."
    )


class CustomerIoConnection(ConnectionSettings):
    """One attribute or one manual segment."""

    list_id: PartnerId | None = Field(
        None,
        description="A manual segment's id; if not given, an attribute is set instead.",
    )
    attribute: str | None = Field(
        None, description="The attribute's name; default: `In` and the audience's external name."
    )


Change = OutputChange[CustomerIoConnection]


class CustomerIo(HttpConnector[CustomerIoSettings, CustomerIoConnection]):
    """Sets `In <audience>` to true and removes it, or adds people to a manual segment."""

    name = "customer-io"
    title = "Customer.io"
    summary = "Sets an attribute of the person for each audience, or keeps a manual segment."
    output_settings = CustomerIoSettings
    connection_settings = CustomerIoConnection
    identities = frozenset(_FORMS)
    takes_attributes = True
    pattern = "indirect"
    batching = Batching(count=_MOST_IDS, interval_ms=1_000)
    rate = Rate(100)

    def __init__(self, output: str, settings: CustomerIoSettings) -> None:
        super().__init__(output, settings)
        self._track = host(settings, _TRACK[settings.region])
        self._segments = host(settings, _APP[settings.region]) + "/v1/segments"
        identity_type = _IDENTITIES[settings.identify_by]
        self._forms = {identity_type: _FORMS[identity_type]}
        self._key = basic(settings.site_id, settings.api_key.get_secret_value())

    @property
    def creates_lists(self) -> bool:
        """With a key of the App API."""
        return self.settings.app_api_key is not None

    def list_of(self, settings: CustomerIoConnection) -> str | None:
        """Its segment."""
        return settings.list_id

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """The Track API expects a user and a password, the App API a bearer token."""
        key = self._key
        if request.url == self._segments and self.settings.app_api_key is not None:
            key = f"Bearer {self.settings.app_api_key.get_secret_value()}"
        return request.with_headers(authorization=key)

    def create_list(self, change: Change) -> ListCreation:
        """Find the manual segment of that name, or make one."""
        name = change.audience_name
        answer = yield Request("GET", self._segments)
        manual = [one for one in answer.objects("segments") if one.get("type") == "manual"]
        if list_id := id_of(name, manual):
            return list_id
        if answer.ok:
            segment = {"name": name, "description": f"The audience {change.audience_id}"}
            answer = yield json_request("POST", self._segments, {"segment": segment})
            if answer.ok and (list_id := text_of(answer.at("segment", "id"))):
                return list_id
        raise not_made(self.title, name, answer)

    def deliver(self, changes: Sequence[Change]) -> Delivery:
        """Attributes of people first, then, where there is one, the segment."""
        first = changes[0]
        if first.action == AUDIENCE_DELETE:
            return Outcome()  # attributes and segments stay
        if first.list_id is not None and self.settings.identify_by != "id":
            raise Fault(
                "connection",
                "Customer.io removes people from manual segments only by `id`; set "
                f"`identify_by: id`, or remove `list_id` from {first.connection}, then resume it",
            )
        members, unusable = last_of_each_form(changes, self._forms)
        people = [member for member in members if self._is_identified(member)]
        refused = yield from in_parts(people, _MOST_IDS, self._identify)
        if first.list_id is not None:
            bad = {member.identity for member, _why in refused}
            rows = (member for member in members if member.identity not in bad)
            refused += yield from remove_then_add(rows, _MOST_IDS, self._set_segment)
        return outcome(refused, unusable)

    def _is_identified(self, member: Member) -> bool:
        """Whether a person has attributes to be set, or must be made for the segment."""
        change = member.change
        if change.list_id is None:
            return True
        return member.is_in and (self.settings.create_missing_users or bool(change.attributes))

    def _identify(self, part: Sequence[Member]) -> Sent:
        people = [self._person(member) for member in part]
        request = json_request("POST", f"{self._track}/api/v2/batch", {"batch": people})
        if len(request.body) > _MOST_BYTES:
            return f"its attributes need more than {_MOST_BYTES} bytes"
        answer = yield request
        refused = {}
        for error in answer.objects("errors"):
            index = error.get("batch_index")
            if isinstance(index, int) and 0 <= index < len(part):
                refused[index] = f"{error.get('reason')} {error.get('message')}"
        # Above 299 nothing was accepted: people without an error must be sent again.
        return refused if answer.ok or len(refused) == len(part) else answer.words()

    def _person(self, member: Member) -> dict[str, Any]:
        change = member.change
        attributes = dict(change.attributes) if member.is_in else {}
        attributes.pop(self.settings.identify_by, None)
        if change.list_id is None:
            name = change.settings.attribute or f"In {change.audience_name}"
            attributes[name] = True if member.is_in else ""  # an empty text removes it
        attributes["_update"] = not (self.settings.create_missing_users and member.is_in)
        return {
            "type": "person",
            "action": "identify",
            "identifiers": {self.settings.identify_by: member.identity},
            "attributes": attributes,
        }

    def _set_segment(self, is_in: bool, part: Sequence[Member]) -> Sent:
        list_id = part[0].change.list_id
        verb = "add_customers" if is_in else "remove_customers"
        url = f"{self._track}/api/v1/segments/{list_id}/{verb}"
        answer = yield json_request("POST", url, {"ids": [member.identity for member in part]})
        if answer.ok:
            return {}
        about_the_segment = answer.status == _BAD_REQUEST and "segment" in answer.words().lower()
        if answer.status == _NOT_FOUND or about_the_segment:
            raise unknown_list(self.title, list_id, answer)
        return answer.words()
