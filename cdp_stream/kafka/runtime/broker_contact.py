"""Whether Kafka answers: a broker that is lost for longer than the session time-out is a fact.

The heartbeats of the group show it. While its coordinator does not answer them, nothing is sent:
the partitions may be another worker's. A worker that waits for its first partitions is not ready,
and has lost nothing.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from cdp_stream.kafka.faust_adapter.app import ChunkApp
from cdp_stream.observability.log import log

__all__ = ["BrokerContact"]

_LOOK_S = 1.0


class BrokerContact:
    """Checks every second, and logs each change.

    Args:
        apps: The apps of this process; they have the same brokers.
        logs: Whether it logs: a worker does, the process of its sinks does not.
        now: Seconds of a steady clock.

    Attributes:
        is_lost: Whether the broker is lost now; read by another thread.
    """

    def __init__(
        self,
        apps: Callable[[], Iterable[ChunkApp]],
        *,
        logs: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._apps = apps
        self._logs = logs
        self._now = now
        self._lost_at = 0.0
        self.is_lost = False

    async def watch(self) -> None:
        """Check every second until cancelled."""
        while True:
            looked_at = self._now()
            await asyncio.sleep(_LOOK_S)
            # A process that was suspended has not read what the broker sent meanwhile.
            if self._now() - looked_at < 2 * _LOOK_S:
                self.look()

    def look(self) -> None:
        """Log if the broker was lost, or has recovered, since the last check."""
        apps = list(self._apps())
        if not self.is_lost:
            if any(app.assignment.ready and not app.holds_lease for app in apps):
                self.is_lost, self._lost_at = True, self._now()
                self._log(
                    "broker_lost", logging.ERROR,
                    next="check the brokers and the network; nothing is lost, and the worker "
                         "continues by itself",
                )  # fmt: skip
        elif all(app.holds_lease for app in apps):
            self.is_lost = False
            self._log(
                "broker_recovered", logging.INFO, seconds=round(self._now() - self._lost_at, 1)
            )

    def _log(self, fact: str, level: int, **facts: object) -> None:
        if self._logs:
            log(fact, level=level, **facts)
