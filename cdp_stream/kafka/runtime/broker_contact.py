"""Whether Kafka answers: a broker that is lost for longer than the session time-out is a fact.

What is asked is the group's coordinator, by its heartbeats: while they are not answered nothing is
sent, as another worker may hold the partitions. One that has not been given its partitions yet
waits in the group, and says so by not being ready.
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
    """Looks every second; tells in the log what has changed.

    Args:
        apps: Those of this process; one for all, as they have the same brokers.
        tells: Whether it is told. Of a worker and its sinks' process, the worker does.
        now: A monotonic clock, seconds.

    Attributes:
        is_lost: Whether it is lost now; asked by another thread.
    """

    def __init__(
        self,
        apps: Callable[[], Iterable[ChunkApp]],
        *,
        tells: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._apps = apps
        self._tells = tells
        self._now = now
        self._lost_at = 0.0
        self.is_lost = False

    async def watch(self) -> None:
        """Look on and on, until cancelled."""
        while True:
            looked_at = self._now()
            await asyncio.sleep(_LOOK_S)
            # A process that was stopped has not heard what the broker said meanwhile.
            if self._now() - looked_at < 2 * _LOOK_S:
                self.look()

    def look(self) -> None:
        """Compare what is with what was told last."""
        apps = list(self._apps())
        if not self.is_lost:
            if any(app.assignment.ready and not app.holds_lease for app in apps):
                self.is_lost, self._lost_at = True, self._now()
                self._tell(
                    "broker_lost", logging.ERROR,
                    next="check the brokers and the network; nothing is lost, and the worker "
                         "continues by itself",
                )  # fmt: skip
        elif all(app.holds_lease for app in apps):
            self.is_lost = False
            self._tell("broker_back", logging.INFO, seconds=round(self._now() - self._lost_at, 1))

    def _tell(self, fact: str, level: int, **facts: object) -> None:
        if self._tells:
            log(fact, level=level, **facts)
