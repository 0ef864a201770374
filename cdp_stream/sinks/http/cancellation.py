"""Cancelling a delivery between two attempts: the request under way may still be answered."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["AbandonedError", "Cancellation"]


class AbandonedError(Exception):
    """The delivery was cancelled: what was not confirmed is sent again when the sink goes on."""


class Cancellation:
    """Whether a delivery has to make no further attempt."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Have no further attempt made."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether no further attempt is made."""
        return self._event.is_set()

    def check(self) -> None:
        """Return if the delivery may go on.

        Raises:
            AbandonedError: It may not.
        """
        if self._event.is_set():
            raise AbandonedError

    async def unless(self, wait: Coroutine[Any, Any, object]) -> None:
        """Wait for something unless the delivery is cancelled meanwhile.

        Raises:
            AbandonedError: It is.
        """
        tasks = {asyncio.ensure_future(wait), asyncio.ensure_future(self._event.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        self.check()
