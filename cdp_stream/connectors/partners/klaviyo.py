"""Klaviyo: profiles of a list. Klaviyo's lists hold profile ids, which are looked up first.

Source: https://developers.klaviyo.com/en/reference/get_profiles (filter `any`, 100 a page),
/add_profiles_to_list and /remove_profiles_from_list (1,000 a call, 10/s and 150/min),
/bulk_import_profiles and /get_errors_for_bulk_import_profiles_job (10,000 profiles), /create_list;
https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling.
To be on a list is no consent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any, Final, Literal
from urllib.parse import quote

from pydantic import Field

from cdp_stream.connectors.calls import (
    Refusals,
    Sent,
    dropped,
    host,
    id_of,
    in_parts,
    json_request,
    mapping_of,
    not_made,
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
    Request,
    Token,
    TryAgain,
)
from cdp_stream.connectors.list_connector import ListConnection, ListConnector
from cdp_stream.connectors.members.hashing import normal_email, normal_phone
from cdp_stream.connectors.members.members import Form, Member
from cdp_stream.connectors.settings import (
    HttpSettings,
    SecretStr,
)

_REVISION: Final = "2026-07-15"
_IDENTITIES: Final = {
    "email": "email",
    "phone_number": "mobile_number",
    "external_id": "customer_id",
}
_FORMS: Final[dict[str, Form]] = {
    "email": normal_email,
    "mobile_number": lambda phone: normal_phone(phone, plus=True),
    "customer_id": str.strip,
}
_MOST_ON_A_LIST: Final = 1_000
_MOST_LOOKED_UP: Final = 50  # of 100: they are in the address
_NOT_FOUND: Final = 404
_JOB: Final = "/api/profile-bulk-import-jobs"
_UNDER_WAY: Final = frozenset({"queued", "processing"})
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.~/-]+")
_POINTER: Final = re.compile(r"/profiles/data/(\d+)")


class KlaviyoSettings(HttpSettings):
    """A Klaviyo account."""

    api_key: SecretStr = Field(
        description="A private API key with `lists:read`, `lists:write`, `profiles:read`, "
        "`profiles:write`."
    )
    identify_by: Literal["email", "phone_number", "external_id"] = Field(
        "email",
        description="How Klaviyo identifies profiles: by our `email`, `mobile_number` or "
        "`customer_id`.",
    )


Change = OutputChange[ListConnection]


class Klaviyo(ListConnector[KlaviyoSettings, ListConnection]):
    """Adds profiles to a list, making those that are missing, and removes them from it."""

    name = "klaviyo"
    title = "Klaviyo"
    summary = "Keeps a list of Klaviyo equal to the audience."
    output_settings = KlaviyoSettings
    connection_settings = ListConnection
    identities = frozenset(_FORMS)
    takes_attributes = True
    pattern = "direct"
    batching = Batching(count=_MOST_ON_A_LIST, interval_ms=5_000)
    rate = Rate(150, 60.0)
    max_connections = 5

    def __init__(self, output: str, settings: KlaviyoSettings) -> None:
        super().__init__(output, settings)
        self._url = host(settings, "https://a.klaviyo.com", "/api")
        identity_type = _IDENTITIES[settings.identify_by]
        self._form = _FORMS[identity_type]
        self.forms = {identity_type: self._form}
        self._key = f"Klaviyo-API-Key {settings.api_key.get_secret_value()}"

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """The private key, and the revision of the API that this is written for."""
        headers = {"authorization": self._key, "accept": "application/vnd.api+json"}
        if request.body:
            headers["content-type"] = "application/vnd.api+json"
        return request.with_headers(**headers, revision=_REVISION)

    def classify(self, request: Request, answer: Answer) -> TryAgain | Fault | None:
        """While an import is under way, its status is requested again."""
        if request.method == "GET" and _JOB in request.url and answer.ok:
            status = answer.at("data", "attributes", "status")
            if isinstance(status, str) and status in _UNDER_WAY:
                return TryAgain(1.0)
        return super().classify(request, answer)

    def create_list(self, change: Change) -> ListCreation:
        """Find the list of that name, or make one."""
        url, name = f"{self._url}/api/lists", change.audience_name
        answer = yield Request("GET", f"{url}?filter={_filter(f'equals(name,{_quoted(name)})')}")
        lists = answer.objects("data")
        named = ({**mapping_of(one, "attributes"), "id": one.get("id")} for one in lists)
        if list_id := id_of(name, named):
            return list_id
        if answer.ok:
            body = {"data": {"type": "list", "attributes": {"name": name}}}
            answer = yield json_request("POST", url, body)
            if answer.ok and (list_id := text_of(answer.at("data", "id"))):
                return list_id
        raise not_made(self.title, name, answer)

    def update(self, members: Sequence[Member]) -> Refusals:
        """Look profiles up, import those that are missing or have attributes, set the list."""
        ids = yield from self._look_up(members)
        imported = [
            one
            for one in members
            if one.is_in and (one.identity not in ids or one.change.attributes)
        ]
        refused = yield from in_parts(imported, _MOST_ON_A_LIST, self._import)
        bad = {member.identity for member, _why in refused}
        missing = [one for one in imported if one.identity not in ids and one.identity not in bad]
        if missing:
            ids |= yield from self._look_up(missing)
            refused += [
                (one, "no profile was created") for one in missing if one.identity not in ids
            ]
        for is_in, method in ((False, "DELETE"), (True, "POST")):
            rows = [
                one
                for one in members
                if one.is_in is is_in and one.identity in ids and one.identity not in bad
            ]
            send = partial(self._set_list, method, ids)
            refused += yield from in_parts(rows, _MOST_ON_A_LIST, send)
        return refused

    def drop(self, list_id: str) -> Delivery:
        """Delete the list; its profiles stay."""
        return (yield from dropped(self.title, f"{self._url}/api/lists/{list_id}"))

    def _look_up(self, members: Sequence[Member]) -> Generator[Request, Answer, dict[str, str]]:
        """Identity -> profile id, of those that Klaviyo has."""
        key, ids = self.settings.identify_by, {}

        def send(part: Sequence[Member]) -> Sent:
            values = ",".join(_quoted(member.identity) for member in part)
            wanted = _filter(f"any({key},[{values}])")
            url = f"{self._url}/api/profiles?fields[profile]={key}&page[size]=100&filter={wanted}"
            answer = yield Request("GET", url)
            for found in answer.objects("data"):
                value = mapping_of(found, "attributes").get(key)
                profile_id = text_of(found.get("id"))
                if isinstance(value, str) and profile_id and answer.ok:
                    ids[self._form(value)] = profile_id
            return {} if answer.ok else answer.words()

        # One that it does not look up is no profile of Klaviyo; an import returns the reason.
        yield from in_parts(members, _MOST_LOOKED_UP, send)
        return ids

    def _import(self, part: Sequence[Member]) -> Sent:
        profiles = {"data": [self._profile(member) for member in part]}
        job = {"type": "profile-bulk-import-job", "attributes": {"profiles": profiles}}
        answer = yield json_request("POST", self._url + _JOB, {"data": job})
        job_id = text_of(answer.at("data", "id"))
        if not answer.ok or job_id is None:
            return answer.words()
        answer = yield Request("GET", f"{self._url}{_JOB}/{job_id}")
        done = mapping_of(answer.json(), "data", "attributes")
        if done.get("status") != "complete":
            return answer.words()
        if not done.get("failed_count"):
            return {}
        answer = yield Request("GET", f"{self._url}{_JOB}/{job_id}/import-errors?page[size]=100")
        refused = {}
        for found in answer.objects("data"):
            error = mapping_of(found, "attributes")
            at = _POINTER.search(str(mapping_of(error, "source").get("pointer")))
            if at is not None and int(at[1]) < len(part):
                refused[int(at[1])] = f"{error.get('code')} {error.get('detail')}"
        return refused

    def _profile(self, member: Member) -> dict[str, Any]:
        attributes: dict[str, Any] = {self.settings.identify_by: member.identity}
        if member.change.attributes:
            attributes["properties"] = dict(member.change.attributes)
        return {"type": "profile", "attributes": attributes}

    def _set_list(self, method: str, ids: dict[str, str], part: Sequence[Member]) -> Sent:
        list_id = part[0].change.list_id
        url = f"{self._url}/api/lists/{list_id}/relationships/profiles"
        rows = [{"type": "profile", "id": ids[member.identity]} for member in part]
        answer = yield json_request(method, url, {"data": rows})
        if answer.ok:
            return {}
        if answer.status == _NOT_FOUND and "list" in answer.words().lower():
            raise unknown_list(self.title, list_id, answer)
        return answer.words()


_quoted: Final = json.JSONEncoder(ensure_ascii=False).encode


def _filter(text: str) -> str:
    # As `quote` does it, which looks at each character of what are mostly safe ones.
    return _UNSAFE.sub(lambda found: quote(found[0], errors="replace"), text)
