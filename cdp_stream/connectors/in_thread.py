"""Work that blocks, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

__all__ = ["in_thread"]


async def in_thread(work: Callable[..., object], *arguments: Any) -> None:  # noqa: ANN401 - the work's own
    """Run work in a thread.

    Nothing ends a thread: when this is cancelled it returns once the thread has ended, so that the
    next work never runs beside it.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({running})
        raise
