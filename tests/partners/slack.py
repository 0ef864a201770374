"""A Slack channel behind an incoming webhook, with the answers that Slack documents."""

from __future__ import annotations

from cdp_stream.connectors.exchange import Answer
from tests.partners.partner import Partner, Quota, Refused, Served


class Channel(Partner):
    """Remembers each message, and who would be in, were each read as it stands."""

    def __init__(self, path: str, quota: Quota | None = None) -> None:
        super().__init__(quota)
        self.path = path
        self.messages: list[str] = []

    def too_many(self, wait: float) -> Answer:
        """As Slack says it: whole seconds."""
        return Answer(429, b"rate_limited", {"retry-after": str(int(wait) + 1)})

    def handle(self, request: Served) -> Answer:
        """Take a message."""
        if request.path != self.path:
            raise Refused(Answer(404, b"no_service"))
        if request.headers.get("content-type") != "application/json":
            raise Refused(Answer(400, b"invalid_payload"))
        body = request.json()
        text = body.get("text") if isinstance(body, dict) else None
        if not isinstance(text, str):
            raise Refused(Answer(400, b"invalid_payload"))
        if not text or len(text) > 40_000:
            raise Refused(Answer(400, b"no_text"))
        self.messages.append(text)
        return Answer(200, b"ok")

    def members(self, list_id: str | None) -> set[str]:
        """The mpids."""
        held: set[str] = set()
        for message in self.messages:
            for line in message.split("\n")[1:]:
                sign, mpid, *_beside = line.split()
                if sign == "+":
                    held.add(mpid)
                elif sign == "-":
                    held.discard(mpid)
        return held
