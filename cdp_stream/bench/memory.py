"""`cdp bench memory`: what a worker holds of a million profiles with the RocksDB store.

Each profile lives through the warm-up of the reference load and has touched 20 criteria then; the
worker that did that is measured, and one that begins with those rows.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

from cdp_stream.bench import reference_load
from cdp_stream.bench.broker import kafka_at
from cdp_stream.bench.measure import Result, result
from cdp_stream.bench.process import Metrics, running_worker
from cdp_stream.bench.worker import publish
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.produce import publisher
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.settings import Settings

PROFILES = 1_000_000
RESIDENT_BUDGET_MIB = 1024.0
STATE_BUDGET_BYTES = 1024.0
LIVE_EVENTS = 200_000
_PATIENCE_S = 7_200.0


def run(profiles: int, broker: str | None) -> list[Result]:
    """Measure a worker with so many profiles.

    Args:
        broker: Kafka's address; None starts Apache Kafka from its jars.

    Raises:
        BrokerError: no Kafka is available, or the worker ended.
    """
    with kafka_at(broker) as address:
        return asyncio.run(_measure(profiles, address))


async def _measure(profiles: int, broker: str) -> list[Result]:
    settings = Settings(broker=broker, prefix=f"bench-{os.getpid()}-memory")
    warm = reference_load.NAMES_OF_A_PROFILE * profiles
    with tempfile.TemporaryDirectory(prefix="cdp-bench-") as folder:
        async with publisher(settings) as to:
            await publish(to, reference_load.warm_up(profiles))
            lived = await _most_resident(settings, Path(folder), warm)
            await publish(to, reference_load.stream(LIVE_EVENTS, profiles))
            begun = await _most_resident(settings, Path(folder), LIVE_EVENTS)
        size = await _state_bytes(settings, to.partitions)
    title = f"{profiles:,} profiles"
    return [
        result(f"{title}: most resident memory", [lived], "MiB", RESIDENT_BUDGET_MIB),
        result(f"{title}: the same after a restart", [begun], "MiB", RESIDENT_BUDGET_MIB),
        result(f"{title}: state of each in the changelog", [size], "B", STATE_BUDGET_BYTES),
    ]


async def _most_resident(settings: Settings, data: Path, events: int) -> float:
    """The most memory of a worker until it had applied so many events, MiB."""
    most = 0.0

    def done(metrics: Metrics) -> bool:
        nonlocal most
        most = max(most, metrics["process_resident_memory_bytes"])
        return metrics["cdp_events_total"] >= events

    async with running_worker(settings, data) as worker:
        await worker.until(done, _PATIENCE_S)
    return most / 2**20


async def _state_bytes(settings: Settings, partitions: int) -> float:
    """Bytes of a profile's newest row and its key, in the middle."""
    sizes: dict[bytes, int] = {}

    def take(_partition: int, records: list[Any]) -> None:
        sizes.update((record.key, len(record.key) + len(record.value or b"")) for record in records)

    topic = settings.topic("profiles-changelog")
    await read_to_end(client_settings(settings), topic, range(partitions), take)
    return sum(sizes.values()) / len(sizes)
