"""Airship: tags of named users and channels."""

from __future__ import annotations

import base64
from typing import Any

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand, json_answer


def refusal(error: str) -> dict[str, Any]:
    """What Airship says of an error."""
    return {"ok": False, "error": error, "error_code": 40001}


class Airship(Partner):
    """Holds tags by (kind, id).

    Attributes:
        tags: (kind, id) -> tag group -> tags.
        groups: tag groups that there are.
    """

    def __init__(self, app: str, secret: str, *groups: str, token: str = "") -> None:
        super().__init__()
        basic = base64.b64encode(f"{app}:{secret}".encode()).decode()
        self.credentials = {(f"Basic {basic}", None), (f"Bearer {token}", app)}
        self.groups = set(groups)
        self.tags: dict[tuple[str, str], dict[str, set[str]]] = {}

    def authorize(self, request: Served) -> None:
        """The master secret, or a token and its app."""
        headers = request.headers
        given = headers.get("authorization"), headers.get("x-ua-appkey")
        demand(given in self.credentials, 401, refusal("unauthorized"))

    def handle(self, request: Served) -> Answer:
        """`/api/named_users/tags` and `/api/channels/tags`."""
        demand(request.method == "POST", 405, refusal("method"))
        body = request.json()
        kinds = list(body["audience"])
        wanted = {
            "/api/named_users/tags": {"named_user_id"},
            "/api/channels/tags": {"channel", "ios_channel", "android_channel", "amazon_channel"},
        }
        demand(set(kinds) <= wanted.get(request.path, set()), 400, refusal("bad audience"))
        ids = [(kind, one) for kind in kinds for one in body["audience"][kind]]
        demand(0 < len(ids) <= 1000, 400, refusal("how many ids?"))
        demand(all(one for _, one in ids), 400, refusal("an id is empty"))
        for verb in body.keys() & {"add", "remove"}:
            known = body[verb].keys() & self.groups
            demand(known, 400, refusal(f"The tag group(s) {list(body[verb])} do not exist"))
            for key in ids:
                for group in known:
                    self.change(key, group, verb, body[verb][group])
        return json_answer(200, {"ok": True})

    def change(self, key: tuple[str, str], group: str, verb: str, tags: list[str]) -> None:
        held = self.tags.setdefault(key, {}).setdefault(group, set())
        if verb == "add":
            held |= set(tags)
        else:
            held -= set(tags)

    def members(self, list_id: str | None) -> set[str]:
        """Those with the tag of the tests' audience."""
        return {
            one
            for (_, one), groups in self.tags.items()
            if any("VIP customers" in tags for tags in groups.values())
        }
