"""What a connector declares and does; one subclass, in one file, per partner.

A connector holds an output's settings and nothing that changes: every method is a function of its
arguments. `deliver` turns changes into requests and reads the answers; it is driven by
`cdp_stream.sinks`, or by a test.

Source: docs/memberships.md, outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.exchange import (
    Answer,
    Delivery,
    Fault,
    ListCreation,
    Outcome,
    Request,
    Token,
    TokenFetch,
    TryAgain,
)
from cdp_stream.connectors.extras import require_extra
from cdp_stream.connectors.settings import ConnectionSettings, HttpSettings, OutputSettings

__all__ = ["Batching", "Connector", "HttpConnector", "LocalConnector", "Rate"]

S = TypeVar("S", bound=OutputSettings)
H = TypeVar("H", bound=HttpSettings)
C = TypeVar("C", bound=ConnectionSettings)

Pattern = Literal["direct", "indirect", "stream"]
OnAudienceDelete = Literal["delete", "pass", "remove_rows", "keep"]

_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_REFUSED = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Batching:
    """When the changes that have gathered are delivered: whichever comes first.

    Attributes:
        count: so many changes.
        size: so many bytes of messages.
        interval_ms: so long after the first of them.
        per_connection: whether changes of different connections are delivered apart.
    """

    count: int = 1
    size: int = 4_000_000
    interval_ms: int = 1_000
    per_connection: bool = True


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many requests in so many seconds."""

    requests: int
    seconds: float = 1.0


class Connector(ABC, Generic[S, C]):
    """What is known of a partner without asking it.

    Attributes:
        name: as in `connector:` of an output.
        title: the partner's own name.
        summary: one sentence for `cdp connectors`.
        output_settings, connection_settings: pydantic models; `SecretStr` fields are secrets.
        identities: accepted identity types; None accepts every one.
        takes_attributes: whether attributes may be shared with it.
        pattern: `direct` (members of a list), `indirect` (an attribute or tag of a user), or
            `stream` (changes are passed on).
        batching: how changes are gathered.
        on_audience_delete: what the deletion of an audience does: the partner's audience is deleted
            (`delete`), the message is passed on (`pass`), its rows are removed (`remove_rows`), or
            nothing is sent (`keep`). A connection may override it. Only with `keep` does the
            connector not get the message.
        extra: the extra of the package that it needs, if any.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    output_settings: ClassVar[type[OutputSettings]] = OutputSettings
    connection_settings: ClassVar[type[ConnectionSettings]] = ConnectionSettings
    identities: ClassVar[frozenset[str] | None] = None
    takes_attributes: ClassVar[bool] = False
    pattern: ClassVar[Pattern] = "direct"
    batching: ClassVar[Batching] = Batching()
    on_audience_delete: ClassVar[OnAudienceDelete] = "keep"
    extra: ClassVar[str | None] = None

    def __init__(self, output: str, settings: S) -> None:
        """Settings with every `${NAME}` filled in.

        Raises:
            CdpError: something that only the settings together show to be wrong, or a library
                that it needs is not installed.
        """
        require_extra(self.extra, f"output {output} (connector {self.name})")
        self.output = output
        self.settings = settings

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files and folders that its settings name, to be written or read."""
        return ()

    @property
    def gathering(self) -> Batching:
        """How this output gathers changes; a setting may narrow `batching`."""
        return self.batching


class HttpConnector(Connector[H, C]):
    """A partner with an HTTP API.

    Attributes:
        rate: the most requests it accepts; None when it documents no limit.
        max_connections: the most requests at a time.
    """

    rate: ClassVar[Rate | None] = None
    max_connections: ClassVar[int] = 10

    @abstractmethod
    def deliver(self, changes: Sequence[OutputChange[C]]) -> Delivery:
        """Deliver changes: in order per profile; of one connection unless `batching` mixes them.

        Yields requests, receives their answers, returns the outcome. May raise `Fault`. It is begun
        anew when the process dies in the middle, so doing it twice must do no harm. An
        `AUDIENCE_DELETE` comes alone.
        """

    def classify(self, request: Request, answer: Answer) -> TryAgain | Fault | None:
        """What the sender does with an answer before `deliver` sees it; None lets it through.

        Here: 408, 429 and the passing 5xx are tried again, 401 and 403 are a fault of the output.
        Partners with other rules override this.
        """
        if answer.status in _RETRIED:
            return TryAgain()  # the sender reads `retry-after` itself
        if answer.status in _REFUSED:
            return Fault(
                "output",
                f"{self.title} refused our credentials: {answer.words()}; "
                f"check the settings of output {self.output}, then resume it",
            )
        return None

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """The request with what proves who we are; `now` is epoch ms, for signatures.

        Called for every attempt. `token` is what `fetch_token` returned last.
        """
        return request

    def fetch_token(self, now: int) -> TokenFetch | None:
        """How to get a new token; None where the settings suffice."""
        return None

    def list_of(self, settings: C) -> str | None:
        """The partner's list that a connection's settings name; None when there is none."""
        return None

    @property
    def creates_lists(self) -> bool:
        """Whether `create_list` makes one for a connection whose settings name none."""
        return False

    def create_list(self, change: OutputChange[C]) -> ListCreation:
        """Make a list named after the audience, or find the one of that name; returns its id.

        Raises:
            Fault: it makes none; see `creates_lists`.
        """
        raise Fault(
            "connection",
            f"{self.title} creates no lists; name one in the settings of {change.connection}, then "
            "resume it",
        )


class LocalConnector(Connector[S, C]):
    """A destination that is not an HTTP service: a file, a database, a topic.

    Its methods are called one at a time, and may be cancelled; the next call comes when the one
    before has ended. What blocks goes through :func:`cdp_stream.connectors.in_thread.in_thread`.
    """

    @property
    def hosts(self) -> tuple[str | None, ...]:
        """The hosts that it speaks to; None is one on this machine without a name."""
        return ()

    async def open(self, directory: Path) -> None:
        """Begin; `directory` is this output's own place under the worker's data directory.

        Raises:
            Fault: it cannot be reached or refuses us, and that will not pass by itself.
            OSError, TimeoutError: it may pass; the sink tries again.
        """

    @abstractmethod
    async def write(self, changes: Sequence[OutputChange[C]]) -> Outcome:
        """Write changes durably, in order; writing some of them twice must do no harm.

        Raises:
            Fault: nothing more can be written until an operator has acted.
            OSError, TimeoutError: it may pass; the sink tries again with the same changes.
        """

    async def close(self) -> None:
        """End; what was written is durable."""

    async def idle(self) -> None:
        """Called about once a second while nothing arrives: for files that rotate by time.

        Raises:
            Fault: nothing more can be written until an operator has acted, or something is lost.
            OSError, TimeoutError: it may pass; it is called again.
        """


AnyConnector = Connector[Any, Any]
