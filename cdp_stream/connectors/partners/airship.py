"""Airship: one tag in a tag group for each audience, on named users or channels.

Source: https://docs.airship.com/developer/rest-api/ua/operations/tags (`add` and `remove`, tags of
1-128 characters; tag groups that do not exist are named in `warnings`, or, when there is no other,
refused). Airship states no number of ids a call: 1,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field

from cdp_stream.connectors.calls import Sent, basic, host, json_request, remove_then_add
from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.connector import Batching, HttpConnector
from cdp_stream.connectors.exchange import Answer, Delivery, Fault, Outcome, Request, Token
from cdp_stream.connectors.members.members import Form, Member, last_of_each_form, outcome
from cdp_stream.connectors.settings import ConnectionSettings, HttpSettings, SecretStr
from cdp_stream.errors import UsageError

_HOSTS: Final = {"us": "https://go.urbanairship.com", "eu": "https://go.airship.eu"}
_TYPES: Final = ("customer_id", "other", *(f"other_id_{n}" for n in range(2, 11)))
_ACCEPT: Final = "application/vnd.urbanairship+json; version=3"
_MOST_IDS: Final = 1_000
_LONGEST_TAG: Final = 128
_BAD_REQUEST: Final = 400


class AirshipSettings(HttpSettings):
    """An Airship project."""

    app_key: str = Field(description="The project's app key.")
    master_secret: SecretStr | None = Field(None, description="The project's master secret.")
    token: SecretStr | None = Field(None, description="A bearer token instead of the secret.")
    region: Literal["us", "eu"] = Field("us", description="Where the project is.")
    tag_group: str = Field(description="A tag group of the project, which must exist.")
    target: Literal[
        "named_user_id", "channel", "ios_channel", "android_channel", "amazon_channel"
    ] = Field("named_user_id", description="What is tagged: named users, or channels of one kind.")
    identity: Literal[
        "customer_id",
        "other",
        "other_id_2",
        "other_id_3",
        "other_id_4",
        "other_id_5",
        "other_id_6",
        "other_id_7",
        "other_id_8",
        "other_id_9",
        "other_id_10",
    ] = Field("customer_id", description="The identity type of those ids.")


class AirshipConnection(ConnectionSettings):
    """One tag."""

    tag: str | None = Field(
        None,
        min_length=1,
        max_length=_LONGEST_TAG,
        description="The tag; default: the audience's external name.",
    )


Change = OutputChange[AirshipConnection]


class Airship(HttpConnector[AirshipSettings, AirshipConnection]):
    """Adds a tag to named users or channels, and removes it."""

    name = "airship"
    title = "Airship"
    summary = "Sets a tag of named users or channels in Airship for each audience."
    output_settings = AirshipSettings
    connection_settings = AirshipConnection
    identities = frozenset(_TYPES)
    pattern = "indirect"
    batching = Batching(count=_MOST_IDS, interval_ms=1_000)

    def __init__(self, output: str, settings: AirshipSettings) -> None:
        super().__init__(output, settings)
        if settings.token is not None:
            self._key = f"Bearer {settings.token.get_secret_value()}"
        elif settings.master_secret is not None:
            self._key = basic(settings.app_key, settings.master_secret.get_secret_value())
        else:
            raise UsageError(
                f"output {output}: Airship needs credentials", "set `master_secret` or `token`"
            )
        self._forms: dict[str, Form] = {settings.identity: str.strip}
        kind = "named_users" if settings.target == "named_user_id" else "channels"
        self._url = f"{host(settings, _HOSTS[settings.region], '/api')}/api/{kind}/tags"

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """The master secret, or a token and the app that it is for."""
        headers = {
            "authorization": self._key,
            "accept": _ACCEPT,
        }
        if self.settings.token is not None:
            headers["x-ua-appkey"] = self.settings.app_key
        return request.with_headers(**headers)

    def deliver(self, changes: Sequence[Change]) -> Delivery:
        """One call for those who left, one for those who are in."""
        if changes[0].action == AUDIENCE_DELETE:
            return Outcome()  # tags stay
        members, unusable = last_of_each_form(changes, self._forms)
        refused = yield from remove_then_add(members, _MOST_IDS, self._send)
        return outcome(refused, unusable)

    def _send(self, is_in: bool, part: Sequence[Member]) -> Sent:
        change: Change = part[0].change
        tag = change.settings.tag or change.audience_name[:_LONGEST_TAG]
        body = {
            "audience": {self.settings.target: [member.identity for member in part]},
            "add" if is_in else "remove": {self.settings.tag_group: [tag]},
        }
        answer = yield json_request("POST", self._url, body)
        if self._lacks_the_group(answer):
            raise Fault(
                "output",
                f"Airship has no active tag group {self.settings.tag_group}: {answer.words()}; "
                f"create it there, or correct `tag_group` of {self.output}, then resume it",
            )
        return {} if answer.ok else answer.words()

    def _lacks_the_group(self, answer: Answer) -> bool:
        if answer.ok:
            words = str(answer.at("warnings") or "")
        elif answer.status == _BAD_REQUEST:
            words = answer.words()
        else:
            return False
        return "tag group" in words.lower()
