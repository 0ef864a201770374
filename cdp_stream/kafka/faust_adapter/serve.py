"""Starting and stopping a Faust app: what ends it, and in which time.

Faust's own ``Worker`` is not used: it takes over logging, signals and standard output, and ends
with 0 on some crashes.
"""

import asyncio
import contextlib
import signal
from typing import Any, Final

from cdp_stream.errors import BrokerError

__all__ = ["DRAIN_S", "explained", "serve_app", "stop_app", "stop_on_signals"]

DRAIN_S: Final = 8.0
"""Of the 10 s that SIGTERM grants; the rest is for the interpreter to end."""


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set, for as long as the loop runs."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


async def serve_app(
    app: Any, stopping: asyncio.Event, beside: asyncio.Task[BaseException] | None = None
) -> BaseException | None:
    """Run the app until it has to stop; returns what failed, if anything did.

    Args:
        app: The app.
        stopping: Set when it has to stop.
        beside: What runs beside it; its end is the app's, and its result what failed.
    """
    start = asyncio.ensure_future(app.start())
    events = (stopping, app.hosting.failed, app._crashed)
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        pending = {start, *waits} if beside is None else {start, *waits, beside}
        while True:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if done != {start} or start.exception() is not None:
                break
    finally:
        for wait in waits:
            wait.cancel()
    if stopping.is_set() and app.hosting.failure is None and not app._crashed.is_set():
        return None
    error = app.hosting.failure or app.crash_reason
    if error is None and beside is not None and beside.done():
        error = beside.exception() or beside.result()
    if error is None and start.done():
        error = start.exception()
    return explained(error or RuntimeError("the worker ended by itself"))


async def stop_app(app: Any, *, commit: bool) -> bool:
    """Stop the app; returns whether it came to an end in time."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(DRAIN_S):
            await app.hosting.stop()
            if commit:
                await app.consumer.commit()
            await app.stop()
            return True
    return False


def explained(error: BaseException) -> BaseException:
    """An error of Kafka's client in words that help; others as they are."""
    if not type(error).__module__.startswith("aiokafka"):
        return error
    return BrokerError(
        f"Kafka: {str(error) or type(error).__name__}",
        "nothing is lost: check the broker, then start the worker again",
    )
