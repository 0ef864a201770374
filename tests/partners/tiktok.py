"""TikTok: custom audiences of hashed identities; errors come with a status of 200."""

from __future__ import annotations

import re
from typing import Any

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand, json_answer

SCHEMA = {"EMAIL_SHA256", "PHONE_SHA256", "IDFA_SHA256", "AAID_SHA256"}


def reply(code: int, message: str = "", data: Any = None) -> dict[str, Any]:
    """What TikTok says, always."""
    return {"code": code, "message": message, "request_id": "2026", "data": data or {}}


class TikTok(Partner):
    """Holds audiences by id.

    Attributes:
        audiences: audience id -> hashes; `names` are theirs.
        in_use: audiences of running campaigns.
    """

    def __init__(self, advertiser: str, token: str, *audiences: str) -> None:
        super().__init__()
        self.advertiser = advertiser
        self.token = token
        self.audiences: dict[str, set[str]] = {one: set() for one in audiences}
        self.names: dict[str, str] = {}
        self.in_use: set[str] = set()

    def authorize(self, request: Served) -> None:
        """A header of TikTok's own."""
        right = request.headers.get("access-token") == self.token
        demand(right, 200, reply(40105, "Access token is incorrect or has been revoked."))

    def too_many(self, wait: float) -> Answer:
        """With a status of 200."""
        return json_answer(200, reply(40100, "Requests made too frequently"))

    def handle(self, request: Served) -> Answer:
        """The calls that the connector makes."""
        path = request.path.removeprefix("/open_api/v1.3")
        if path == "/dmp/custom_audience/list/":
            return self.page(request)
        body = request.json()
        if path == "/segment/mapping/":
            return self.mapping(body)
        demand(body["advertiser_id"] == self.advertiser, 200, reply(40001, "No permission"))
        if path == "/segment/audience/":
            made = str(170_000 + len(self.audiences))
            self.audiences[made], self.names[made] = set(), body["custom_audience_name"]
            demand(body["action"] == "create", 200, reply(40002, "action"))
            return json_answer(200, reply(0, "OK", {"audience_id": made}))
        demand(path == "/dmp/custom_audience/delete/", 404, reply(40006))
        for one in body["custom_audience_ids"]:
            demand(one in self.audiences, 200, reply(40002, "Custom audience does not exist"))
            demand(one not in self.in_use, 200, reply(40002, "Audience is used by ad groups"))
            del self.audiences[one]
        return json_answer(200, reply(0, "OK"))

    def mapping(self, body: Any) -> Answer:
        demand(body["advertiser_ids"] == [self.advertiser], 200, reply(40001, "No permission"))
        demand(set(body["id_schema"]) <= SCHEMA, 200, reply(40002, "id_schema"))
        demand(0 < len(body["batch_data"]) <= 10_000, 200, reply(40002, "batch_data"))
        cells = [cell for row in body["batch_data"] for cell in row if cell]
        for cell in cells:
            demand(re.fullmatch(r"[0-9a-f]{64}", cell["id"]), 200, reply(40002, "id"))
            known = set(cell["audience_ids"]) <= self.audiences.keys()
            demand(known, 200, reply(40007, "The audience does not exist"))
        for cell in cells:
            for one in cell["audience_ids"]:
                held = self.audiences[one]
                (held.add if body["action"] == "add" else held.discard)(cell["id"])
        return json_answer(200, reply(0, "OK"))

    def page(self, request: Served) -> Answer:
        query = request.query
        demand(query["advertiser_id"] == self.advertiser, 200, reply(40001, "No permission"))
        size, page = int(query["page_size"]), int(query["page"])
        rows = [{"audience_id": key, "name": name} for key, name in self.names.items()]
        found = rows[(page - 1) * size : page * size]
        return json_answer(200, reply(0, "OK", {"list": found}))

    def members(self, list_id: str | None) -> set[str]:
        """As they were sent."""
        return self.audiences.get(str(list_id), set())
