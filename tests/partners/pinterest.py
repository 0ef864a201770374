"""Pinterest: customer lists of hashed records; access tokens from a refresh token."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any
from urllib.parse import parse_qs

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand, json_answer


def error(code: int, message: str) -> dict[str, Any]:
    """What Pinterest says of an error."""
    return {"code": code, "message": message}


class Pinterest(Partner):
    """Holds customer lists by id.

    Attributes:
        lists: list id -> hashes; `names` are theirs.
        audiences: those made of lists: name -> list id.
        strangers: records that are nobody's on Pinterest.
        small: whether lists are too small for an audience.
        page: lists a page.
    """

    def __init__(self, account: str, secret: str, refresh: str, *lists: str) -> None:
        super().__init__()
        self.account = account
        self.app = base64.b64encode(f"1234:{secret}".encode()).decode()
        self.refresh = refresh
        self.lists: dict[str, set[str]] = {one: set() for one in lists}
        self.names: dict[str, str] = {}
        self.audiences: dict[str, str] = {}
        self.strangers = {hashlib.sha256(b"nobody@example.invalid").hexdigest()}
        self.small = False
        self.tokens = 0
        self.page = 2

    def authorize(self, request: Served) -> None:
        """The access token that was given last."""
        if request.path != "/v5/oauth/token":
            right = request.headers.get("authorization") == f"Bearer token-{self.tokens}"
            demand(right, 401, error(2, "Authentication failed."))

    def handle(self, request: Served) -> Answer:
        """The calls that the connector makes."""
        if request.path == "/v5/oauth/token":
            return self.token(request)
        account = f"/v5/ad_accounts/{self.account}"
        if request.path == f"{account}/audiences":
            body = request.json()
            demand(body["audience_type"] == "CUSTOMER_LIST", 400, error(1, "type"))
            demand(not self.small, 400, error(1, "The list is too small"))
            self.audiences[body["name"]] = body["rule"]["customer_list_id"]
            return json_answer(200, {"id": "a1"})
        if request.path == f"{account}/customer_lists":
            return self.of_account(request)
        found = re.fullmatch(rf"{account}/customer_lists/(\d+)", request.path)
        known = found is not None and found[1] in self.lists
        demand(known, 404, error(1903, "Customer list not found."))
        assert found is not None
        demand(request.method == "PATCH", 405, error(1, "method"))
        body = request.json()
        records = self.records(body)
        if body["operation_type"] == "ADD":
            self.lists[found[1]] |= records
        else:
            demand(body["operation_type"] == "REMOVE", 400, error(1, "operation_type"))
            self.lists[found[1]] -= records
        return json_answer(200, {"id": found[1], "status": "PROCESSING"})

    def records(self, body: Any) -> set[str]:
        records = body["records"].split(",")
        good = all(re.fullmatch(r"[0-9a-f]{64}", one) for one in records)
        demand(good, 400, error(1, "records must be hashed"))
        demand(len(records) <= 10_000, 400, error(1, "too many records"))
        return set(records) - self.strangers

    def token(self, request: Served) -> Answer:
        right = request.headers.get("authorization") == f"Basic {self.app}"
        form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
        wanted = {"grant_type": "refresh_token", "refresh_token": self.refresh}
        demand(right and form == wanted, 401, error(2, "Authentication failed."))
        self.tokens += 1
        return json_answer(200, {"access_token": f"token-{self.tokens}", "expires_in": 2_592_000})

    def of_account(self, request: Served) -> Answer:
        if request.method == "POST":
            body = request.json()
            made = str(600 + len(self.names))
            self.lists[made], self.names[made] = self.records(body), body["name"]
            return json_answer(200, {"id": made, "status": "PROCESSING"})
        demand(int(request.query["page_size"]) <= 250, 400, error(1, "page_size"))
        start = int(request.query.get("bookmark", "0"))
        found = list(self.names.items())[start : start + self.page]
        end = start + self.page
        rows = [{"id": key, "name": name} for key, name in found]
        bookmark = str(end) if end < len(self.names) else None
        return json_answer(200, {"items": rows, "bookmark": bookmark})

    def members(self, list_id: str | None) -> set[str]:
        """As they were sent."""
        return self.lists.get(str(list_id), set())
