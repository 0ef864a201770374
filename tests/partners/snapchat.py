"""Snapchat: segments of hashed identities; access tokens from a refresh token."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand, json_answer

SCHEMAS = ({"EMAIL_SHA256"}, {"PHONE_SHA256"}, {"MOBILE_AD_ID_SHA256"})


def refusal(code: str, message: str) -> dict[str, Any]:
    """What Snapchat says of an error."""
    return {
        "request_status": "ERROR",
        "request_id": "57ae",
        "debug_message": message,
        "display_message": message,
        "error_code": code,
    }


class Snapchat(Partner):
    """Holds segments by id.

    Attributes:
        segments: segment id -> hashes; `names` are theirs.
        tokens: how many access tokens were given.
        page: segments a page.
    """

    def __init__(
        self, account: str, secret: str, refresh: str, *segments: str, page: int = 2
    ) -> None:
        super().__init__()
        self.account = account
        self.secret = secret
        self.refresh = refresh
        self.segments: dict[str, set[str]] = {one: set() for one in segments}
        self.names: dict[str, str] = {}
        self.tokens = 0
        self.page = page

    def authorize(self, request: Served) -> None:
        """The access token that was given last."""
        if request.path == "/login/oauth2/access_token":
            return
        right = request.headers.get("authorization") == f"Bearer token-{self.tokens}"
        demand(right, 401, refusal("E1002", "unauthorized"))

    def handle(self, request: Served) -> Answer:
        """The calls that the connector makes."""
        if request.path == "/login/oauth2/access_token":
            return self.token(request)
        if request.path == f"/v1/adaccounts/{self.account}/segments":
            return self.of_account(request)
        found = re.fullmatch(r"/v1/segments/(\w+)(/users)?", request.path)
        known = found is not None and found[1] in self.segments
        demand(known, 404, refusal("E1001", "resource can not be found"))
        assert found is not None
        if found[2] is None:
            demand(request.method == "DELETE", 405, refusal("E1", "method"))
            del self.segments[found[1]]
            return json_answer(200, {"request_status": "SUCCESS"})
        held = self.segments[found[1]]
        (users,) = request.json()["users"]
        demand(set(users["schema"]) in SCHEMAS, 400, refusal("E2", "one schema, please"))
        demand(0 < len(users["data"]) <= 100_000, 400, refusal("E3", "how many?"))
        hashes = [one for (one,) in users["data"]]
        good = all(re.fullmatch(r"[0-9a-f]{64}", one) for one in hashes)
        demand(good, 400, refusal("E4", "not hashed"))
        if request.method == "POST":
            held |= set(hashes)
        else:
            held -= set(hashes)
        done = {"number_uploaded_users": len(hashes)}
        rows = [{"sub_request_status": "SUCCESS", "user": done}]
        return json_answer(200, {"request_status": "SUCCESS", "users": rows})

    def token(self, request: Served) -> Answer:
        form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
        wanted = {
            "grant_type": "refresh_token",
            "client_id": "app-1",
            "client_secret": self.secret,
            "refresh_token": self.refresh,
        }
        wrong = {"error": "invalid_grant", "error_description": "the token is wrong"}
        demand(form == wanted, 400, wrong)
        self.tokens += 1
        return json_answer(200, {"access_token": f"token-{self.tokens}", "expires_in": 1800})

    def of_account(self, request: Served) -> Answer:
        if request.method == "POST":
            (given,) = request.json()["segments"]
            demand(given["source_type"] == "FIRST_PARTY", 400, refusal("E5", "source_type"))
            made = f"s{len(self.names)}"
            self.segments[made], self.names[made] = set(), given["name"]
            rows = [{"sub_request_status": "SUCCESS", "segment": {"id": made, **given}}]
            return json_answer(200, {"request_status": "SUCCESS", "segments": rows})
        start = int(request.query.get("cursor", "0"))
        found = list(self.names.items())[start : start + self.page]
        rows = [{"segment": {"id": key, "name": name}} for key, name in found]
        body: dict[str, Any] = {"request_status": "SUCCESS", "segments": rows}
        if start + self.page < len(self.names):
            path = f"https://adsapi.snapchat.com/v1/adaccounts/{self.account}/segments"
            body["paging"] = {"next_link": f"{path}?limit=1000&cursor={start + self.page}"}
        return json_answer(200, body)

    def members(self, list_id: str | None) -> set[str]:
        """As they were sent."""
        return self.segments.get(str(list_id), set())
