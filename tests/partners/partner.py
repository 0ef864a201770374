"""A partner as its documentation says it is: what it holds, and which requests it refuses.

A partner is a plain object: `answer` takes a request and returns what it says, so the same rules
are held in memory (`converse`) and behind a real HTTP server (`serving`). Times come from `clock`,
in seconds, so that a test can let a minute pass.
"""

from __future__ import annotations

import gzip
import json
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cdp_stream.connectors.exchange import Answer, Request

__all__ = ["Partner", "Quota", "Refused", "Served", "demand", "json_answer", "served"]


def json_answer(status: int, value: Any = None, **headers: str) -> Answer:
    """An answer in JSON; `_` in a header's name stands for `-`."""
    more = {name.replace("_", "-"): text for name, text in headers.items()}
    body = b"" if value is None else json.dumps(value).encode()
    return Answer(status, body, {"content-type": "application/json", **more})


class Refused(Exception):  # noqa: N818 - the partner's answer
    """Raised anywhere within `handle`: this is what the partner says."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.words())
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Served:
    """A request as a server sees it; `body` unpacked."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    raw: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            Refused: 400, it is none.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise Refused(json_answer(400, {"error": "the body is no JSON"})) from None


def served(request: Request) -> Served:
    """A request as its server sees it."""
    address = urlsplit(request.url)
    packed = request.headers.get("content-encoding") == "gzip"
    return Served(
        request.method,
        address.path,
        dict(parse_qsl(address.query, keep_blank_values=True)),
        {name.lower(): value for name, value in request.headers.items()},
        gzip.decompress(request.body) if packed else request.body,
        request.body,
    )


@dataclass
class Quota:
    """At most so many requests in so many seconds, the rule that most partners have."""

    requests: int
    seconds: float = 1.0
    taken: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Take one; how long until there is one, 0 when it was taken."""
        while self.taken and self.taken[0] <= now - self.seconds:
            self.taken.popleft()
        if len(self.taken) < self.requests:
            self.taken.append(now)
            return 0.0
        return self.taken[0] + self.seconds - now


class Partner(ABC):
    """Subclasses hold lists or tags, check each request in `handle`, and say who is in.

    Attributes:
        most_bytes: of a request's body as sent; above it the answer is 413.
        quota: None takes requests at any rate.
        requests: every one that arrived, in order.
        ahead: answers to give, in turn, instead of looking at the request: a partner out of order.
    """

    most_bytes: int | None = None

    def __init__(
        self, quota: Quota | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.quota = quota
        self.clock = clock
        self.requests: list[Served] = []
        self.ahead: deque[Answer] = deque()

    def answer(self, request: Request) -> Answer:
        """What the partner says to a request; never raises on a request, however bad."""
        seen = served(request)
        self.requests.append(seen)
        if self.ahead:
            return self.ahead.popleft()
        if self.quota is not None and (wait := self.quota.wait(self.clock())):
            return self.too_many(wait)
        if self.most_bytes is not None and len(seen.raw) > self.most_bytes:
            return json_answer(413, {"error": "the request is too large"})
        try:
            self.authorize(seen)
            return self.handle(seen)
        except Refused as refused:
            return refused.answer

    def too_many(self, wait: float) -> Answer:
        """Said when the quota is used up; partners that say no `Retry-After` override it."""
        return json_answer(429, {"error": "too many requests"}, retry_after=f"{wait:.3f}")

    def authorize(self, request: Served) -> None:  # noqa: B027 - not every partner asks
        """Check who asks.

        Raises:
            Refused: with what the partner says of wrong credentials.
        """

    @abstractmethod
    def handle(self, request: Served) -> Answer:
        """Do what is asked.

        Raises:
            Refused: a rule was broken.
        """

    @abstractmethod
    def members(self, list_id: str | None) -> set[str]:
        """Who is in a list or has the tag, each as the partner keeps it (its email's hash, ...)."""


def demand(holds: object, status: int, value: Any) -> None:
    """A rule of the partner.

    Raises:
        Refused: it does not hold; with this answer.
    """
    if not holds:
        raise Refused(json_answer(status, value))
