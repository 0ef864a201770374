"""What a worker answers over HTTP: ``/metrics``, ``/healthz``, ``/readyz``, and reports.

A thread of its own answers, so that a worker whose loop hangs can still say so. Live means that the
loop turns: a process that is not ought to be ended and started anew. Ready means that the group has
given the worker its partitions (or none, when there are more workers than partitions) and that
their rows are recovered; while they change hands it is not. Where the sinks are a process beside
it, ready means that this runs too; that it does not is no reason to end the worker, which starts it
again by itself.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import Any

from prometheus_client import CollectorRegistry, MetricsHandler

from cdp_stream.errors import UsageError

__all__ = ["Health", "serve"]

STUCK_AFTER_S = 60.0
"""A loop that has not turned for so long hangs: no slice of work takes a tenth of it."""
_BEAT_S = 1.0


class Health:
    """Whether the worker is live and ready; asked by another thread than the worker's.

    Args:
        recovered: Whether partitions are assigned and recovered now.
        sinks: Whether the process of the sinks runs now; None where there is none beside this one.
        now: A monotonic clock, seconds.
    """

    def __init__(
        self,
        recovered: Callable[[], bool],
        now: Callable[[], float] = time.monotonic,
        *,
        sinks: Callable[[], bool] | None = None,
    ) -> None:
        self._recovered = recovered
        self._sinks = sinks
        self._now = now
        self._beat_at = now()
        self._stopping = False

    async def beat(self) -> None:
        """Show, until cancelled, that the loop turns."""
        while True:
            self._beat_at = self._now()
            await asyncio.sleep(_BEAT_S)

    def stopping(self) -> None:
        """Be ready no more: the worker drains."""
        self._stopping = True

    @property
    def is_live(self) -> bool:
        """Whether the loop has turned lately."""
        return self._now() - self._beat_at < STUCK_AFTER_S

    @property
    def is_ready(self) -> bool:
        """Whether records flow, or would if there were any."""
        has_sinks = self._sinks is None or self._sinks()
        return self.is_live and not self._stopping and has_sinks and self._recovered()

    def answer(self, path: str) -> tuple[HTTPStatus, dict[str, Any]] | None:
        """Status and body for a path; ``None`` for one that is not of health."""
        if path == "/healthz":
            holds, body = self.is_live, {"live": self.is_live}
        elif path == "/readyz":
            holds = self.is_ready
            body = {"ready": holds, "stopping": self._stopping}
            if self._sinks is not None:
                body["sinks"] = self._sinks()
        else:
            return None
        return HTTPStatus.OK if holds else HTTPStatus.SERVICE_UNAVAILABLE, body


def serve(
    port: int,
    registry: CollectorRegistry,
    health: Health,
    reports: Mapping[str, Callable[[], Mapping[str, Any]]] | None = None,
    *,
    host: str = "",
) -> ThreadingHTTPServer:
    """Answer until the process ends, or ``shutdown`` is called.

    Args:
        port: Which port; 0 is any that is free.
        registry: What ``/metrics`` tells.
        health: What the paths of health tell.
        reports: Further paths, and what gives the JSON that each answers.
        host: The address to answer on; all there are unless it is given.

    Raises:
        UsageError: The port cannot be used.
    """
    handler = _handler(registry, health, reports or {})
    try:
        server = ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        raise UsageError(
            f"cannot serve metrics on port {port}: {error.strerror}",
            "choose another --metrics-port",
        ) from error
    server.daemon_threads = True
    Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


def _handler(
    of: CollectorRegistry, health: Health, reports: Mapping[str, Callable[[], Mapping[str, Any]]]
) -> type[MetricsHandler]:
    class Handler(MetricsHandler):
        registry = of

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
