"""Braze: one attribute of a user for each audience.

Source: https://www.braze.com/docs/api/endpoints/user_data/post_user_track (75 objects a request,
3,000 requests in 3 s), https://www.braze.com/docs/api/objects_filters/user_attributes_object
(`_update_existing_only`, null removes an attribute, arrays) and https://www.braze.com/docs/api/errors
(`errors` with `input_array` and `index`; `X-RateLimit-Reset`, no `Retry-After`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field

from cdp_stream.connectors.calls import Sent, host, in_parts, json_request, seconds_until
from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.connector import Batching, HttpConnector, Rate
from cdp_stream.connectors.exchange import (
    Answer,
    Delivery,
    Fault,
    Outcome,
    Request,
    Token,
    TryAgain,
)
from cdp_stream.connectors.members.hashing import normal_email, normal_phone
from cdp_stream.connectors.members.members import Form, Member, last_of_each_form, outcome
from cdp_stream.connectors.settings import ConnectionSettings, HttpSettings, SecretStr
from cdp_stream.errors import UsageError

_MOST_OBJECTS: Final = 75
_TOO_MANY: Final = 429
_IDENTITIES: Final = {"external_id": "customer_id", "email": "email", "phone": "mobile_number"}
_FORMS: Final[dict[str, Form]] = {
    "customer_id": str.strip,
    "email": normal_email,
    "mobile_number": lambda phone: normal_phone(phone, plus=True),
}
_RESERVED: Final = frozenset(
    {"external_id", "user_alias", "braze_id", "_update_existing_only", "push_token_import"}
)


class BrazeSettings(HttpSettings):
    """A Braze workspace."""

    instance: str | None = Field(
        None, description="As in the REST endpoint `https://rest.<instance>.braze.com`: `iad-01`."
    )
    api_key: SecretStr = Field(description="A REST API key with the permission `users.track`.")
    identify_by: Literal["external_id", "email", "phone"] = Field(
        "external_id",
        description="How Braze identifies users: by our `customer_id`, `email` or `mobile_number`.",
    )
    membership: Literal["flag", "array"] = Field(
        "flag", description="One attribute `In <audience>` each, or one array with their names."
    )
    array: str = Field("Audiences", description="The name of that array.")
    create_missing_users: bool = Field(
        False, description="Whether users that Braze does not know are created."
    )


class BrazeConnection(ConnectionSettings):
    """One attribute in Braze."""

    attribute: str | None = Field(
        None, description="The attribute's name; default: `In` and the audience's external name."
    )


Change = OutputChange[BrazeConnection]


class _User(NamedTuple):
    """What is sent about one user, and the changes that it comes from."""

    attributes: dict[str, Any]
    members: list[Member]


class Braze(HttpConnector[BrazeSettings, BrazeConnection]):
    """Sets `In <audience>` to true, and removes it when the user leaves."""

    name = "braze"
    title = "Braze"
    summary = "Sets an attribute of the user in Braze for each audience."
    output_settings = BrazeSettings
    connection_settings = BrazeConnection
    identities = frozenset(_FORMS)
    takes_attributes = True
    pattern = "indirect"
    batching = Batching(count=_MOST_OBJECTS, interval_ms=1_000, per_connection=False)
    rate = Rate(3_000, 3.0)
    max_connections = 20

    def __init__(self, output: str, settings: BrazeSettings) -> None:
        super().__init__(output, settings)
        if not settings.api_url and not settings.instance:
            raise UsageError(
                f"output {output}: no instance of Braze is named",
                "set `instance`, as in the REST endpoint that Braze's settings show",
            )
        domain = "eu" if str(settings.instance).startswith("fra") else "com"
        usual = f"https://rest.{settings.instance}.braze.{domain}"
        self._url = f"{host(settings, usual)}/users/track"
        identity_type = _IDENTITIES[settings.identify_by]
        self._forms = {identity_type: _FORMS[identity_type]}
        self._key = f"Bearer {settings.api_key.get_secret_value()}"

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """The REST API key."""
        return request.with_headers(authorization=self._key)

    def classify(self, request: Request, answer: Answer) -> TryAgain | Fault | None:
        """Braze returns the end of its rate window, by its own clock."""
        if answer.status == _TOO_MANY and "retry-after" not in answer.headers:
            return TryAgain(seconds_until(answer, "x-ratelimit-reset"))
        return super().classify(request, answer)

    def deliver(self, changes: Sequence[Change]) -> Delivery:
        """Attributes of up to 75 users in a request, each user once."""
        if changes[0].action == AUDIENCE_DELETE:
            return Outcome()  # attributes stay
        members, unusable = last_of_each_form(changes, self._forms)
        users: dict[str, _User] = {}
        for member in members:
            user = users.get(member.identity)
            if user is None:
                update_only = not self.settings.create_missing_users
                known: dict[str, Any] = {self.settings.identify_by: member.identity}
                known["_update_existing_only"] = update_only
                users[member.identity] = user = _User(known, [])
            user.members.append(member)
            self._set(user.attributes, member)
        refused = yield from in_parts(list(users.values()), _MOST_OBJECTS, self._send)
        rows = ((member, why) for user, why in refused for member in user.members)
        return outcome(rows, unusable)

    def _set(self, attributes: dict[str, Any], member: Member) -> None:
        change = member.change
        if self.settings.membership == "array":
            sets = attributes.setdefault(self.settings.array, {})
            name = change.settings.attribute or change.audience_name
            sets.setdefault("add" if member.is_in else "remove", []).append(name)
        else:
            name = change.settings.attribute or f"In {change.audience_name}"
            attributes[name] = True if member.is_in else None
        if member.is_in:
            known = self.settings.identify_by
            for key, value in change.attributes.items():
                if key not in _RESERVED and key != known:
                    attributes[key] = value

    def _send(self, part: Sequence[_User]) -> Sent:
        body = {"attributes": [user.attributes for user in part]}
        answer = yield json_request("POST", self._url, body)
        refused = {}
        for error in answer.objects("errors"):
            index = error.get("index")
            if isinstance(index, int) and error.get("input_array", "attributes") == "attributes":
                refused[index] = str(error.get("type"))
        refused = {index: why for index, why in refused.items() if 0 <= index < len(part)}
        # Above 299 nothing was accepted: users without an error must be sent again.
        return refused if answer.ok or len(refused) == len(part) else answer.words()
