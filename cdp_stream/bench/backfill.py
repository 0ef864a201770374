"""`cdp bench backfill`: a new audience over a log of millions of events, beside live traffic.

A worker first applies the whole log under the reference definitions. Then it is started with one
audience more, and 2,000 events a second begin to arrive: it reads the log anew for that audience,
while the events' changes are timed on their way. After a short log, live traffic goes
on until enough changes came back for a percentile, for a minute at most.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

from cdp_stream.bench import reference_load
from cdp_stream.bench.broker import kafka_at
from cdp_stream.bench.live import LIVE_RATE, LiveTraffic
from cdp_stream.bench.measure import Result, result
from cdp_stream.bench.process import Metrics, WorkerProcess, running_worker
from cdp_stream.bench.worker import publish
from cdp_stream.errors import BrokerError
from cdp_stream.kafka.produce import Publisher, publisher
from cdp_stream.settings import Settings

EVENTS = 10_000_000
RATE_BUDGET = 50_000.0
LATENCY_BUDGET_MS = 150.0
_POLL_S = 0.25
_SLOWEST = 2_000
"""Events a second below which it is given up."""
_LEAST_PATIENCE_S = 300.0
_MOST_LIVE_EVENTS = 100_000_000


def run(events: int, runs: int, profiles: int, broker: str | None) -> list[Result]:
    """Measure the backfill of one audience over so many events.

    Args:
        broker: Kafka's address; None starts Apache Kafka from its jars.

    Raises:
        BrokerError: there is no Kafka to be had, or the worker ended.
    """
    with kafka_at(broker, warm=True) as address:
        return asyncio.run(_measure(events, runs, profiles, address))


def definitions() -> str:
    """The reference definitions and one audience more, which a sixth of the profiles are in."""
    known = json.loads(reference_load.definitions())
    known["audiences"].append(
        {
            "id": "new",
            "criteria": {
                "event": "Event 03",
                "where": [{"attribute": "category", "contains": "category"}],
                "count": {"at_least": 3},
                "when": {"last": "20d"},
            },
        }
    )
    return json.dumps(known)


async def _measure(events: int, runs: int, profiles: int, broker: str) -> list[Result]:
    rates: list[float] = []
    p50: list[float] = []
    p99: list[float] = []
    for number in range(runs):
        settings = Settings(broker=broker, prefix=f"bench-{os.getpid()}-{number}-backfill")
        async with publisher(settings) as to:
            await publish(to, reference_load.stream(events, profiles))
            with tempfile.TemporaryDirectory(prefix="cdp-bench-") as folder:
                await _apply_all(settings, Path(folder), events)
                async with running_worker(
                    settings, Path(folder), definitions=definitions()
                ) as worker:
                    rate, latencies = await _beside_live(settings, to, worker, events, profiles)
        rates.append(rate)
        p50.append(latencies[0])
        p99.append(latencies[1])
    return [
        result("backfill: events per second", rates, "1/s", RATE_BUDGET, at_least=True),
        result(f"backfill: latency p50 at {LIVE_RATE}/s beside it", p50, "ms"),
        result(f"backfill: latency p99 at {LIVE_RATE}/s beside it", p99, "ms", LATENCY_BUDGET_MS),
    ]


async def _apply_all(settings: Settings, data: Path, events: int) -> None:
    async with running_worker(settings, data) as worker:
        await worker.until(
            lambda found: found.get("cdp_events_total", 0.0) >= events, _patience_s(events)
        )


async def _beside_live(
    settings: Settings, to: Publisher, worker: WorkerProcess, events: int, profiles: int
) -> tuple[float, tuple[float, float]]:
    """Events a second of the backfill, and p50 and p99 of the live events' latency meanwhile.

    After a short backfill, live traffic goes on until enough changes came back for a percentile.
    """
    await worker.until(lambda found: found.get("cdp_ready", 0.0) > 0, _patience_s(events), _POLL_S)
    records = reference_load.stream(_MOST_LIVE_EVENTS, profiles, first=events)
    async with LiveTraffic(settings, to, records, LIVE_RATE) as live:
        rate = await _rate(worker, events)
        await live.enough()
    return rate, live.percentiles()


async def _rate(worker: WorkerProcess, events: int) -> float:
    """Events a second, from the first to the last look at a backfill under way.

    Raises:
        BrokerError: the worker ended, or does not get on.
    """
    deadline = time.monotonic() + _patience_s(events)
    looks: list[tuple[float, float]] = []
    while time.monotonic() < deadline:
        metrics = await worker.metrics()
        if metrics is not None and (read := metrics.get("cdp_backfill_events_total", 0.0)):
            looks.append((time.monotonic(), read))
            if read >= events and not _is_under_way(metrics):
                break
        await asyncio.sleep(_POLL_S)
    under_way = [look for look in looks if look[1] < events]
    if len(under_way) < 2 or looks[-1][1] < events:  # noqa: PLR2004 - from, to
        raise BrokerError(
            f"of {events} events {looks[-1][1] if looks else 0:.0f} were read in the time given",
            "measure more events where it was too fast, fewer where it was too slow",
        )
    (began, first), (ended, last) = under_way[0], under_way[-1]
    return (last - first) / (ended - began)


def _is_under_way(metrics: Metrics) -> bool:
    return any(name.startswith("cdp_backfill_records_left{") for name in metrics)


def _patience_s(events: int) -> float:
    return max(_LEAST_PATIENCE_S, events / _SLOWEST)
