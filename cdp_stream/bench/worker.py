"""`cdp bench worker`: a whole worker process on Apache Kafka, its CPU by its own accounting, and
its latency.

Everything is published before the worker starts, so that it is measured and not the producer; the
first part of the load warms the rows up and is not counted. Figures come from the worker's own
metrics: `process_cpu_seconds_total` and `cdp_events_total`, read while it works.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import quantiles

import httpx
import orjson
from aiokafka import AIOKafkaConsumer

from cdp_stream.bench import reference_load
from cdp_stream.bench.measure import Result, result
from cdp_stream.errors import BrokerError, OutsideError
from cdp_stream.kafka.apache import ApacheKafka, resolve_jars
from cdp_stream.kafka.child import Child
from cdp_stream.kafka.probe import free_port
from cdp_stream.kafka.produce import Publisher, publisher
from cdp_stream.settings import Settings

CPU_BUDGET_US = 16.0
RATE_BUDGET = 50_000.0
PEER_BUDGET = 0.7
PEER = Path(__file__).parents[2] / "bench" / "peers" / "quix_count.py"
LIVE_RATE = 2_000
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
    """

    events: int = 300_000
    runs: int = 3
    profiles: int = reference_load.PROFILES
    live_seconds: int = 10


def run(load: Load, broker: str | None, peer: str | None = None) -> list[Result]:
    """Measure a worker on the reference load.

    Args:
        broker: Kafka's address; None starts Apache Kafka from its jars.
        peer: a Python that has Quix Streams; it then counts the same topics per key, run by run.

    Raises:
        BrokerError: there is no Kafka to be had, or the worker ended.
    """
    if broker is not None:
        return asyncio.run(_measure(load, broker, peer))
    with ApacheKafka(resolve_jars()) as kafka:
        return asyncio.run(_measure(load, kafka.bootstrap, peer))


async def _measure(load: Load, broker: str, peer: str | None) -> list[Result]:
    cpu_us: list[float] = []
    peer_us: list[float] = []
    rates: list[float] = []
    latencies: list[tuple[float, float]] = []
    resident: list[float] = []
    for number in range(load.runs):
        settings = Settings(broker=broker, prefix=f"bench-{os.getpid()}-{number}")
        async with publisher(settings) as to:
            await _publish(to, reference_load.warm_up(load.profiles))
            await _publish(to, reference_load.stream(load.events, load.profiles))
            warm = reference_load.NAMES_OF_A_PROFILE * load.profiles
            async with _worker(settings) as worker:
                started = await worker.until(warm)
                ended = await worker.until(warm + load.events)
                events = ended.events - started.events
                cpu_us.append((ended.cpu_s - started.cpu_s) / events * 1e6)
                rates.append(events / (ended.at - started.at))
                resident.append(ended.resident_bytes / 2**20)
                if load.live_seconds:
                    latencies.append(await _latency(settings, to, load))
            if peer is not None:
                peer_us.append(await _peer(peer, settings, to.partitions, warm + load.events))
    results = [
        result("worker: CPU per event", cpu_us, "us", CPU_BUDGET_US),
        result("worker: events per second", rates, "1/s", RATE_BUDGET, at_least=True),
        result("worker: resident memory", resident, "MiB"),
    ]
    if peer_us:
        shares = [own / other for own, other in zip(cpu_us, peer_us, strict=True)]
        results.append(result("Quix Streams counting per key: CPU per event", peer_us, "us"))
        results.append(result("worker: share of Quix Streams' CPU", shares, "1", PEER_BUDGET))
    if latencies:
        results.append(
            result(f"worker: latency p50 at {LIVE_RATE}/s", [p50 for p50, _ in latencies], "ms")
        )
        results.append(
            result(f"worker: latency p99 at {LIVE_RATE}/s", [p99 for _, p99 in latencies], "ms")
        )
    return results


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
            f"{python} {PEER.name} failed", "install it as bench/peers/README.md says"
        )
    return float(orjson.loads(output.splitlines()[-1])["cpu_us_per_event"])


async def _publish(to: Publisher, records: Iterable[tuple[int, bytes]]) -> None:
    keyed = ((b"%d" % mpid, batch) for mpid, batch in records)
    while slice_ := list(islice(keyed, _SLICE)):
        await asyncio.gather(*await to.send(slice_))


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the worker said of itself, and when, in seconds of a steady clock."""

    at: float
    events: float
    cpu_s: float
    resident_bytes: float


class _Worker:
    """A running `cdp worker` and its metrics."""

    def __init__(self, child: Child, client: httpx.AsyncClient, url: str) -> None:
        self._child = child
        self._client = client
        self._url = url

    async def until(self, events: int) -> _Reading:
        """The first reading with at least so many events.

        Raises:
            BrokerError: the worker ended, or does not get on.
        """
        deadline = time.monotonic() + _PATIENCE_S
        reading: _Reading | None = None
        while time.monotonic() < deadline:
            if not self._child.is_alive:
                raise BrokerError(
                    f"the worker ended: {self._child.log_tail()}",
                    "see what it says, then run it again",
                )
            try:
                answer = await self._client.get(self._url)
            except httpx.TransportError:
                await asyncio.sleep(_POLL_S)
                continue
            before, reading = reading, _read(answer.text)
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


def _read(text: str) -> _Reading:
    values = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name in (
            "cdp_events_total",
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
        ):
            values[name] = float(value)
    return _Reading(
        time.monotonic(),
        values.get("cdp_events_total", 0.0),
        values.get("process_cpu_seconds_total", 0.0),
        values.get("process_resident_memory_bytes", 0.0),
    )


@asynccontextmanager
async def _worker(settings: Settings) -> AsyncIterator[_Worker]:
    port = free_port()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cdp-bench-")))
        definitions = folder / "definitions.yaml"
        definitions.write_text(reference_load.definitions(), encoding="utf-8")
        command = [sys.executable, "-m", "cdp_stream", "worker", "--definitions", str(definitions)]
        command += ["--broker", settings.broker, "--prefix", settings.prefix, "--clock", "stream"]
        command += ["--data-dir", str(folder / "data"), "--metrics-port", str(port)]
        child = Child("the worker", command, log=folder / "worker.log")
        stack.enter_context(_running(child))
        # Compressed answers would cost the worker CPU that is not its own.
        plain = httpx.AsyncClient(headers={"Accept-Encoding": "identity"})
        client = await stack.enter_async_context(plain)
        yield _Worker(child, client, f"http://127.0.0.1:{port}/metrics")


@contextmanager
def _running(child: Child) -> Iterator[None]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CDP_")}
    child.start(environment)
    try:
        yield
    finally:
        child.stop()


async def _latency(settings: Settings, to: Publisher, load: Load) -> tuple[float, float]:
    """p50 and p99, ms, from the send of an event to its membership change in a consumer's hands."""
    sent_at: dict[str, float] = {}
    taken: list[float] = []
    consumer = AIOKafkaConsumer(
        settings.topic("memberships"),
        bootstrap_servers=settings.brokers,
        auto_offset_reset="latest",
    )
    await consumer.start()
    await consumer.seek_to_end()

    async def consume() -> None:
        async for record in consumer:
            event_id = orjson.loads(record.value)["cause"]["event_id"]
            if event_id in sent_at:
                taken.append((time.perf_counter() - sent_at.pop(event_id)) * 1000)

    task = asyncio.create_task(consume())
    try:
        await _publish_live(to, load, sent_at)
        await asyncio.sleep(1.0)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await consumer.stop()
    if len(taken) < 100:  # noqa: PLR2004 - below that a percentile says nothing
        raise BrokerError(
            f"only {len(taken)} changes came back for the latency", "measure with more profiles"
        )
    cuts = quantiles(taken, n=100)
    return cuts[49], cuts[98]


async def _publish_live(to: Publisher, load: Load, sent_at: dict[str, float]) -> None:
    """Publish at `LIVE_RATE`, in steps of 10 ms."""
    step = LIVE_RATE // 100
    records = reference_load.stream(load.live_seconds * LIVE_RATE, load.profiles, first=load.events)
    started = time.perf_counter()
    for number in range(load.live_seconds * 100):
        slice_ = [(b"%d" % mpid, batch) for mpid, batch in islice(records, step)]
        now = time.perf_counter()
        for _key, batch in slice_:
            sent_at[orjson.loads(batch)["events"][0]["data"]["source_message_id"]] = now
        await to.send(slice_)
        await asyncio.sleep(max(0.0, started + (number + 1) / 100 - time.perf_counter()))


def smaller(load: Load, events: int | None, runs: int | None, profiles: int | None) -> Load:
    """The load with what was asked for changed."""
    return replace(
        load,
        events=events or load.events,
        runs=runs or load.runs,
        profiles=profiles or load.profiles,
    )
