"""What a worker answers over HTTP: ``/metrics``, ``/healthz``, ``/readyz``, and reports.

A separate thread answers, so that a worker whose loop is blocked can still report that. Live means
that the loop runs: a process that is not live should be restarted. Ready means that the group has
assigned the worker its partitions (or none, when there are more workers than partitions), that
their rows are recovered, and that the broker is not lost; during a rebalance a worker is not ready.
Where the sinks are a process beside it, ready means that this runs too; if it does not, that is no
reason to restart the worker, which restarts it by itself.
"""

import asyncio
import contextlib
import io
import json
import socket
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import HTTPException
from http.server import ThreadingHTTPServer
from threading import RLock, Thread
from typing import Any

from prometheus_client import CollectorRegistry, MetricsHandler

from cdp_stream.errors import UsageError

__all__ = ["Health", "HealthServer", "serve"]

STUCK_AFTER_S = 60.0
"""A loop that has not run for so long is blocked: no slice of work takes a tenth of it."""
_BEAT_S = 1.0
PATIENCE_S = 5.0
"""How long a client may take to send its request, and as long again to read the answer."""
MOST_BYTES = 8 * 1024
"""Of a request, its headers included."""
MOST_CONNECTIONS = 32


class Health:
    """Whether the worker is live and ready; called from another thread than the worker's.

    Args:
        recovered: Whether partitions are assigned and recovered now.
        broker_lost: Whether the broker has been silent for too long.
        sinks: Whether the process of the sinks runs now; None where there is none beside this one.
        now: A monotonic clock, seconds.
    """

    def __init__(
        self,
        recovered: Callable[[], bool],
        now: Callable[[], float] = time.monotonic,
        *,
        broker_lost: Callable[[], bool] = lambda: False,
        sinks: Callable[[], bool] | None = None,
    ) -> None:
        self._recovered = recovered
        self._broker_lost = broker_lost
        self._sinks = sinks
        self._now = now
        self._beat_at = now()
        self._stopping = False

    async def beat(self) -> None:
        """Note, until cancelled, that the loop runs."""
        while True:
            self._beat_at = self._now()
            await asyncio.sleep(_BEAT_S)

    def stopping(self) -> None:
        """Note that the worker drains, and is not ready any more."""
        self._stopping = True

    @property
    def is_live(self) -> bool:
        """Whether the loop has run recently."""
        return self._now() - self._beat_at < STUCK_AFTER_S

    @property
    def is_ready(self) -> bool:
        """Whether records flow, or would if there were any."""
        has_sinks = self._sinks is None or self._sinks()
        can_work = self._recovered() and not self._broker_lost()
        return self.is_live and not self._stopping and has_sinks and can_work

    def answer(self, path: str) -> tuple[HTTPStatus, dict[str, Any]] | None:
        """Status and body for a path; ``None`` for one that is not of health."""
        if path == "/healthz":
            holds, body = self.is_live, {"live": self.is_live}
        elif path == "/readyz":
            holds = self.is_ready
            body = {"ready": holds, "stopping": self._stopping, "broker": not self._broker_lost()}
            if self._sinks is not None:
                body["sinks"] = self._sinks()
        else:
            return None
        return HTTPStatus.OK if holds else HTTPStatus.SERVICE_UNAVAILABLE, body


class HealthServer(ThreadingHTTPServer):
    """Answers each connection in a thread; their number and their duration are limited.

    One too many replaces the one that has waited longest to send its request, so that clients
    which send nothing do not keep others out.
    """

    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, host: str, port: int, handler: type[MetricsHandler]) -> None:
        (self.address_family, *_), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self._lock = RLock()
        self._open: set[socket.socket] = set()
        self._silent: dict[socket.socket, None] = {}
        super().__init__((host, port), handler)

    def server_bind(self) -> None:
        """``::`` is IPv4 too, as with other servers."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a new connection, or refuse it."""
        with self._lock:
            if len(self._open) >= MOST_CONNECTIONS:
                silent = next(iter(self._silent), None)
                if silent is None:
                    self.shutdown_request(request)
                    return
                self._forget(silent)
                with contextlib.suppress(OSError):
                    silent.shutdown(socket.SHUT_RDWR)
            self._open.add(request)
            self._silent[request] = None
        super().process_request(request, client_address)

    def has_asked(self, request: socket.socket) -> None:
        """Note that a connection has sent its request."""
        with self._lock:
            self._silent.pop(request, None)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        with self._lock:
            self._forget(request)
        super().shutdown_request(request)

    def _forget(self, request: socket.socket) -> None:
        self._open.discard(request)
        self._silent.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a connection that broke: that concerns the client alone."""


class _Request(io.RawIOBase):
    """A client's request, limited in bytes and seconds; more is an exception."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._until = time.monotonic() + PATIENCE_S
        self._left = MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        if not self._left:
            raise HTTPException(f"more than {MOST_BYTES} bytes")
        self._connection.settimeout(left_s)
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count


def serve(
    host: str,
    port: int,
    registry: CollectorRegistry,
    health: Health,
    reports: Mapping[str, Callable[[], Mapping[str, Any]]] | None = None,
) -> HealthServer:
    """Answer until the process ends, or ``shutdown`` is called.

    Args:
        host: The address to answer on.
        port: Which port; 0 is any that is free.
        registry: What ``/metrics`` answers.
        health: Answers the paths of health.
        reports: Further paths, and what returns the JSON that each answers.

    Raises:
        UsageError: The address cannot be used.
    """
    try:
        server = HealthServer(host, port, _handler(registry, health, reports or {}))
    except OSError as error:
        raise UsageError(
            f"cannot serve metrics on {host} port {port}: {error.strerror}",
            "choose another --metrics-host or --metrics-port",
        ) from error
    Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


def _handler(
    of: CollectorRegistry, health: Health, reports: Mapping[str, Callable[[], Mapping[str, Any]]]
) -> type[MetricsHandler]:
    class Handler(MetricsHandler):
        registry = of
        server: HealthServer

        def setup(self) -> None:
            super().setup()
            self.rfile = io.BufferedReader(_Request(self.connection))

        def parse_request(self) -> bool:
            is_right = super().parse_request()
            self.server.has_asked(self.connection)
            self.connection.settimeout(PATIENCE_S)  # for all of the answer
            return is_right

        def do_GET(self) -> None:  # noqa: N802 - named by http.server
            path = self.path.partition("?")[0]
            answer = health.answer(path)
            if answer is None and path in reports:
                answer = HTTPStatus.OK, dict(reports[path]())
            if answer is None and path == "/metrics":
                super().do_GET()
                return
            status, body = answer or (
                HTTPStatus.NOT_FOUND,
                {"paths": ["/healthz", "/readyz", "/metrics", *reports]},
            )
            written = json.dumps(body).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(written)))
            self.end_headers()
            self.wfile.write(written)

    return Handler
