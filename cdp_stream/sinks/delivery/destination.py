"""Where an output's changes go: a partner over HTTP, or a file, database or topic.

A destination gets batches. It accepts a batch, returns which changes it never will, or raises a
fault. That of a partner over HTTP is `http/sender.py`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import AnyConnector, HttpConnector, LocalConnector
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.core.model.durations import duration_ms
from cdp_stream.sinks.http.cancellation import Cancellation
from cdp_stream.sinks.http.pacing import Pace, pause_s
from cdp_stream.sinks.http.personal_data import PersonalData
from cdp_stream.sinks.http.secrets import Redaction
from cdp_stream.sinks.http.sender import Sender
from cdp_stream.sinks.http.transport import Transport, is_public
from cdp_stream.sinks.reporting.metrics import OutputMetrics
from cdp_stream.store.data_directory import make_private

__all__ = ["Destination", "LocalDestination", "destination_of"]

T = TypeVar("T")

_CLOSE_S: Final = 1.5
"""How long a close may last: part of the time that a process has to end."""


class Destination(Protocol):
    """Delivers batches, `most` at a time."""

    most: int

    async def open(self) -> None:
        """Begin, on the running loop."""

    async def deliver(
        self, changes: Sequence[OutputChange[Any]], cancellation: Cancellation
    ) -> Outcome:
        """Deliver, in order; raises Fault, AbandonedError."""

    async def idle(self) -> None:
        """Called about once a second; raises Fault."""

    async def close(self) -> None:
        """Close; what was confirmed is durable."""


def destination_of(
    connector: AnyConnector,
    directory: Path,
    redaction: Redaction,
    metrics: OutputMetrics,
    *,
    allow_private: bool = True,
) -> Destination:
    """The destination of a connector; not opened.

    Args:
        directory: An output's own place for files.
        allow_private: Whether operators let outputs call addresses inside our own network.
    """
    if isinstance(connector, LocalConnector):
        return LocalDestination(
            connector, directory, redaction, metrics, allow_private=allow_private
        )
    assert isinstance(connector, HttpConnector)
    settings, rate = connector.settings, connector.rate
    per_second = settings.requests_per_second
    if per_second is None and rate is not None:
        per_second = rate.requests / rate.seconds
    transport = Transport(
        max_connections=settings.max_connections or connector.max_connections,
        timeout_s=_seconds(settings.timeout),
        allow_private=settings.allow_private and allow_private,
    )
    return Sender(
        connector,
        transport,
        pace=Pace(per_second, now=time.monotonic),
        retry_for_s=_seconds(settings.retry_for),
        redaction=redaction,
        metrics=metrics,
        forbids_private=not allow_private,
    )


class LocalDestination:
    """A file, a database, a topic: one batch at a time, tried again as a partner is.

    Args:
        close_s: How long `close` waits for what is still being written.
        allow_private: Whether operators let outputs call addresses inside our own network.
    """

    most = 1

    def __init__(
        self,
        connector: LocalConnector[Any, Any],
        directory: Path,
        redaction: Redaction,
        metrics: OutputMetrics,
        *,
        close_s: float = _CLOSE_S,
        allow_private: bool = True,
    ) -> None:
        self.connector = connector
        self._allow_private = allow_private
        self._close_s = close_s
        self._directory = directory
        self._redaction = redaction
        self._metrics = metrics
        self._retry_for_s = _seconds(connector.settings.retry_for)
        self._is_open = False
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """It is opened by the first delivery, where what fails can become a fault."""

    async def deliver(
        self, changes: Sequence[OutputChange[Any]], cancellation: Cancellation
    ) -> Outcome:
        """Deliver, in order."""
        started, attempt, personal = time.monotonic(), 0, PersonalData(changes)
        while True:
            attempt += 1
            cancellation.check()
            begun = time.monotonic()
            try:
                return await self._alone(partial(self._write, changes))
            except Fault as fault:
                raise fault.reworded(personal(self._redaction(fault.message))) from None
            except (OSError, TimeoutError) as error:
                why = str(error) or type(error).__name__
            except asyncio.CancelledError:
                raise
            except Exception as error:
                raise Fault(
                    "output",
                    f"connector {self.connector.name} failed ({type(error).__name__}); report it, "
                    "and resume the output with a version that does not",
                    "connector",
                ) from error
            finally:
                self._metrics.attempted(time.monotonic() - begun)
            if time.monotonic() - started >= self._retry_for_s:
                raise Fault(
                    "output",
                    f"nothing could be written for {self._retry_for_s:.0f} s: "
                    f"{personal(self._redaction(why))}; check the place, then resume output "
                    f"{self.connector.output}",
                    "no_answer",
                )
            self._metrics.retried()
            await cancellation.unless(asyncio.sleep(pause_s(attempt, random.uniform)))

    async def idle(self) -> None:
        """Let the connector rotate files, for example; the next call retries after a passing error.

        Raises:
            Fault: The error will not pass, or something is lost.
        """
        if self._is_open and not self._lock.locked():
            try:
                await self._alone(self.connector.idle)
            except Fault as fault:
                raise fault.reworded(self._redaction(fault.message)) from None
            except (OSError, TimeoutError):
                return

    async def close(self) -> None:
        """Close, once the write under way has ended.

        Raises:
            Fault: Something is lost, or not as it should be.
            TimeoutError: The write takes too long; the destination is closed as soon as it ends.
        """
        closing = asyncio.ensure_future(self._alone(self._close))
        await asyncio.wait({closing}, timeout=self._close_s)
        if not closing.done():
            closing.add_done_callback(_seen)
            raise TimeoutError
        try:
            closing.result()
        except Fault as fault:
            raise fault.reworded(self._redaction(fault.message)) from None

    async def _write(self, changes: Sequence[OutputChange[Any]]) -> Outcome:
        if not self._is_open:
            make_private(self._directory)
            if not self._allow_private:
                await self._check_hosts()
            await self.connector.open(self._directory)
            self._is_open = True
        return await self.connector.write(changes)

    async def _check_hosts(self) -> None:
        """Refuse a place inside our own network, by whatever name.

        Raises:
            Fault: Operators allow none.
            OSError: A name is not known.
        """
        loop = asyncio.get_running_loop()
        for host in self.connector.hosts:
            found = [] if host is None else await loop.getaddrinfo(host, None)
            if not found or not all(is_public(str(one[4][0])) for one in found):
                where = "a socket of this machine" if host is None else host
                raise Fault(
                    "output",
                    f"output {self.connector.output} would call {where}, inside our own network, "
                    "which operators forbid (allow_private); correct the address, or have them "
                    "allow it, then resume it",
                    "inside",
                )

    async def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            await self.connector.close()

    async def _alone(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run one piece of work at a time.

        After a cancellation too, the next work waits until this has ended: a thread cannot be
        interrupted.
        """
        await self._lock.acquire()
        working = asyncio.create_task(work())
        working.add_done_callback(lambda _: self._lock.release())
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            working.cancel()
            raise


def _seen(task: asyncio.Future[Any]) -> None:
    """Read the result of a task that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _seconds(text: str) -> float:
    """A duration of settings, checked by their model."""
    return (duration_ms(text) or 0) / 1000
