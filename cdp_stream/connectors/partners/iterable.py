"""Iterable: subscribers of a static list, with shared attributes as user profile fields.

Source: https://api.iterable.com/api/docs#lists_subscribe, #lists_unsubscribe, #lists_create
(`failedUpdates`; `updateExistingUsersOnly`; `channelUnsubscribe` stays off). Iterable states no
number of subscribers a call: 1,000, as for its bulk calls, at five calls a second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal

from pydantic import Field

from cdp_stream.connectors.calls import (
    Refusals,
    Sent,
    dropped,
    host,
    id_of,
    json_request,
    mapping_of,
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
    ListCreation,
    Request,
    Token,
)
from cdp_stream.connectors.list_connector import ListConnection, ListConnector
from cdp_stream.connectors.members.hashing import normal_email
from cdp_stream.connectors.members.members import Form, Member
from cdp_stream.connectors.settings import (
    HttpSettings,
    SecretStr,
)

_HOSTS: Final = {"us": "https://api.iterable.com", "eu": "https://api.eu.iterable.com"}
_IDENTITIES: Final = {"email": "email", "user_id": "customer_id"}
_KEYS: Final = {"email": "email", "customer_id": "userId"}
_FORMS: Final[dict[str, Form]] = {"email": normal_email, "customer_id": str.strip}
_MOST_SUBSCRIBERS: Final = 1_000
_BAD_REQUEST, _NOT_FOUND = 400, 404
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


class IterableSettings(HttpSettings):
    """An Iterable project."""

    api_key: SecretStr = Field(description="A server-side API key.")
    region: Literal["us", "eu"] = Field("us", description="Where the project is.")
    identify_by: Literal["email", "user_id"] = Field(
        "email", description="How the project identifies users: by our `email` or `customer_id`."
    )
    create_missing_users: bool = Field(
        True, description="Whether users that Iterable does not know are created."
    )


Change = OutputChange[ListConnection]


class Iterable(ListConnector[IterableSettings, ListConnection]):
    """Subscribes users to a list and unsubscribes them from it, and from nothing else."""

    name = "iterable"
    title = "Iterable"
    summary = "Keeps a static list of Iterable equal to the audience."
    output_settings = IterableSettings
    connection_settings = ListConnection
    identities = frozenset(_FORMS)
    takes_attributes = True
    pattern = "direct"
    batching = Batching(count=_MOST_SUBSCRIBERS, interval_ms=1_000)
    rate = Rate(5)

    def __init__(self, output: str, settings: IterableSettings) -> None:
        super().__init__(output, settings)
        self._url = host(settings, _HOSTS[settings.region], "/api") + "/api/lists"
        identity_type = _IDENTITIES[settings.identify_by]
        self.forms = {identity_type: _FORMS[identity_type]}
        self._key = settings.api_key.get_secret_value()

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """The API key."""
        return request.with_headers(api_key=self._key)

    def create_list(self, change: Change) -> ListCreation:
        """Find the list of that name, or make one."""
        answer = yield Request("GET", self._url)
        name = change.audience_name
        if list_id := id_of(name, answer.objects("lists")):
            return list_id
        if answer.ok:
            answer = yield json_request("POST", self._url, {"name": name})
            if answer.ok and (list_id := text_of(answer.at("listId"))):
                return list_id
        raise not_made(self.title, name, answer)

    def update(self, members: Sequence[Member]) -> Refusals:
        """Unsubscribe those who left, then subscribe those who are in."""
        return (yield from remove_then_add(members, _MOST_SUBSCRIBERS, self._send))

    def drop(self, list_id: str) -> Delivery:
        """Delete the list; its users stay."""
        return (yield from dropped(self.title, f"{self._url}/{list_id}"))

    def _send(self, is_in: bool, part: Sequence[Member]) -> Sent:
        list_id = part[0].change.list_id
        body: dict[str, Any] = {
            "listId": _as_number(list_id),
            "subscribers": [_subscriber(member) for member in part],
        }
        if is_in:
            body["updateExistingUsersOnly"] = not self.settings.create_missing_users
        else:
            body["channelUnsubscribe"] = False
        answer = yield json_request(
            "POST", f"{self._url}/{'subscribe' if is_in else 'unsubscribe'}", body
        )
        if not answer.ok:
            if _is_about_the_list(answer):
                raise unknown_list(self.title, list_id, answer)
            return answer.words()
        # A user who is not there cannot be on the list; where none is to be made, none is missed.
        missing_is_wrong = is_in and self.settings.create_missing_users
        return _failed(part, mapping_of(answer.json(), "failedUpdates"), missing_is_wrong)


def _subscriber(member: Member) -> dict[str, Any]:
    user: dict[str, Any] = {_KEYS[member.identity_type]: member.identity}
    if member.is_in and member.change.attributes:
        user["dataFields"] = dict(member.change.attributes)
    return user


def _failed(
    part: Sequence[Member], failures: dict[str, Any], missing_is_wrong: bool
) -> dict[int, str]:
    """The rows that a reply names, each with the name of the list that has it."""
    places = {member.identity: index for index, member in enumerate(part)}
    failed = {}
    for reason, named in failures.items():
        if not isinstance(named, list) or (reason.startswith("notFound") and not missing_is_wrong):
            continue
        for value in named:
            index = places.get(normal_email(str(value)), places.get(str(value)))
            if index is not None:
                failed[index] = reason
    return failed


def _is_about_the_list(answer: Answer) -> bool:
    if answer.status == _NOT_FOUND:
        return True
    words = str(answer.at("msg")).lower()
    return answer.status == _BAD_REQUEST and "list" in words


def _as_number(list_id: str | None) -> int | str | None:
    """Iterable's ids are numbers; one that is none it does not know."""
    return int(list_id) if list_id is not None and _NUMBER.fullmatch(list_id) else list_id
