"""Telling deliveries that no further attempt is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["AbandonedError", "Cancellation"]


class AbandonedError(Exception):
    """The delivery was told to stop: what was not confirmed is sent again when the sink goes on."""


class Cancellation:
    """Whether a delivery should come to an end; what is being asked may still be answered."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Make no further attempt."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether no further attempt is to be made."""
        return self._event.is_set()

    def check(self) -> None:
        """Go on, or not.

        Raises:
            AbandonedError: told to stop.
        """
        if self._event.is_set():
            raise AbandonedError

    async def unless(self, wait: Coroutine[Any, Any, object]) -> None:
        """Wait for something that may be left off.

        Raises:
            AbandonedError: told to stop before it was over.
        """
        tasks = {asyncio.ensure_future(wait), asyncio.ensure_future(self._event.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        self.check()
