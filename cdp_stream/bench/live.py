"""Live traffic: events at a steady rate, and how long each takes to become a membership change in a
consumer's hands.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from statistics import quantiles
from types import TracebackType
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaConsumer

from cdp_stream.bench import reference_load
from cdp_stream.bench.process import running_worker
from cdp_stream.errors import BrokerError
from cdp_stream.kafka.connection import client_settings
from cdp_stream.kafka.produce import Publisher, publisher
from cdp_stream.settings import Settings

LIVE_RATE = 2_000
"""Events a second at which latency is measured."""
_STEPS_A_SECOND = 100
_LAST_S = 1.0
_ENOUGH_WITHIN_S = 60.0
_READY_S = 120.0
_FEWEST = 100
"""Below that a percentile says nothing."""


def percentile(figures: list[float], percent: int) -> float:
    """The figure that so many percent of them are not above; there are two at least."""
    return quantiles(figures, n=100, method="inclusive")[percent - 1]


class LiveTraffic:
    """Publishes from entering to leaving, or until there are no more records.

    Args:
        settings: which topics.
        to: where to publish.
        records: (mpid, batch) of one event each, with a `source_message_id`.
        rate: events a second.
        watch: told of every membership change that comes in, decoded.
    """

    def __init__(
        self,
        settings: Settings,
        to: Publisher,
        records: Iterator[tuple[int, bytes]],
        rate: int,
        *,
        watch: Callable[[Mapping[str, Any]], None] = lambda _change: None,
    ) -> None:
        self._to = to
        self._records = records
        self._rate = rate
        self._watch = watch
        self._sent_at: dict[str, float] = {}
        self._taken: list[float] = []
        self._consumer = AIOKafkaConsumer(
            settings.topic("memberships"),
            **client_settings(settings),
            auto_offset_reset="latest",
            isolation_level="read_committed",
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._has_enough = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        await self._consumer.seek_to_end()
        self._tasks = [asyncio.create_task(self._consume()), asyncio.create_task(self._publish())]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._consumer.stop()

    async def published(self) -> None:
        """Wait until all records are published."""
        await self._tasks[1]

    async def enough(self) -> None:
        """Wait until as many changes came back as percentiles need, for a minute at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ENOUGH_WITHIN_S):
                await self._has_enough.wait()

    def percentiles(self) -> tuple[float, float]:
        """p50 and p99, ms.

        Raises:
            BrokerError: hardly any change came back.
        """
        if len(self._taken) < _FEWEST:
            raise BrokerError(
                f"only {len(self._taken)} changes came back for the latency",
                "measure with more events, or more profiles",
            )
        return percentile(self._taken, 50), percentile(self._taken, 99)

    async def _consume(self) -> None:
        async for record in self._consumer:
            change = orjson.loads(record.value)
            self._watch(change)
            event_id = change["cause"]["event_id"]
            if event_id in self._sent_at:
                sent_at = self._sent_at.pop(event_id)
                self._taken.append((time.perf_counter() - sent_at) * 1000)
                if len(self._taken) == _FEWEST:
                    self._has_enough.set()

    async def _publish(self) -> None:
        started, number = time.perf_counter(), 0
        while slice_ := list(islice(self._records, self._rate // _STEPS_A_SECOND)):
            now = time.perf_counter()
            for _mpid, batch in slice_:
                event = orjson.loads(batch)["events"][0]
                self._sent_at[event["data"]["source_message_id"]] = now
            await self._to.send([(b"%d" % mpid, batch) for mpid, batch in slice_])
            number += 1
            await asyncio.sleep(max(0.0, started + number / _STEPS_A_SECOND - time.perf_counter()))


async def latency(
    settings: Settings, to: Publisher, *, seconds: int, profiles: int, first: int
) -> tuple[float, float]:
    """p50 and p99, ms, from the send of an event to its membership change in a consumer's hands.

    Args:
        to: where to publish.
        seconds: how long, at `LIVE_RATE`.
        profiles: of the reference load.
        first: the number of the first event.

    Raises:
        BrokerError: hardly any change came back.
    """
    events = reference_load.stream(seconds * LIVE_RATE, profiles, first=first)
    async with LiveTraffic(settings, to, events, LIVE_RATE) as live:
        await live.published()
        await asyncio.sleep(_LAST_S)
    return live.percentiles()


async def keep_busy(settings: Settings, seconds: int) -> None:
    """Let a worker apply the reference load at `LIVE_RATE`, so that the broker has worked.

    Raises:
        BrokerError: the worker ended, or did nothing.
    """
    async with publisher(settings) as to, running_worker(settings) as worker:
        await worker.until(lambda found: found.get("cdp_ready", 0.0) > 0, _READY_S)
        await latency(settings, to, seconds=seconds, profiles=reference_load.PROFILES, first=0)
