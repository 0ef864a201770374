"""`cdp bench worker`: a whole worker process on Apache Kafka, its CPU by its own accounting, and
its latency.

Everything is published before the worker starts, so that it is measured and not the producer; the
first part of the load warms the rows up and is not counted. Figures come from the worker's own
metrics: `process_cpu_seconds_total` and `cdp_events_total`, read while it works.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import orjson

from cdp_stream.bench import reference_load
from cdp_stream.bench.broker import kafka_at
from cdp_stream.bench.live import LIVE_RATE, latency
from cdp_stream.bench.measure import Result, result
from cdp_stream.bench.process import Metrics, WorkerProcess, running_worker
from cdp_stream.errors import BrokerError, OutsideError
from cdp_stream.kafka.produce import Publisher, publisher
from cdp_stream.settings import Guarantee, Settings

CPU_BUDGET_US = 16.0
RATIO_BUDGET = 1.15
LATENCY_BUDGETS_MS = (25.0, 80.0)
RATE_BUDGET = 50_000.0
PEER_BUDGET = 0.7
PEER = Path(__file__).parents[2] / "bench" / "peers" / "quix_count.py"
_SLICE = 5_000
_POLL_S = 0.5
_LEAST_POLL_S = 0.05
_PATIENCE_S = 600.0
_PEER_S = 300.0


@dataclass(frozen=True, slots=True)
class Load:
    """How much is measured.

    Attributes:
        events: measured at full speed in each run.
        live_seconds: how long events are published at `LIVE_RATE` for the latency; 0 leaves it out.
        guarantees: which to measure, each in every run.
    """

    events: int = 300_000
    runs: int = 3
    profiles: int = reference_load.PROFILES
    live_seconds: int = 10
    guarantees: tuple[Guarantee, ...] = ("exactly-once",)


def run(load: Load, broker: str | None, peer: str | None = None) -> list[Result]:
    """Measure a worker on the reference load.

    Args:
        broker: Kafka's address; None starts Apache Kafka from its jars.
        peer: a Python that has Quix Streams; it then counts the same topics per key, run by run.

    Raises:
        BrokerError: no Kafka is available, or the worker ended.
    """
    with kafka_at(broker, warm=True) as address:
        return asyncio.run(_measure(load, address, peer))


@dataclass(frozen=True, slots=True)
class _Figures:
    """What each run of one guarantee gave."""

    cpu_us: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


async def _measure(load: Load, broker: str, peer: str | None) -> list[Result]:
    figures = {guarantee: _Figures() for guarantee in load.guarantees}
    peer_us: list[float] = []
    warm = reference_load.NAMES_OF_A_PROFILE * load.profiles
    for number in range(load.runs):
        # Turn about, so that what slows the machine down for a while slows both down.
        for guarantee in sorted(load.guarantees, reverse=number % 2 == 1):
            prefix = f"bench-{os.getpid()}-{number}-{guarantee}"
            settings = Settings(broker=broker, prefix=prefix, guarantee=guarantee)
            async with publisher(settings) as to:
                await publish(to, reference_load.warm_up(load.profiles))
                await publish(to, reference_load.stream(load.events, load.profiles))
                await _run_worker(settings, to, load, figures[guarantee])
                if peer is not None and guarantee == load.guarantees[0]:
                    peer_us.append(await _peer(peer, settings, to.partitions, warm + load.events))
    return [
        *(line for guarantee in load.guarantees for line in _lines(guarantee, figures[guarantee])),
        *_ratios(figures),
        *_beside_peer(figures[load.guarantees[0]], peer_us),
    ]


async def _run_worker(settings: Settings, to: Publisher, load: Load, figures: _Figures) -> None:
    warm = reference_load.NAMES_OF_A_PROFILE * load.profiles
    async with running_worker(settings) as worker:
        started = await _until(worker, warm)
        ended = await _until(worker, warm + load.events)
        events = ended.events - started.events
        figures.cpu_us.append((ended.cpu_s - started.cpu_s) / events * 1e6)
        figures.rates.append(events / (ended.at - started.at))
        figures.resident.append(ended.resident_bytes / 2**20)
        if load.live_seconds:
            p50, p99 = await latency(
                settings, to, seconds=load.live_seconds, profiles=load.profiles, first=load.events
            )
            figures.p50.append(p50)
            figures.p99.append(p99)


def _lines(guarantee: Guarantee, figures: _Figures) -> Iterator[Result]:
    exactly = guarantee == "exactly-once"
    name = f"worker, {guarantee}"
    cpu_budget = CPU_BUDGET_US * RATIO_BUDGET if exactly else CPU_BUDGET_US
    yield result(f"{name}: CPU per event", figures.cpu_us, "us", cpu_budget)
    yield result(f"{name}: events per second", figures.rates, "1/s", RATE_BUDGET, at_least=True)
    yield result(f"{name}: resident memory", figures.resident, "MiB")
    if figures.p50:
        budgets = LATENCY_BUDGETS_MS if exactly else (None, None)
        for which, runs, budget in zip(
            ("p50", "p99"), (figures.p50, figures.p99), budgets, strict=True
        ):
            yield result(f"{name}: latency {which} at {LIVE_RATE}/s", runs, "ms", budget)


def _ratios(figures: dict[Guarantee, _Figures]) -> Iterator[Result]:
    if len(figures) > 1:
        both = zip(figures["exactly-once"].cpu_us, figures["at-least-once"].cpu_us, strict=True)
        ratios = [exactly / at_least for exactly, at_least in both]
        yield result("worker: CPU, exactly-once to at-least-once", ratios, "1", RATIO_BUDGET)


def _beside_peer(figures: _Figures, peer_us: list[float]) -> Iterator[Result]:
    if peer_us:
        shares = [own / other for own, other in zip(figures.cpu_us, peer_us, strict=True)]
        yield result("Quix Streams counting per key: CPU per event", peer_us, "us")
        yield result("worker: share of Quix Streams' CPU", shares, "1", PEER_BUDGET)


async def _peer(python: str, settings: Settings, partitions: int, events: int) -> float:
    """CPU microseconds per event of Quix Streams on the topic that the worker has just read.

    Raises:
        OutsideError: it failed, or was not done in time; it is not left running then.
    """
    command = (
        python,
        str(PEER),
        settings.broker,
        settings.topic("events"),
        str(partitions),
        str(events),
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _PEER_S)
    except TimeoutError as error:
        raise OutsideError(
            f"{python} {PEER.name} did not count {events} events within {_PEER_S:.0f} s",
            "measure fewer events or profiles, or leave out --peer",
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise OutsideError(
            f"{python} {PEER.name} failed", "install it as bench/peers/README.md describes"
        )
    return float(orjson.loads(output.splitlines()[-1])["cpu_us_per_event"])


async def publish(to: Publisher, records: Iterable[tuple[int, bytes]]) -> None:
    """Publish batches by their mpid, as fast as the broker accepts them."""
    keyed = ((b"%d" % mpid, batch) for mpid, batch in records)
    while slice_ := list(islice(keyed, _SLICE)):
        await asyncio.gather(*await to.send(slice_))


@dataclass(frozen=True, slots=True)
class _Reading:
    """The metrics of the worker, and when they were read, in seconds of a steady clock."""

    at: float
    events: float
    cpu_s: float
    resident_bytes: float


async def _until(worker: WorkerProcess, events: int) -> _Reading:
    """The first reading with at least so many events.

    Raises:
        BrokerError: the worker ended, or does not get on.
    """
    deadline = time.monotonic() + _PATIENCE_S
    reading: _Reading | None = None
    while time.monotonic() < deadline:
        metrics = await worker.metrics()
        if metrics is None:
            await asyncio.sleep(_POLL_S)
            continue
        before, reading = reading, _reading(metrics)
        if reading.events >= events:
            return reading
        await asyncio.sleep(_pause_s(before, reading, events))
    raise BrokerError(
        f"the worker did not apply {events} events within {_PATIENCE_S:.0f} s",
        "measure fewer events",
    )


def _pause_s(before: _Reading | None, now: _Reading, events: int) -> float:
    """How long to leave the worker alone: each look costs it CPU, and a late one costs it rate."""
    if before is None or now.events <= before.events:
        return _POLL_S
    rate = (now.events - before.events) / (now.at - before.at)
    return min(_POLL_S, max(_LEAST_POLL_S, (events - now.events) / rate))


def _reading(metrics: Metrics) -> _Reading:
    return _Reading(
        time.monotonic(),
        metrics.get("cdp_events_total", 0.0),
        metrics.get("process_cpu_seconds_total", 0.0),
        metrics.get("process_resident_memory_bytes", 0.0),
    )


GUARANTEES: dict[str, tuple[Guarantee, ...]] = {
    "exactly-once": ("exactly-once",),
    "at-least-once": ("at-least-once",),
    "both": ("exactly-once", "at-least-once"),
}
"""What `--guarantee` may name."""


def smaller(
    load: Load, events: int | None, runs: int | None, profiles: int | None, guarantee: str
) -> Load:
    """The load with what was asked for changed."""
    return replace(
        load,
        events=events or load.events,
        runs=runs or load.runs,
        profiles=profiles or load.profiles,
        guarantees=GUARANTEES[guarantee],
    )
