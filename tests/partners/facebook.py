"""Meta: custom audiences of hashed identities."""

from __future__ import annotations

import re
from typing import Any

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand, json_answer

KEYS = {"EMAIL", "PHONE", "MADID"}
DEVICE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def error(code: int, subcode: int | None = None, message: str = "?") -> dict[str, Any]:
    """What Meta says of an error."""
    return {"error": {"message": message, "code": code, "error_subcode": subcode}}


NO_SUCH_OBJECT = error(100, 33, "Unsupported request. Object does not exist")


class Facebook(Partner):
    """Holds audiences by id.

    Attributes:
        audiences: audience id -> identities as they were sent; `names` are theirs.
        page: audiences a page.
    """

    def __init__(self, account: str, token: str, *audiences: str, page: int = 2) -> None:
        super().__init__()
        self.account = account
        self.token = token
        self.audiences: dict[str, set[str]] = {one: set() for one in audiences}
        self.names: dict[str, str] = {}
        self.page = page

    def authorize(self, request: Served) -> None:
        """A bearer."""
        right = request.headers.get("authorization") == f"Bearer {self.token}"
        demand(right, 400, error(190, 463, "Error validating access token"))

    def too_many(self, wait: float) -> Answer:
        """Meta says so with 400 and a code."""
        return json_answer(400, error(80_003, None, "too many calls"))

    def handle(self, request: Served) -> Answer:
        """The calls that the connector makes."""
        if request.path == f"/v25.0/act_{self.account}/customaudiences":
            return self.of_account(request)
        found = re.fullmatch(r"/v25\.0/(\d+)(/users)?", request.path)
        known = found is not None and found[1] in self.audiences
        demand(known, 400, NO_SUCH_OBJECT)
        assert found is not None
        if found[2] is None:
            demand(request.method == "DELETE", 400, error(100))
            del self.audiences[found[1]]
            return json_answer(200, {"success": True})
        return self.users(self.audiences[found[1]], request)

    def users(self, held: set[str], request: Served) -> Answer:
        body = request.json()
        payload, session = body["payload"], body["session"]
        demand(set(payload["schema"]) <= KEYS, 400, error(100, None, "bad schema"))
        demand(0 < len(payload["data"]) <= 10_000, 400, error(100, None, "too many rows"))
        demand(session["estimated_num_total"] == len(payload["data"]), 400, error(100))
        demand(0 < session["session_id"] < 2**63, 400, error(100, None, "bad session"))
        bad = {}
        for index, row in enumerate(payload["data"]):
            demand(len(row) == len(payload["schema"]), 400, error(100, None, "bad row"))
            cells = dict(zip(payload["schema"], row, strict=True))
            right = [is_right(key, cell) for key, cell in cells.items() if cell]
            if not right or not all(right):
                bad[str(index)] = next((cell for cell in row if cell), "")
                continue
            for cell in filter(None, row):
                (held.add if request.method == "POST" else held.discard)(cell)
        done = {"num_received": len(payload["data"]), "num_invalid_entries": len(bad)}
        return json_answer(200, {**done, "invalid_entry_samples": bad})

    def of_account(self, request: Served) -> Answer:
        if request.method == "GET":
            rows = [{"id": key, "name": name} for key, name in self.names.items()]
            start = int(request.query.get("after", "0"))
            end = start + self.page
            paging: dict[str, Any] = {"cursors": {"after": str(end)}}
            if end < len(rows):
                paging["next"] = "https://graph.facebook.com/next"
            return json_answer(200, {"data": rows[start:end], "paging": paging})
        body = request.json()
        made = str(9000 + len(self.names))
        wanted = {"name", "subtype", "customer_file_source"}
        demand(body.keys() == wanted and body["subtype"] == "CUSTOM", 400, error(100))
        self.audiences[made], self.names[made] = set(), body["name"]
        return json_answer(200, {"id": made})

    def members(self, list_id: str | None) -> set[str]:
        """As they were sent."""
        return self.audiences.get(str(list_id), set())


def is_right(key: str, cell: str) -> bool:
    """Hashes in hexadecimal; devices as they are."""
    return bool(DEVICE.fullmatch(cell) if key == "MADID" else re.fullmatch(r"[0-9a-f]{64}", cell))
