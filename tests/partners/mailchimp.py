"""Mailchimp: audiences of contacts."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand, json_answer

STATUSES = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional")


def problem(status: int, title: str, detail: str = "") -> dict[str, Any]:
    """What Mailchimp says of an error."""
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}


class Mailchimp(Partner):
    """Holds contacts by list and email.

    Attributes:
        lists: list id -> email -> the contact.
        names: list id -> its name.
        unwanted: emails that Mailchimp will not subscribe.
    """

    def __init__(self, key: str, *lists: str) -> None:
        super().__init__()
        self.key = base64.b64encode(f"cdp-stream:{key}".encode()).decode()
        self.lists: dict[str, dict[str, Any]] = {name: {} for name in lists}
        self.names: dict[str, str] = {}
        self.unwanted: set[str] = set()

    def authorize(self, request: Served) -> None:
        """Basic, with the key as password."""
        right = request.headers.get("authorization") == f"Basic {self.key}"
        demand(right, 401, problem(401, "API Key Invalid"))

    def handle(self, request: Served) -> Answer:
        """The calls that the connector makes."""
        if request.path == "/3.0/lists":
            return self.of_lists(request)
        found = re.fullmatch(r"/3\.0/lists/([^/]+)(?:/members/([0-9a-f]{32}))?", request.path)
        known = found is not None and found[1] in self.lists
        demand(known, 404, problem(404, "Resource Not Found"))
        assert found is not None
        if found[2] is None and request.method == "DELETE":
            del self.lists[found[1]]
            return Answer(204)
        contacts = self.lists[found[1]]
        if found[2] is None:
            demand(request.method == "POST", 405, problem(405, "Method Not Allowed"))
            return self.batch(contacts, request.json())
        return self.one(contacts, found[2], request)

    def of_lists(self, request: Served) -> Answer:
        if request.method == "GET":
            rows = [{"id": key, "name": name} for key, name in self.names.items()]
            start, count = int(request.query["offset"]), int(request.query["count"])
            demand(count <= 1000, 400, problem(400, "Invalid Resource"))
            return json_answer(200, {"lists": rows[start : start + count]})
        body = request.json()
        needed = {"name", "contact", "permission_reminder", "campaign_defaults"}
        demand(needed <= body.keys(), 400, problem(400, "Invalid Resource"))
        made = f"new{len(self.lists)}"
        self.lists[made], self.names[made] = {}, body["name"]
        return json_answer(200, {"id": made, "name": body["name"]})

    def batch(self, contacts: dict[str, Any], body: Any) -> Answer:
        members = body["members"]
        demand(len(members) <= 500, 400, problem(400, "Bad Request", "more than 500 members"))
        emails = [one["email_address"].lower() for one in members]
        demand(len(set(emails)) == len(emails), 400, problem(400, "Bad Request", "twice"))
        errors = []
        for email, one in zip(emails, members, strict=True):
            demand(one["status"] in STATUSES, 400, problem(400, "Invalid Resource"))
            why = self.against(email, one["status"])
            if why is not None:
                errors.append({"email_address": email, "error": why, "error_code": "ERROR_GENERIC"})
            elif email not in contacts or body["update_existing"]:
                contacts.setdefault(email, {"merge_fields": {}})["status"] = one["status"]
                contacts[email]["merge_fields"] |= one.get("merge_fields", {})
        return json_answer(200, {"errors": errors, "error_count": len(errors)})

    def against(self, email: str, status: str) -> str | None:
        if "@" not in email:
            return "This email address looks invalid."
        if email in self.unwanted and status == "subscribed":
            return f"{email} is in a compliance state"
        return None

    def one(self, contacts: dict[str, Any], subscriber: str, request: Served) -> Answer:
        hashes = {hashlib.md5(email.encode()).hexdigest(): email for email in contacts}
        demand(subscriber in hashes, 404, problem(404, "Resource Not Found"))
        if request.method == "DELETE":
            del contacts[hashes[subscriber]]
            return Answer(204)
        demand(request.method == "PATCH", 405, problem(405, "Method Not Allowed"))
        contacts[hashes[subscriber]]["merge_fields"] |= request.json()["merge_fields"]
        return json_answer(200, {})

    def members(self, list_id: str | None) -> set[str]:
        """Those who are subscribed, or were asked to confirm."""
        contacts = self.lists.get(str(list_id), {})
        return {email for email, one in contacts.items() if one["status"] in STATUSES[::3]}
