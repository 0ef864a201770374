"""X's Ads API: custom audiences, and requests that are signed with OAuth 1.0a."""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from cdp_stream.connectors.exchange import Answer, Request
from tests.partners.partner import Partner, Quota, Served, demand, json_answer

KEYS = {
    "consumer_key": "xvz1evFS4wEEPTGEFPHBog",
    "consumer_secret": "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw",
    "access_token": "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb",
    "access_token_secret": "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE",
}


def error(status: int, code: str) -> Answer:
    """An error as X words it."""
    return json_answer(status, {"errors": [{"code": code, "message": "no"}], "request": {}})


def signature(method: str, url: str, parameters: dict[str, str]) -> str:
    """The OAuth 1.0a signature of a request with these parameters, and those of its query."""
    address = urlsplit(url)
    pairs = sorted(
        quote(key, safe="") + "=" + quote(value, safe="")
        for key, value in [*parameters.items(), *parse_qsl(address.query)]
    )
    where = f"{address.scheme}://{address.netloc}{address.path}"
    base = "&".join(quote(one, safe="") for one in (method, where, "&".join(pairs)))
    key = f"{KEYS['consumer_secret']}&{KEYS['access_token_secret']}"
    return b64encode(hmac.digest(key.encode(), base.encode(), "sha1")).decode()


class Audiences(Partner):
    """Custom audiences: id -> what identifies their users."""

    most_bytes = 5_000_000

    def __init__(self, account: str, now: int, audiences: tuple[str, ...] = ()) -> None:
        super().__init__(Quota(1_500, 60))
        self.path = f"/12/accounts/{account}/custom_audiences"
        self.now = now
        self.names = {one: f"audience {one}" for one in audiences}
        self.held: dict[str, set[str]] = {one: set() for one in audiences}
        self.asked: Request | None = None

    def answer(self, request: Request) -> Answer:
        self.asked = request
        return super().answer(request)

    def authorize(self, request: Served) -> None:
        assert self.asked is not None
        kind, _, rest = request.headers.get("authorization", "").partition(" ")
        said = {key: unquote(value) for key, value in re.findall(r'(\w+)="([^"]*)"', rest)}
        given = said.pop("oauth_signature", "")
        right = signature(request.method, self.asked.url, said)
        fresh = abs(int(said.get("oauth_timestamp", 0)) - self.now // 1000) <= 300
        names = said.get("oauth_consumer_key"), said.get("oauth_token")
        known = names == (KEYS["consumer_key"], KEYS["access_token"])
        demand(
            kind == "OAuth" and given == right and fresh and known and said.get("oauth_nonce"),
            401,
            {"errors": [{"code": "UNAUTHORIZED_ACCESS", "message": "no"}]},
        )

    def handle(self, request: Served) -> Answer:
        if request.path == self.path and request.method == "GET":
            found = [{"id": one, "name": name} for one, name in self.names.items()]
            start = int(request.query.get("cursor", 0))
            end = start + 2  # pages are small, so that there are several
            following = str(end) if end < len(found) else None
            return json_answer(200, {"data": found[start:end], "next_cursor": following})
        if request.path == self.path and request.method == "POST":
            made = f"made{len(self.names)}"
            self.names[made] = request.query["name"]
            self.held[made] = set()
            return json_answer(201, {"data": {"id": made, "name": request.query["name"]}})
        audience, _, users = request.path.removeprefix(self.path + "/").partition("/")
        demand(audience in self.held, 404, {"errors": [{"code": "NOT_FOUND", "message": "no"}]})
        if request.method == "DELETE" and not users:
            del self.names[audience]
            del self.held[audience]
            return json_answer(200, {"data": {"id": audience, "deleted": True}})
        demand(request.method == "POST" and users == "users", 404, {"errors": []})
        return self.change(self.held[audience], request)

    def change(self, held: set[str], request: Served) -> Answer:
        operations = request.json()
        demand(len(operations) <= 2_500, 400, {"errors": [{"code": "TOO_MANY_ITEMS"}]})
        errors = []
        ids: list[list[str]] = []
        for one in operations:
            found = [each for user in one["params"]["users"] for v in user.values() for each in v]
            good = all(re.fullmatch(r"[0-9a-f]{64}", each) for each in found)
            errors.append([] if good else [{"code": "INVALID_PARAMETER", "message": "not hashed"}])
            ids.append(found)
        if any(errors):
            return json_answer(400, {"errors": [], "operation_errors": errors})
        for one, found in zip(operations, ids, strict=True):
            if one["operation_type"] == "Update":
                held.update(found)
            else:
                held.difference_update(found)
        count = len(operations)
        return json_answer(200, {"data": {}, "success_count": count, "total_count": count})

    def members(self, list_id: str | None) -> set[str]:
        return self.held.get(str(list_id), set())
