"""Iterable: static lists of users, in a project that knows them by email."""

from __future__ import annotations

import re
from typing import Any

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand, json_answer


def reply(code: str, msg: str = "") -> dict[str, Any]:
    """What Iterable says of an error."""
    return {"code": code, "msg": msg, "params": None}


class Iterable(Partner):
    """Holds users by email or user id, and lists of them.

    Attributes:
        key: `email` or `userId`.
        users: user -> profile fields.
        lists: list id -> users; `names` are theirs.
    """

    def __init__(self, api_key: str, *lists: int, key: str = "email") -> None:
        super().__init__()
        self.api_key = api_key
        self.key = key
        self.users: dict[str, dict[str, Any]] = {}
        self.lists: dict[int, set[str]] = {one: set() for one in lists}
        self.names: dict[int, str] = {}

    def authorize(self, request: Served) -> None:
        """A header of Iterable's own."""
        right = request.headers.get("api-key") == self.api_key
        demand(right, 401, reply("BadApiKey", "Invalid API key"))

    def handle(self, request: Served) -> Answer:
        """The calls that the connector makes."""
        if request.path == "/api/lists":
            return self.of_lists(request)
        if found := re.fullmatch(r"/api/lists/(\d+)", request.path):
            demand(request.method == "DELETE", 405, reply("BadParams"))
            demand(int(found[1]) in self.lists, 404, reply("NotFound", "no such list"))
            del self.lists[int(found[1])]
            return json_answer(200, reply("Success"))
        demand(request.method == "POST", 405, reply("BadParams"))
        body = request.json()
        members = self.lists.get(body["listId"])
        demand(members is not None, 400, reply("BadParams", "List not found: 1"))
        assert members is not None
        demand(len(body["subscribers"]) <= 1000, 400, reply("BatchTooLarge"))
        is_in = request.path == "/api/lists/subscribe"
        demand(is_in or request.path == "/api/lists/unsubscribe", 404, reply("NotFound"))
        demand(is_in or body["channelUnsubscribe"] is False, 400, reply("BadParams"))
        failed: dict[str, list[str]] = {}
        for one in body["subscribers"]:
            self.subscriber(one, is_in, body, members, failed)
        count = sum(len(users) for users in failed.values())
        counts = {"successCount": len(body["subscribers"]) - count, "failCount": count}
        return json_answer(200, {**counts, "failedUpdates": failed})

    def subscriber(
        self, one: Any, is_in: bool, body: Any, members: set[str], failed: dict[str, list[str]]
    ) -> None:
        kind = "Emails" if self.key == "email" else "UserIds"
        user = one.get(self.key)
        if user is None:
            failed.setdefault("invalidUserIds", []).append(str(one))
        elif self.key == "email" and "@" not in user:
            failed.setdefault("invalidEmails", []).append(user)
        elif not is_in:
            if user not in self.users:
                failed.setdefault(f"notFound{kind}", []).append(user)
            members.discard(user)
        elif user not in self.users and body["updateExistingUsersOnly"]:
            failed.setdefault(f"notFound{kind}", []).append(user)
        else:
            self.users.setdefault(user, {}).update(one.get("dataFields", {}))
            members.add(user)

    def of_lists(self, request: Served) -> Answer:
        if request.method == "GET":
            rows = [{"id": one, "name": self.names.get(one, "?")} for one in self.lists]
            return json_answer(200, {"lists": rows})
        made = 1000 + len(self.lists)
        self.lists[made], self.names[made] = set(), request.json()["name"]
        return json_answer(200, {"listId": made})

    def members(self, list_id: str | None) -> set[str]:
        """Of the list."""
        return self.lists.get(int(list_id or 0), set())
