"""The sender that all partners over HTTP share: limits, tokens, retries, and what becomes a fault.

A connector yields requests and is sent the answers that it can use. The sender handles all others:
a partner that does not answer, asks to be tried later, redirects, or refuses our token.

Source: docs/memberships.md, delivery; docs/sinks.md.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar
from urllib.parse import urljoin

import httpx

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import HttpConnector
from cdp_stream.connectors.exchange import (
    Answer,
    Fault,
    Outcome,
    Request,
    Token,
    TryAgain,
    shown_address,
)
from cdp_stream.sinks.http.cancellation import AbandonedError, Cancellation
from cdp_stream.sinks.http.pacing import Pace, asked_s, pause_s, retry_after_s
from cdp_stream.sinks.http.personal_data import PersonalData
from cdp_stream.sinks.http.secrets import Redaction
from cdp_stream.sinks.http.transport import InsideAddressError, Transport, UntrustedError
from cdp_stream.sinks.reporting.metrics import OutputMetrics
from cdp_stream.wall_clock import wall_ms

__all__ = ["Sender"]

R = TypeVar("R")

_EARLY_MS: Final = 60_000
"""A token is renewed so long before it expires, or at half its time if that is shorter."""
_REDIRECTED: Final = frozenset({301, 302, 303, 307, 308})
_KEPT_METHOD: Final = frozenset({307, 308})
_MOST_REDIRECTS: Final = 5
_UNAUTHORIZED: Final = 401
_LONGEST: Final = 4_000
"""Characters of a fault's message: some partners answer a whole page."""


class Sender:
    """Sends what one output's connector wants sent: the destination of a partner over HTTP.

    Args:
        connector: The output's.
        transport: Connections to the partner; opened and closed here.
        pace: When requests may go.
        retry_for_s: How long a request is tried again, at least.
        redaction: Removes secrets from what is shown.
        metrics: Counts attempts.
        forbids_private: Whether operators let no output call addresses inside our own network.
        wall_ms: The wall clock, epoch ms.
        now: A steady clock, seconds.
        draw: A random number between two.

    Attributes:
        most: How many batches may be delivered at a time.
    """

    def __init__(  # noqa: PLR0913 - put together in one place
        self,
        connector: HttpConnector[Any, Any],
        transport: Transport,
        *,
        pace: Pace,
        retry_for_s: float,
        redaction: Redaction,
        metrics: OutputMetrics,
        forbids_private: bool = False,
        wall_ms: Callable[[], int] = wall_ms,
        now: Callable[[], float] = time.monotonic,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.connector = connector
        self.most = connector.settings.max_connections or connector.max_connections
        self._transport = transport
        self._pace = pace
        self._retry_for_s = retry_for_s
        self._redaction = redaction
        self._metrics = metrics
        self._forbids_private = forbids_private
        self._wall_ms = wall_ms
        self._now = now
        self._draw = draw
        self._token: Token | None = None
        self._token_made_at = 0
        self._needs_token = True
        self._token_lock = asyncio.Lock()

    async def open(self) -> None:
        """Begin, on the running loop."""
        await self._transport.open()

    async def idle(self) -> None:
        """Do nothing: between deliveries nothing is due."""

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def deliver(
        self, changes: Sequence[OutputChange[Any]], cancellation: Cancellation
    ) -> Outcome:
        """Deliver changes.

        Raises:
            Fault: Nothing more can be delivered; its message has no secret and no personal data.
            AbandonedError: It was cancelled before it went through.
        """
        personal = PersonalData(changes)
        work = self._run(self.connector.deliver(changes), cancellation, personal)
        outcome = await self._with_clean_faults(work, personal)
        rejected = {place: self._redaction(why) for place, why in outcome.rejected.items()}
        return Outcome(rejected)

    async def create_list(self, change: OutputChange[Any], cancellation: Cancellation) -> str:
        """Make the partner's list for a connection; returns its id.

        Raises:
            Fault, AbandonedError: As `deliver`.
        """
        personal = PersonalData([change])
        work = self._run(self.connector.create_list(change), cancellation, personal)
        created: str = await self._with_clean_faults(work, personal)
        return created

    async def _with_clean_faults(self, work: Any, personal: PersonalData) -> Any:
        """Remove secrets and personal data from a fault's message."""
        try:
            return await work
        except Fault as fault:
            is_cut = len(fault.message) > _LONGEST
            message = self._redaction(fault.message[:_LONGEST], is_cut)
            raise fault.reworded(personal(message)) from None
        except (AbandonedError, asyncio.CancelledError):
            raise
        except Exception as error:
            # A connector's own mistake, or an answer that it did not foresee: never the worker's.
            raise Fault(
                "output",
                f"connector {self.connector.name} could not make sense of an answer "
                f"({type(error).__name__}); report it, and resume the output with a version that "
                "can",
                "connector",
            ) from error

    async def _run(
        self,
        conversation: Generator[Request, Answer, R],
        cancellation: Cancellation,
        personal: PersonalData,
        *,
        token: bool = False,
    ) -> R:
        """Run a connector's exchange to its end."""
        status: int | None = None
        try:
            request = next(conversation)
            while True:
                personal.note(request)
                answer = await self._ask(request, cancellation, fetching_token=token)
                status = answer.status
                request = conversation.send(answer)
        except StopIteration as end:
            result: R = end.value
            return result
        except Fault as fault:
            fault.status = fault.status or status
            raise
        finally:
            conversation.close()

    async def _ask(
        self, request: Request, cancellation: Cancellation, *, fetching_token: bool = False
    ) -> Answer:
        """The answer to a request, which is retried as often as needed."""
        started, attempt, renewed = 0.0, 0, False
        while True:
            attempt += 1
            token = None if fetching_token else await self._valid_token(cancellation)
            await self._turn(cancellation)
            if attempt == 1:  # the waits for a token and a turn are no attempts
                started = self._now()
            try:
                answer = await self._attempt(request, token, bare=fetching_token)
            except InsideAddressError as error:
                raise self._inside(request, error) from error
            except UntrustedError as error:
                raise _fault(
                    request,
                    f"has a certificate that cannot be trusted: {error}; have it corrected there, "
                    f"then resume output {self.connector.output}",
                    "certificate",
                ) from error
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
                raise _fault(request, "is not a valid address; correct it", "address") from error
            except (httpx.TransportError, OSError, TimeoutError) as error:
                why, asked_for, status = self._words_of(error), None, None
            else:
                if answer.status == _UNAUTHORIZED and token is not None and not renewed:
                    renewed = True
                    self._forget(token)
                    continue
                verdict = self.connector.classify(request, answer)
                if verdict is None:
                    return answer
                status = answer.status
                if isinstance(verdict, Fault):
                    verdict.status = status
                    raise verdict
                why, asked_for = f"it answered {answer.words()}", self._asked_for(verdict, answer)
            if self._now() - started >= self._retry_for_s:
                fault = self._exhausted(request, why)
                fault.status = status
                raise fault
            self._metrics.retried()
            await self._pause(attempt, asked_for, cancellation)

    def _asked_for(self, verdict: TryAgain, answer: Answer) -> float | None:
        if verdict.after_s is not None:
            return asked_s(verdict.after_s)
        return retry_after_s(answer.headers.get("retry-after"), self._wall_ms())

    async def _attempt(self, request: Request, token: Token | None, *, bare: bool) -> Answer:
        """One attempt, redirects within the host followed."""
        signed = request if bare else self._authorized(request, token)
        for _ in range(_MOST_REDIRECTS):
            started = self._now()
            try:
                answer = await self._transport.ask(signed)
            finally:
                self._metrics.attempted(self._now() - started)
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTED or target is None:
                return replace(answer, redact=self._redaction)
            url = urljoin(signed.url, target)
            if not _same_host(signed.url, url) or answer.status not in _KEPT_METHOD:
                raise _fault(
                    request,
                    f"redirects ({answer.status}) to {shown_address(url)}; if that is the "
                    "partner's, set it as the output's address",
                    "redirect",
                )
            signed = Request(signed.method, url, signed.body, signed.headers)
        raise _fault(request, "redirects round in circles; check its address", "redirect")

    def _authorized(self, request: Request, token: Token | None) -> Request:
        signed = self.connector.authorized(request, self._wall_ms(), token)
        if signed is not request:
            for name, value in signed.headers.items():
                if request.headers.get(name) != value:
                    self._redaction.add_passing(value)
        return signed

    # -- tokens ------------------------------------------------------------------------------------

    async def _valid_token(self, cancellation: Cancellation) -> Token | None:
        if not self._needs_token or self._is_fresh(self._token):
            return self._token
        async with self._token_lock:
            if self._is_fresh(self._token):
                return self._token
            fetch = self.connector.fetch_token(self._wall_ms())
            if fetch is None:
                self._needs_token = False
                return None
            token = await self._run(fetch, cancellation, PersonalData(()), token=True)
            self._redaction.add(token.value)
            self._token, self._token_made_at = token, self._wall_ms()
            return token

    def _is_fresh(self, token: Token | None) -> bool:
        if token is None:
            return False
        early = min(_EARLY_MS, (token.expires_at - self._token_made_at) // 2)
        return self._wall_ms() < token.expires_at - max(0, early)

    def _forget(self, token: Token) -> None:
        if self._token is token:
            self._token = None

    # -- waiting -----------------------------------------------------------------------------------

    async def _turn(self, cancellation: Cancellation) -> None:
        cancellation.check()
        if not self._pace.is_free:
            await cancellation.unless(self._pace.turn())

    async def _pause(
        self, attempt: int, asked_for: float | None, cancellation: Cancellation
    ) -> None:
        pause = pause_s(attempt, self._draw)
        if asked_for is not None:
            self._pace.hold(asked_for)
            pause = max(pause, asked_for)
        await cancellation.unless(asyncio.sleep(pause))

    # -- faults ------------------------------------------------------------------------------------

    def _exhausted(self, request: Request, why: str) -> Fault:
        return _fault(
            request,
            f"accepted no request for {self._retry_for_s:.0f} s: {why}; check the service, then "
            f"resume output {self.connector.output}",
            "no_answer",
        )

    def _inside(self, request: Request, error: InsideAddressError) -> Fault:
        advice = (
            "operators forbid that (allow_private); correct the address, or have them allow it"
            if self._forbids_private
            else f"if that is meant, set allow_private: true for output {self.connector.output}"
        )
        return _fault(
            request, f"has the address {error} inside our own network; {advice}", "inside"
        )

    def _words_of(self, error: Exception) -> str:
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return "it did not answer in time"
        text = " ".join(self._redaction(str(error)).split())[:200]
        return f"the connection failed: {text or type(error).__name__}"


def _fault(request: Request, words: str, code: str) -> Fault:
    """A fault of the output: what is wrong with the host of a request."""
    return Fault("output", f"{shown_address(request.url)} {words}", code)


def _same_host(one: str, other: str) -> bool:
    return shown_address(one) == shown_address(other)
