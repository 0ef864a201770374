"""Runs a Faust app from its start to its end, without Faust's own ``Worker``.

That one replaces logging, signal handlers and standard output, and exits with 0 after some crashes.
"""

import asyncio
import contextlib
from typing import Any

from cdp_stream.errors import BrokerError, CdpError
from cdp_stream.kafka.faust_adapter.app import ChunkApp

__all__ = ["DRAIN_S", "explained", "serve_app", "stop_app"]

DRAIN_S = 8.0
"""Of the 10 s that SIGTERM grants; the rest is for the interpreter's exit."""


async def serve_app(
    app: ChunkApp, stopping: asyncio.Event, beside: asyncio.Task[BaseException] | None = None
) -> BaseException | None:
    """Run the app until it has to stop; returns what failed, if anything did.

    Args:
        app: The app.
        stopping: Set when it has to stop.
        beside: A task that runs beside it; when it ends, the app stops with its result as error.
    """
    crashed = app._crashed
    start = asyncio.ensure_future(app.start())
    waits: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(event.wait()) for event in (stopping, app.assignment.failed, crashed)
    ]
    try:
        pending = {start, *waits} if beside is None else {start, *waits, beside}
        while True:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if done != {start} or start.exception() is not None:
                break
    finally:
        for wait in waits:
            wait.cancel()
    if stopping.is_set() and app.assignment.failure is None and not crashed.is_set():
        return None
    error = app.assignment.failure or app.crash_reason
    if error is None and beside is not None and beside.done():
        error = beside.exception() or beside.result()
    if error is None and start.done():
        error = start.exception()
    return explained(error or RuntimeError("the worker ended by itself"))


async def stop_app(app: ChunkApp, *, commit: bool) -> bool:
    """Stop the app; returns whether it ended within :data:`DRAIN_S`."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(DRAIN_S):
            await app.assignment.stop()
            if commit:
                await app.consumer.commit()
            await app.stop()
            return True
    return False


def explained(error: BaseException) -> BaseException:
    """Turn an error of aiokafka into one with a next step; others are unchanged."""
    if isinstance(error, CdpError) or not type(error).__module__.startswith("aiokafka"):
        return error
    return BrokerError(
        f"Kafka: {str(error) or type(error).__name__}",
        "nothing is lost: check the broker, then restart the worker",
    )
