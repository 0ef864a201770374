"""What a connector and the sender exchange: requests, answers, and the outcome of deliveries.

A connector is written as if the partner answered at once: it yields a `Request` and is sent the
`Answer` (a generator). It never meets a partner that does not answer, nor one that is to be tried
later: the sender retries those. So a connector is tested without a network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit

_SUCCESS = 2
_LOOKED_AT: Final = 16 * 1024
"""Bytes of a body that its words come from; more than are ever shown."""

Scope = Literal["output", "connection"]
"""What a fault stops: the whole output (authentication, rate), or the one connection (its list)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, without authorization: see `Connector.authorized`.

    Attributes:
        url: absolute.
        headers: names in lower case.
    """

    method: str
    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, **headers: str) -> Request:
        """The same with more headers; `_` in a name becomes `-`."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return Request(self.method, self.url, self.body, {**self.headers, **more})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the partner answered.

    Attributes:
        headers: names in lower case.
        body: up to the size limit; what is beyond it was not read.
        redact: removes secrets from a text, of which the end may have been cut off; the sender's,
            which alone knows them.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    redact: Callable[[str, bool], str] = field(
        default=lambda text, _is_cut: text, repr=False, compare=False
    )

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return self.status // 100 == _SUCCESS

    def json(self) -> Any:  # noqa: ANN401 - whatever the partner sent
        """The body as JSON; None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def at(self, *path: str) -> Any:  # noqa: ANN401 - whatever the partner sent
        """What the JSON body holds there; None when it holds nothing there, or is no JSON."""
        value = self.json()
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def objects(self, *path: str) -> list[dict[str, Any]]:
        """The objects of the list that the JSON body holds there; empty when there is no list."""
        value = self.at(*path)
        return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []

    def words(self, limit: int = 300) -> str:
        """The status and the beginning of the body on one line, for faults and rejected changes;
        what was cut off ends with `...`, within the limit.

        Secrets are removed first: the rest of one that was cut would not be recognized.
        """
        read = self.body[:_LOOKED_AT].decode("utf-8", "replace")
        text = " ".join(self.redact(read, len(self.body) > _LOOKED_AT).split())
        if len(text) > limit:
            text = f"{text[: limit - 3]}..."
        return f"{self.status} {text}".strip()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a delivery that went through.

    Attributes:
        rejected: index in the delivered changes -> why the partner will never take this one. All
            others were accepted.
    """

    rejected: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The partner is to be asked the same again.

    Attributes:
        after_s: seconds to wait, where the partner names them; the sender waits an hour at most.
    """

    after_s: float | None = None


class Fault(Exception):  # noqa: N818 - the product's word
    """Nothing more can be delivered until an operator has seen to it.

    Args:
        scope: what is stopped: an output or one connection.
        message: what the partner answered and what to do, in words; no secrets.
        code: what kind of fault it is, for the log, which has none of a partner's words;
            docs/sinks.md lists them.

    Attributes:
        status: of the answer that it was about, where there was one; the sender notes it.
    """

    def __init__(self, scope: Scope, message: str, code: str = "refused") -> None:
        super().__init__(message)
        self.scope = scope
        self.message = message
        self.code = code
        self.status: int | None = None

    def reworded(self, message: str) -> Fault:
        """The same in other words."""
        other = Fault(self.scope, message, self.code)
        other.status = self.status
        return other


@dataclass(frozen=True, slots=True)
class Token:
    """A token that authorizes requests for a while; `expires_at` epoch ms."""

    value: str
    expires_at: int


Delivery = Generator[Request, Answer, Outcome]
ListCreation = Generator[Request, Answer, str]
TokenFetch = Generator[Request, Answer, Token]


def shown_address(url: str) -> str:
    """Scheme and host alone: paths, queries and users of some partners' addresses hold keys."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
