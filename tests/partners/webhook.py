"""A receiver of webhooks: checks each signature, and keeps what it is told by message id."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from standardwebhooks.webhooks import Webhook

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Served, demand


class Receiver(Partner):
    """Holds who is in, of each audience.

    Attributes:
        now: what the receiver's clock says, epoch s.
        most_changes: in a request.
        changes: every change as it came.
    """

    def __init__(self, secret: str, output: str, now: int, most_changes: int = 100) -> None:
        super().__init__()
        self.webhook = Webhook(secret)
        self.output = output
        self.now = now
        self.most_changes = most_changes
        self.changes: list[dict[str, Any]] = []
        self.seen: set[tuple[str, str]] = set()
        self.held: dict[str, set[str]] = {}

    def authorize(self, request: Served) -> None:
        """The receiver's library says what the signature must be."""
        headers = request.headers
        sent = int(headers["webhook-timestamp"])
        signed = self.webhook.sign(
            headers["webhook-id"], datetime.fromtimestamp(sent, UTC), request.body.decode()
        )
        right = signed in headers["webhook-signature"].split()
        demand(right and abs(sent - self.now) <= 300, 401, {"error": "wrong signature"})

    def handle(self, request: Served) -> Answer:
        """Take the changes."""
        demand(request.method == "POST", 405, {"error": "POST, please"})
        body = request.json()
        demand(body["output"] == self.output, 404, {"error": "no such output"})
        demand(len(body["changes"]) <= self.most_changes, 413, {"error": "too many"})
        for change in body["changes"]:
            self.take(change)
        return Answer(204)

    def take(self, change: dict[str, Any]) -> None:
        """Once each: a change that was seen is passed over."""
        key = change["message_id"], change["connection"]
        if key in self.seen:
            return
        self.seen.add(key)
        self.changes.append(change)
        held = self.held.setdefault(change["connection"], set())
        identities = {one["identity"] for one in change["user_identities"]}
        if change["action"] == "audience_delete":
            held.clear()
        elif change["action"] == "delete":
            held -= identities
        else:
            held |= identities

    def members(self, list_id: str | None) -> set[str]:
        """Of every audience."""
        return set().union(*self.held.values())
