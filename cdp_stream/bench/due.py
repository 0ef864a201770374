"""`cdp bench due`: changes that no event makes: how late they are, one at a time and a million in a
minute.

Every profile has one event, a day before an instant of a minute that is to come; at that instant
the window of the only audience that reads it moves past the event. Before the minute some windows
end one by one; in it all others do, while 2,000 events a second arrive whose changes are timed.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from cdp_stream.bench.broker import kafka_at
from cdp_stream.bench.live import LIVE_RATE, LiveTraffic, percentile
from cdp_stream.bench.measure import Result, result
from cdp_stream.bench.process import Metrics, running_worker
from cdp_stream.bench.worker import publish
from cdp_stream.errors import BrokerError
from cdp_stream.kafka.produce import publisher
from cdp_stream.settings import Settings

PROFILES = 1_000_000
LATENESS_BUDGET_MS = 1_000.0
LATENCY_BUDGET_MS = 500.0
EMITTED_BUDGET_S = 60.0
SECONDS = 60
"""The minute; how long it is may be set."""
_CALM_PART = 3
"""The time before it in which windows end one by one is this part of it."""
_CALM_RATE = 100
"""Windows that end in each second of that."""
_DAY_MS = 86_400_000
_LOADED_A_SECOND = 4_000
"""Events a second that a slow machine applies: how long before the minute loading begins."""
_LEAST_LOADING_S = 20
_LIVE_PROFILES = 100_000
_LIVE_CATEGORIES = 20


def run(profiles: int, broker: str | None, seconds: int = SECONDS) -> list[Result]:
    """Measure windows that end, of so many profiles in one minute.

    Args:
        profiles: How many.
        seconds: How long the minute is.
        broker: Kafka's address; None starts Apache Kafka from its jars.

    Raises:
        BrokerError: no Kafka is available, the worker ended, or the machine is too slow.
    """
    with kafka_at(broker, warm=True) as address:
        return asyncio.run(_measure(profiles, address, seconds))


def definitions() -> str:
    """An audience that everybody leaves a day after an event, and one that live events join."""
    return json.dumps(
        {
            "version": 1,
            "account": "bench",
            "workspaces": [
                {"id": "shop", "lookback": "30d", "inputs": [{"id": "web", "kind": "platform"}]}
            ],
            "audiences": [
                {"id": "seen", "criteria": {"event": "Seen", "when": {"last": "1d"}}},
                {
                    "id": "live",
                    "criteria": {
                        "event": "Live",
                        "where": [{"attribute": "category", "equals": "category 7"}],
                        "when": {"last": "14d"},
                    },
                },
            ],
        }
    )


class _Drops:
    """The deletes that were seen, and how late each was."""

    def __init__(self, minute: int, expected: int) -> None:
        self._minute = minute
        self._left = expected
        self.calm_ms: list[float] = []
        self.late_ms: list[float] = []
        self.last_at = 0.0
        self.all_seen = asyncio.Event()

    def note(self, change: Mapping[str, Any]) -> None:
        """A change that came in now."""
        if change["action"] != "delete":
            return
        self.last_at = time.time() * 1000
        due = change["effective_at"]
        (self.calm_ms if due < self._minute else self.late_ms).append(self.last_at - due)
        self._left -= 1
        if self._left == 0:
            self.all_seen.set()


async def _measure(profiles: int, broker: str, seconds: int) -> list[Result]:
    settings = Settings(broker=broker, prefix=f"bench-{os.getpid()}-due")
    calm_s = seconds / _CALM_PART
    calm = int(calm_s * _CALM_RATE)
    total = profiles + calm
    loading_s = _LEAST_LOADING_S + total / _LOADED_A_SECOND
    minute = int((time.time() + loading_s + calm_s) * 1000)
    drops = _Drops(minute, total)
    async with (
        publisher(settings) as to,
        running_worker(settings, definitions=definitions(), clock="wall") as worker,
    ):
        await publish(to, _seen(profiles, calm, minute, seconds))

        def all_applied(metrics: Metrics) -> bool:
            return metrics.get("cdp_events_total", 0.0) >= total

        await worker.until(all_applied, loading_s)
        first_due = minute / 1000 - calm_s
        if time.time() > first_due:
            raise BrokerError(
                f"{total} events were not applied within {loading_s:.0f} s",
                "measure fewer --profiles",
            )
        live = _live(total)
        async with LiveTraffic(settings, to, live, LIVE_RATE, watch=drops.note) as traffic:
            patience_s = first_due - time.time() + calm_s + 2 * EMITTED_BUDGET_S
            try:
                async with asyncio.timeout(patience_s + EMITTED_BUDGET_S):
                    await drops.all_seen.wait()
            except TimeoutError:
                seen = len(drops.calm_ms) + len(drops.late_ms)
                raise BrokerError(
                    f"{seen} of {total} drops were seen in time", "measure fewer --profiles"
                ) from None
            p50, p99 = traffic.percentiles()
    title = f"{profiles:,} due in {'a minute' if seconds == SECONDS else f'{seconds} s'}"
    return [
        result("time-driven change, lateness p50", [percentile(drops.calm_ms, 50)], "ms"),
        result("time-driven change, lateness p99", [percentile(drops.calm_ms, 99)], "ms",
               LATENESS_BUDGET_MS),
        result(f"{title}: lateness p99", [percentile(drops.late_ms, 99)], "ms"),
        result(f"{title}: the latest of all", [max(drops.late_ms) / 1000], "s", EMITTED_BUDGET_S),
        result(f"{title}: the last, after the minute began",
               [(drops.last_at - minute) / 1000], "s"),
        result(f"{title}: latency p50 at {LIVE_RATE}/s beside it", [p50], "ms"),
        result(f"{title}: latency p99 at {LIVE_RATE}/s beside it", [p99], "ms", LATENCY_BUDGET_MS),
    ]  # fmt: skip


def _seen(profiles: int, calm: int, minute: int, seconds: int) -> Iterator[tuple[int, bytes]]:
    """One event of each profile, in the order of their ids: its window's end is not."""
    random = Random(profiles)
    for mpid in range(1, profiles + calm + 1):
        if mpid <= calm:
            due = minute - random.randrange(1, seconds * 1000 // _CALM_PART)
        else:
            due = minute + random.randrange(seconds * 1000)
        # A window holds an event that is as old as it is long.
        yield mpid, _batch(mpid, "Seen", due - 1 - _DAY_MS, f"seen-{mpid}", "category 0")


def _live(behind: int) -> Iterator[tuple[int, bytes]]:
    """Events of now, of other profiles, for as long as it is asked."""
    random, number = Random(behind), 0
    while True:
        number += 1
        mpid = behind + 1 + random.randrange(_LIVE_PROFILES)
        category = f"category {random.randrange(_LIVE_CATEGORIES)}"
        yield mpid, _batch(mpid, "Live", int(time.time() * 1000), f"live-{number}", category)


def _batch(mpid: int, name: str, at: int, message_id: str, category: str) -> bytes:
    data = {
        "event_name": name,
        "custom_event_type": "navigation",
        "timestamp_unixtime_ms": at,
        "source_message_id": message_id,
        "custom_attributes": {"category": category},
    }
    batch = {"mpid": mpid, "events": [{"event_type": "custom_event", "data": data}]}
    return json.dumps(batch).encode()
