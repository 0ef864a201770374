"""mParticle's partner protocol (Firehose): services that were built for it work without change.

A subscription of an audience is asked for once, and what the partner answers to it is remembered as
the connection's list: JSON of `audience_subscription_settings`, sent back with every change.

Source: docs/connectors/firehose.md; https://github.com/mParticle/mparticle-firehose-java-sdk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal
from uuid import UUID, uuid5

import orjson
from pydantic import Field

from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange, json_bytes
from cdp_stream.connectors.connector import Batching, HttpConnector
from cdp_stream.connectors.exchange import (
    Answer,
    Delivery,
    Fault,
    ListCreation,
    Outcome,
    Request,
    Token,
    shown_address,
)
from cdp_stream.connectors.members.hashing import md5_hex, sha1_hex, sha256_hex
from cdp_stream.connectors.settings import ConnectionSettings, HttpSettings, SecretStr, WebAddress

__all__ = ["Firehose", "FirehoseConnection", "FirehoseSettings", "audience_number"]

_VERSION: Final = "2.8.1"
_IDS: Final = UUID("5d1ad0a6-7b0e-5bd1-9f0b-3f2f8f0c6a51")

_USER_TYPES: Final = {
    "customer_id": "customer", "email": "email", "facebook": "facebook", "google": "google",
    "microsoft": "microsoft", "twitter": "twitter", "yahoo": "yahoo", "other": "other",
    **{f"other_id_{n}": f"other{n}" for n in range(2, 11)},
    "mobile_number": "mobile_number", "phone_number_2": "phone_number_2",
    "phone_number_3": "phone_number_3",
}  # fmt: skip
_DEVICE_TYPES: Final = {
    "ios_advertising_id": "ios_advertising_id", "ios_idfv": "ios_vendor_id",
    "android_advertising_id": "google_advertising_id", "android_uuid": "android_id",
    "roku_advertising_id": "roku_advertising_id", "roku_publisher_id": "roku_publisher_id",
    "microsoft_advertising_id": "microsoft_advertising_id",
    "microsoft_publisher_id": "microsoft_publisher_id",
    "fire_advertising_id": "fire_advertising_id",
}  # fmt: skip
_ENCODERS: Final[Mapping[str, Callable[[str], str]]] = {
    "md5": lambda value: md5_hex(value.strip().lower()),
    "sha1": lambda value: sha1_hex(value.strip().lower()),
    "sha256": lambda value: sha256_hex(value.strip().lower()),
}


class FirehoseSettings(HttpSettings):
    """A partner's endpoint."""

    api_url: None = Field(None, description="Not for firehose: `url` is the address.")
    url: WebAddress = Field(description="The partner's endpoint.")
    token: SecretStr = Field(description="Sent as `Authorization: Token ...`.")
    account_id: int = Field(1, ge=0, description="The number of our account with the partner.")
    account_settings: dict[str, str] = Field(
        default_factory=dict, description="What the partner calls account settings; no secrets."
    )
    encoding: Literal["raw", "md5", "sha1", "sha256"] = Field(
        "raw", description="How identities are sent; hashes are of trimmed text in lower case."
    )
    profiles: int = Field(
        100, ge=1, le=10_000, description="Maximum number of profiles in one request."
    )


class FirehoseConnection(ConnectionSettings):
    """One audience's subscription."""

    audience_id: int | None = Field(
        None, ge=0, description="The audience's number; default: made from its id."
    )
    subscription: dict[str, str] = Field(
        default_factory=dict, description="What the partner calls audience subscription settings."
    )


class Firehose(HttpConnector[FirehoseSettings, FirehoseConnection]):
    """Sends `audience_membership_change_request` and `audience_subscription_request`."""

    name = "firehose"
    title = "Firehose (mParticle's partner protocol)"
    summary = "Sends changes to services built as partners of mParticle, in their protocol."
    output_settings = FirehoseSettings
    connection_settings = FirehoseConnection
    identities = frozenset(_USER_TYPES) | frozenset(_DEVICE_TYPES)
    takes_attributes = True
    on_audience_delete = "pass"
    batching = Batching(count=100, interval_ms=1_000)

    @property
    def gathering(self) -> Batching:
        """At most `profiles` changes at a time."""
        usual = self.batching
        return Batching(self.settings.profiles, usual.size, usual.interval_ms)

    @property
    def creates_lists(self) -> bool:
        """Every connection is subscribed once."""
        return True

    def create_list(self, change: OutputChange[FirehoseConnection]) -> ListCreation:
        """See that the partner answers, with an empty request, then subscribe the audience."""
        answer = yield self._request("audience_membership_change_request", [change], {})
        if answer.ok:
            answer = yield self._subscription(change, "add", change.settings.subscription)
        if not answer.ok:
            raise self._fault("connection", f"the subscription of {change.connection}", answer)
        stored = _texts(_member(answer, "audience_subscription_settings"))
        return json.dumps(stored, sort_keys=True, separators=(",", ":"))

    def deliver(self, changes: Sequence[OutputChange[FirehoseConnection]]) -> Delivery:
        """A profile is once in a request: of two changes that came together, the order is not
        known there.
        """
        rejected: dict[int, str] = {}
        for places in _once_each(changes):
            part = [changes[place] for place in places]
            if part[0].action == AUDIENCE_DELETE and part[0].list_id is None:
                continue  # it was never subscribed
            if part[0].action == AUDIENCE_DELETE:
                answer = yield self._subscription(part[0], "remove", _settings(part[0]))
            else:
                profiles = list(map(self._profile, part))
                answer = yield self._request(
                    "audience_membership_change_request", part, {"user_profiles": profiles}
                )
            if answer.ok:
                if _member(answer, "suspend_subscription") is True:
                    raise Fault(
                        "connection",
                        f"the partner asked that {part[0].connection} be suspended; when it is "
                        f"ready again, resume output {self.output} for that connection",
                    )
            elif answer.status // 100 == 4:  # noqa: PLR2004 - as HTTP counts
                rejected |= dict.fromkeys(places, answer.words())
            else:
                raise self._fault("output", "a change", answer)
        return Outcome(rejected)

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """With the partner's token."""
        return request.with_headers(authorization=f"Token {self.settings.token.get_secret_value()}")

    def _subscription(
        self, change: OutputChange[FirehoseConnection], action: str, settings: Mapping[str, str]
    ) -> Request:
        body = {
            "audience_id": _number(change),
            "audience_name": change.audience_name,
            "audience_subscription_settings": dict(settings),
            "action": action,
        }
        return self._request("audience_subscription_request", [change], body)

    def _request(
        self, kind: str, changes: Sequence[OutputChange[Any]], body: Mapping[str, Any]
    ) -> Request:
        # The same request has the same id when it is made again.
        ids = [kind, *(f"{change.message_id} {change.connection}" for change in changes)]
        ids += [str(body.get("action", bool(body)))]
        envelope = {
            "type": kind,
            "id": str(uuid5(_IDS, "\n".join(ids))),
            "timestamp_ms": max(change.effective_at for change in changes),
            "firehose_version": _VERSION,
            "account": {
                "account_id": self.settings.account_id,
                "account_settings": self.settings.account_settings,
            },
            **body,
        }
        headers = {"content-type": "application/json"}
        return Request("POST", self.settings.url, json_bytes(envelope), headers)

    def _profile(self, change: OutputChange[FirehoseConnection]) -> dict[str, Any]:
        attributes = [_attribute(name, value) for name, value in change.attributes.items()]
        return {
            "mpid": change.mpid,
            "user_identities": self._identities(change, _USER_TYPES),
            "device_identities": self._identities(change, _DEVICE_TYPES),
            "audiences": [
                {
                    "audience_id": _number(change),
                    "audience_name": change.audience_name,
                    "audience_subscription_settings": _settings(change),
                    "action": change.action,
                    "user_attributes": attributes,
                }
            ],
        }

    def _identities(
        self, change: OutputChange[Any], types: Mapping[str, str]
    ) -> list[dict[str, str]]:
        encoding = self.settings.encoding
        encode = _ENCODERS.get(encoding, str)
        return [
            {"type": types[name], "encoding": encoding, "value": encode(value)}
            for name, value in change.identities
            if name in types
        ]

    def _fault(self, scope: Literal["output", "connection"], what: str, answer: Answer) -> Fault:
        return Fault(
            scope,
            f"the partner at {shown_address(self.settings.url)} answered {answer.words()} to {what}"
            f"; ask the partner why, then resume output {self.output}",
        )


def audience_number(audience_id: str) -> int:
    """The number by which a partner knows an audience: below 2**53, which JSON keeps everywhere."""
    return int.from_bytes(hashlib.sha256(audience_id.encode()).digest()[:8], "big") >> 11


def _number(change: OutputChange[FirehoseConnection]) -> int:
    number = change.settings.audience_id
    if number is not None:
        return number
    # To a partner a variant is an audience of its own.
    variant = "" if change.variant is None else f"#{change.variant}"
    return audience_number(change.audience_id + variant)


def _settings(change: OutputChange[FirehoseConnection]) -> dict[str, str]:
    """Those of the connection, and what the partner answered when it was subscribed."""
    return {**change.settings.subscription, **_stored(change.list_id)}


def _stored(list_id: str | None) -> dict[str, str]:
    try:
        return _texts(json.loads(list_id or "{}"))
    except ValueError:
        return {}


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {
        str(name): one if isinstance(one, str) else orjson.dumps(one).decode()
        for name, one in value.items()
    }


def _member(answer: Answer, name: str) -> Any:  # noqa: ANN401 - whatever the partner sent
    body = answer.json()
    return body.get(name) if isinstance(body, dict) else None


def _attribute(name: str, value: object) -> dict[str, Any]:
    if isinstance(value, list):
        texts = [one if isinstance(one, str) else json_bytes(one).decode() for one in value]
        return {"key": name, "list_value": texts, "action": "upsert"}
    if value is None or isinstance(value, str):
        return {"key": name, "value": value, "action": "upsert"}
    return {"key": name, "value": json_bytes(value).decode(), "action": "upsert"}


def _once_each(changes: Sequence[OutputChange[Any]]) -> Iterator[list[int]]:
    """Places of changes, in order, in runs without a profile twice."""
    run: list[int] = []
    seen: set[str] = set()
    for place, change in enumerate(changes):
        if change.mpid in seen:
            yield run
            run, seen = [], set()
        run.append(place)
        seen.add(change.mpid)
    if run:
        yield run
