"""Yahoo's DataX Real-Time API: segments, and who is in them until when."""

from __future__ import annotations

import base64
import hmac
import json
import re
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand, json_answer

ACCESS = "yahoo-access-token"
_SHAPES = {
    "SHA256EMAIL": r"[0-9a-f]{64}",
    "IDFA": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "GPADVID": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}


class DataX(Partner):
    """Names at most two of the rows that it does not take."""

    def __init__(self, client: str, secret: str, now: int, segments: tuple[str, ...]) -> None:
        super().__init__()
        self.client, self.secret, self.now = client, secret, now
        self.held: dict[str, dict[str, int]] = {one: {} for one in segments}
        self.banned: set[str] = set()

    def authorize(self, request: Served) -> None:
        if not request.path.endswith("/access_token"):
            held = request.headers.get("authorization")
            demand(held == f"Bearer {ACCESS}", 401, {"error": "invalid token"})

    def handle(self, request: Served) -> Answer:
        if request.path.endswith("/access_token"):
            return self.token(request)
        demand(request.path == "/online/audience/", 404, {"error": "not found"})
        body = request.json()
        schema = body["schema"]
        demand(schema[-1] == "SEGMENTS", 400, {"error": "SEGMENTS must be last"})
        invalid = [
            row for row in body["data"] if not self.take(dict(zip(schema, row, strict=True)))
        ]
        shown = [f"[{', '.join(cell for cell in row[:-1] if cell)}]" for row in invalid[:2]]
        total = len(body["data"])
        return json_answer(
            200,
            {
                "totalRows": total,
                "processedRows": total - len(invalid),
                "invalidRows": len(invalid),
                "exampleInvalidRows": shown,
            },
        )

    def take(self, row: dict[str, str]) -> bool:
        said = dict(parse_qsl(row.pop("SEGMENTS")))
        (urn,) = [(kind, cell) for kind, cell in row.items() if cell]
        held = self.held.get(said["seg_id"])
        if held is None or not re.fullmatch(_SHAPES[urn[0]], urn[1]) or urn[1] in self.banned:
            return False
        until = int(said["exp"])
        if until == 0:
            held.pop(urn[1], None)
        else:
            held[urn[1]] = until
        return True

    def token(self, request: Served) -> Answer:
        form = {key: one for key, (one,) in parse_qs(request.body.decode()).items()}
        head, claims, signature = form["client_assertion"].split(".")
        right = hmac.digest(self.secret.encode(), f"{head}.{claims}".encode(), "sha256")
        said: dict[str, Any] = json.loads(_bytes(claims))
        good = (
            hmac.compare_digest(right, _bytes(signature))
            and said["iss"] == said["sub"] == self.client
            and said["aud"].endswith("/identity/oauth2/access_token?realm=dataxonline")
            and said["exp"] > self.now // 1000 >= said["iat"]
            and form["realm"] == "dataxonline"
        )
        demand(good, 400, {"error": "invalid_client"})
        return json_answer(200, {"access_token": ACCESS, "expires_in": 600})

    def members(self, list_id: str | None) -> set[str]:
        return set(self.held[str(list_id)])


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
