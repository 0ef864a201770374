"""Google Ads: members of a Customer Match list, by the Data Manager API.

One request adds, another removes; each answers for all its members at once, and names those that it
refuses by their place. They are left out, and the rest is sent again.

Sources: developers.google.com/data-manager/api/reference/rest/v1/audienceMembers/ingest, `remove`,
accountTypes.accounts.userLists, ErrorReason, and .../devguides/limits. Gmail addresses lose their
dots: .../devguides/concepts/formatting.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal
from urllib.parse import quote

import orjson
from pydantic import Field

from cdp_stream.connectors.auth.google import GoogleConnector, GoogleSettings, reasons, violations
from cdp_stream.connectors.calls import dropped
from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.connector import Batching, Rate
from cdp_stream.connectors.exchange import (
    Answer,
    Delivery,
    Fault,
    ListCreation,
    Outcome,
    Request,
    TryAgain,
)
from cdp_stream.connectors.members.hashing import (
    DEVICES,
    PHONES,
    email_sha256,
    normal_device_id,
    phone_sha256,
)
from cdp_stream.connectors.members.members import Form, Member, last_of_each_form
from cdp_stream.connectors.settings import ConnectionSettings

__all__ = ["GoogleAds"]

_MEMBERS: Final = 10_000
_IDENTIFIERS: Final = 10
_PLACE: Final = re.compile(r"audience_members\[(\d+)\]")
_JSON: Final = {"content-type": "application/json"}


_FORMS: Final[dict[str, dict[str, Form]]] = {
    "contact": {
        "email": lambda text: email_sha256(text, gmail_dots=False),
        **dict.fromkeys(PHONES, lambda text: phone_sha256(text, plus=True)),
    },
    "ios": {"ios_advertising_id": normal_device_id},
    "android": {"android_advertising_id": normal_device_id},
}


class GoogleAdsSettings(GoogleSettings):
    """Whose lists they are."""

    account_id: str = Field(description="The Google Ads account, its ten digits.")
    login_account_id: str | None = Field(
        None, description="The manager account that the credentials belong to."
    )
    ad_user_data: Literal["CONSENT_GRANTED", "CONSENT_DENIED"] | None = Field(
        None, description="Consent to send user data to Google, the same for every member."
    )
    ad_personalization: Literal["CONSENT_GRANTED", "CONSENT_DENIED"] | None = Field(
        None, description="Consent to personalised ads, the same for every member."
    )


class GoogleAdsConnection(ConnectionSettings):
    """Which list, and what its members are known by: a list has one kind."""

    list_id: str | None = Field(
        None, description="The Customer Match list; default: one is created."
    )
    upload_key: Literal["contact", "ios", "android"] = Field(
        "contact", description="Emails and phone numbers, or one platform's advertising ids."
    )
    app_id: str | None = Field(
        None, description="The app of the advertising ids, for a created list."
    )
    membership_days: int = Field(
        540, ge=1, le=540, description="How long a member remains in a created list."
    )


class GoogleAds(GoogleConnector[GoogleAdsSettings, GoogleAdsConnection]):
    """Members of Customer Match lists."""

    name = "google-ads"
    title = "Google Ads"
    summary = "Adds members to Customer Match lists and removes them, by the Data Manager API."
    output_settings = GoogleAdsSettings
    connection_settings = GoogleAdsConnection
    identities = frozenset(("email", *PHONES, *DEVICES))
    batching: ClassVar[Batching] = Batching(count=_MEMBERS, interval_ms=60_000)
    rate = Rate(300, 60)
    scope = "https://www.googleapis.com/auth/datamanager"

    def deliver(self, changes: Sequence[OutputChange[GoogleAdsConnection]]) -> Delivery:
        """Remove, then add: who was known by two things and lost one is in at the end."""
        if changes[0].action == AUDIENCE_DELETE:
            return (yield from self._delete(changes[0]))
        members, refused = last_of_each_form(changes, _FORMS[changes[0].settings.upload_key])
        for verb, is_in in (("remove", False), ("ingest", True)):
            people = _people([one for one in members if one.is_in is is_in])
            for start in range(0, len(people), _MEMBERS):
                piece = people[start : start + _MEMBERS]
                while piece:
                    answer = yield self._members(verb, changes[0], piece)
                    wrong = self._wrong(answer, len(piece))
                    for place, why in wrong.items():
                        refused[piece[place][0].place] = why
                    if not wrong:
                        break
                    piece = [one for place, one in enumerate(piece) if place not in wrong]
        return Outcome(refused)

    def _delete(self, change: OutputChange[GoogleAdsConnection]) -> Delivery:
        """Delete the list, where the connection is set to."""
        if change.list_id is None:
            return Outcome()
        url = f"{self._lists}/{quote(change.list_id, safe='')}"
        return (yield from dropped(self.title, url, self._headers))

    def _members(
        self,
        verb: str,
        change: OutputChange[GoogleAdsConnection],
        people: Sequence[Sequence[Member]],
    ) -> Request:
        settings = self.settings
        destination: dict[str, Any] = {
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": settings.account_id},
            "productDestinationId": change.list_id,
        }
        if settings.login_account_id:
            destination["loginAccount"] = {
                "accountType": "GOOGLE_ADS",
                "accountId": settings.login_account_id,
            }
        content: dict[str, Any] = {
            "destinations": [destination],
            "audienceMembers": [_audience_member(person) for person in people],
            "encoding": "HEX",
        }
        if verb == "ingest":
            consent = {
                "adUserData": settings.ad_user_data,
                "adPersonalization": settings.ad_personalization,
            }
            given = {key: value for key, value in consent.items() if value}
            if given:
                content["consent"] = given
            content["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
        url = f"{self._base}/audienceMembers:{verb}"
        return Request("POST", url, orjson.dumps(content), _JSON)

    def _wrong(self, answer: Answer, count: int) -> dict[int, str]:
        """Place -> why, of the members that are refused for themselves.

        Raises:
            Fault: the request is refused for something else: the list.
        """
        if answer.ok:
            return {}
        wrong: dict[int, str] = {}
        for detail in answer.objects("error", "details"):
            for violation in violations(detail):
                found = _PLACE.search(str(violation.get("field", "")))
                if found and int(found[1]) < count:
                    why = violation.get("reason") or violation.get("description") or "refused"
                    wrong[int(found[1])] = str(why)
        if not wrong:
            words, _ = reasons(answer)
            raise Fault(
                "connection",
                f"Google Ads refused the list or the request: {words}; check the connection's "
                "list_id and upload_key, then resume it",
            )
        return wrong

    def classify(self, request: Request, answer: Answer) -> TryAgain | Fault | None:
        """A list of which nothing is left does not come back by itself: 404 is let through."""
        decided = super().classify(request, answer)
        if isinstance(decided, Fault) and answer.status == 403:  # noqa: PLR2004
            words, _ = reasons(answer)
            return Fault(
                "output",
                f"Google Ads refused access: {words}; give the credentials access to account "
                f"{self.settings.account_id}, then resume output {self.output}",
            )
        return decided

    def list_of(self, settings: GoogleAdsConnection) -> str | None:
        """The list of the settings."""
        return settings.list_id

    @property
    def creates_lists(self) -> bool:
        """Customer Match lists are made with the audience's name."""
        return True

    def create_list(self, change: OutputChange[GoogleAdsConnection]) -> ListCreation:
        """Find the list of the audience's name, or make one."""
        url, headers = self._lists, self._headers
        escaped = change.audience_name.replace("\\", "\\\\").replace('"', '\\"')
        named = quote(f'displayName = "{escaped}"', safe="")
        answer = yield Request("GET", f"{url}?filter={named}", b"", headers)
        for one in answer.objects("userLists"):
            if one.get("displayName") == change.audience_name and one.get("id"):
                return str(one["id"])
        answer = yield Request("POST", url, orjson.dumps(_new_list(change)), headers)
        made = answer.at("id")
        if not answer.ok or not made:
            words, _ = reasons(answer)
            raise Fault(
                "connection",
                f"Google Ads created no list for {change.audience_name}: {words}; make one and set "
                "list_id, then resume the connection",
            )
        return str(made)

    @property
    def _lists(self) -> str:
        return f"{self._base}/accountTypes/GOOGLE_ADS/accounts/{self.settings.account_id}/userLists"

    @property
    def _headers(self) -> dict[str, str]:
        login = self.settings.login_account_id
        more = {"login-account": f"accountTypes/GOOGLE_ADS/accounts/{login}"} if login else {}
        return {**_JSON, **more}

    @property
    def _base(self) -> str:
        return (self.settings.api_url or "https://datamanager.googleapis.com/v1").rstrip("/")


def _people(members: Sequence[Member]) -> list[list[Member]]:
    """Members of one change are one person, of at most ten identifiers."""
    people: dict[int, list[list[Member]]] = {}
    for member in members:
        parts = people.setdefault(member.place, [[]])
        if len(parts[-1]) == _IDENTIFIERS:
            parts.append([])
        parts[-1].append(member)
    return [part for parts in people.values() for part in parts]


def _audience_member(person: Sequence[Member]) -> dict[str, Any]:
    if person[0].identity_type in _FORMS["contact"]:
        identifiers = [
            {"emailAddress" if one.identity_type == "email" else "phoneNumber": one.identity}
            for one in person
        ]
        return {"userData": {"userIdentifiers": identifiers}}
    return {"mobileData": {"mobileIds": [one.identity for one in person]}}


def _new_list(change: OutputChange[GoogleAdsConnection]) -> dict[str, Any]:
    settings = change.settings
    source = {"dataSourceType": "DATA_SOURCE_TYPE_FIRST_PARTY"}
    if settings.upload_key == "contact":
        info: dict[str, Any] = {"uploadKeyTypes": ["CONTACT_ID"], "contactIdInfo": source}
    else:
        app = {"appId": settings.app_id or "", "keySpace": settings.upload_key.upper()}
        info = {"uploadKeyTypes": ["MOBILE_ID"], "mobileIdInfo": {**source, **app}}
    return {
        "displayName": change.audience_name,
        "membershipDuration": f"{settings.membership_days * 86_400}s",
        "ingestedUserListInfo": info,
    }
