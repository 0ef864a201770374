"""A partner of mParticle's: an endpoint that keeps to the schema of the Firehose SDK."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand, json_answer

ENVELOPE = {"type": str, "id": str, "timestamp_ms": int, "firehose_version": str, "account": dict}
USER_TYPES = {
    "customer", "email", "facebook", "google", "microsoft", "twitter", "yahoo", "other",
    "mobile_number", "phone_number_2", "phone_number_3", *(f"other{n}" for n in range(2, 11)),
}  # fmt: skip
DEVICE_TYPES = {
    "ios_advertising_id", "ios_vendor_id", "google_advertising_id", "android_id",
    "roku_advertising_id", "roku_publisher_id", "microsoft_advertising_id",
    "microsoft_publisher_id", "fire_advertising_id",
}  # fmt: skip


class Service(Partner):
    """Holds the identities of each audience that was subscribed.

    Attributes:
        lists: audience number -> identities as they came.
        suspends: what it answers to changes.
    """

    def __init__(self, token: str, subscribed: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.token = token
        self.lists: dict[int, set[str]] = {number: set() for number in subscribed}
        self.suspends = False
        self.verified = 0

    def authorize(self, request: Served) -> None:
        """By the token."""
        told = request.headers.get("authorization")
        demand(told == f"Token {self.token}", 401, {"error": "who are you?"})

    def handle(self, request: Served) -> Answer:
        """By the type of the message."""
        body = request.json()
        for name, kind in ENVELOPE.items():
            demand(type(body.get(name)) is kind, 400, {"error": f"{name} is missing"})
        UUID(body["id"])
        demand(type(body["account"].get("account_id")) is int, 400, {"error": "account_id"})
        if body["type"] == "audience_subscription_request":
            return self._subscribe(body)
        demand(body["type"] == "audience_membership_change_request", 400, {"error": "type"})
        if "user_profiles" not in body:
            self.verified += 1
        mpids = [profile["mpid"] for profile in body.get("user_profiles", ())]
        demand(len(mpids) == len(set(mpids)), 400, {"error": "a profile is here twice"})
        for profile in body.get("user_profiles", ()):
            self._change(profile)
        kind = "audience_membership_change_response"
        return json_answer(200, {"type": kind, "suspend_subscription": self.suspends})

    def _subscribe(self, body: dict[str, Any]) -> Answer:
        number = body["audience_id"]
        demand(type(number) is int and isinstance(body["audience_name"], str), 400, {"error": "id"})
        if body["action"] == "remove":
            self.lists.pop(number, None)
        else:
            self.lists.setdefault(number, set())
        settings = {"partner_list": f"list-{number}"}
        kind = "audience_subscription_response"
        return json_answer(200, {"type": kind, "audience_subscription_settings": settings})

    def _change(self, profile: dict[str, Any]) -> None:
        users = [self._identity(one, USER_TYPES) for one in profile["user_identities"]]
        devices = [self._identity(one, DEVICE_TYPES) for one in profile["device_identities"]]
        for audience in profile["audiences"]:
            held = self.lists.get(audience["audience_id"])
            if held is None:
                demand(False, 404, {"error": "that audience is not subscribed"})
                continue
            if audience["action"] == "delete":
                held -= {*users, *devices}
            else:
                demand(audience["action"] in ("add", "attribute_update"), 400, {"error": "action"})
                held |= {*users, *devices}

    def _identity(self, identity: dict[str, str], types: set[str]) -> str:
        demand(identity["type"] in types, 400, {"error": f"type {identity['type']}"})
        demand(identity["encoding"] in ("raw", "md5", "sha1", "sha256"), 400, {"error": "encoding"})
        return f"{identity['type']}:{identity['value']}"

    def members(self, list_id: str | None) -> set[str]:
        """Of every audience."""
        return set().union(*self.lists.values())
