"""`cdp bench outputs`: changes to a local HTTP server; profiles beside an output that hangs.

The changes are published before the sink starts; their rate is that of the sink's own metrics
between the first tenth and the last change. The receiver is a process of its own.

Profiles are measured twice in each run, in turn: beside a sink whose partner answers nothing, and
with no sink at all; at full speed, then live at a steady rate for the latency.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aiokafka import AIOKafkaProducer

from cdp_stream.bench import reference_load
from cdp_stream.bench.broker import kafka_at
from cdp_stream.bench.live import LIVE_RATE, latency
from cdp_stream.bench.measure import Result, result
from cdp_stream.bench.process import Metrics, WorkerProcess, running_worker
from cdp_stream.bench.worker import publish
from cdp_stream.errors import OutsideError
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.commit.record_writer import MAX_BATCH_BYTES
from cdp_stream.kafka.produce import publisher
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings

BATCH_BUDGET: Final = 20_000.0
SINGLE_BUDGET: Final = 1_500.0
HANGING_BUDGET: Final = 1.1
_OUTPUT: Final = "bench"
_SINGLE_SHARE: Final = 10
_CONNECTIONS: Final = 50
_PATIENCE_S: Final = 600.0
_POLL_S: Final = 0.02
_WARM: Final = 0.1


@dataclass(frozen=True, slots=True)
class Load:
    """How much is measured.

    Attributes:
        changes: in batches of 500; one per request are a tenth of it.
        events: applied beside an output that hangs, and beside none; 0 leaves it out.
        live_seconds: how long events then arrive at `LIVE_RATE` for the latency; 0 leaves it out.
    """

    changes: int = 200_000
    events: int = 100_000
    profiles: int = 20_000
    runs: int = 3
    live_seconds: int = 10


class _Look(NamedTuple):
    """When, on a steady clock, how many and at how much CPU a counter had come so far."""

    at: float
    counted: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class _Figures:
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def note(self, started: _Look, ended: _Look) -> None:
        """What was done between two looks at a worker.

        Raises:
            OutsideError: all was done before the first.
        """
        count = ended.counted - started.counted
        if not count:
            raise OutsideError(
                f"all {ended.counted:.0f} were through at the first look",
                "measure more: --changes, --events",
            )
        self.rates.append(count / (ended.at - started.at))
        self.cpu_us.append((ended.cpu_s - started.cpu_s) / count * 1e6)


def run(load: Load, broker: str | None) -> list[Result]:
    """Measure sinks.

    Args:
        broker: Kafka's address; None starts Apache Kafka from its jars.

    Raises:
        OutsideError: no Kafka is available, or a process ended.
    """
    with kafka_at(broker, warm=True) as address:
        return asyncio.run(_measure(load, address))


async def _measure(load: Load, broker: str) -> list[Result]:
    batches, single, hanging, none = _Figures(), _Figures(), _Figures(), _Figures()
    for number in range(load.runs):
        prefix = f"bench-{os.getpid()}-{number}"
        with _receiver() as url:
            await _sink(Settings(broker=broker, prefix=f"{prefix}-batch"), url, load.changes,
                        500, batches)  # fmt: skip
            await _sink(Settings(broker=broker, prefix=f"{prefix}-single"), url,
                        load.changes // _SINGLE_SHARE, 1, single)  # fmt: skip
        if load.events:
            beside = [("profiles,sinks", hanging), ("profiles", none)]
            with _receiver("hang") as url:
                # Turn about, so that what slows the machine down for a while slows both down.
                for only, figures in beside if number % 2 == 0 else reversed(beside):
                    settings = Settings(broker=broker, prefix=f"{prefix}-{len(only)}")
                    await _profiles(settings, url, load, only, figures)
    return list(_lines(batches, single, hanging, none))


def _lines(
    batches: _Figures, single: _Figures, hanging: _Figures, none: _Figures
) -> Iterator[Result]:
    yield result("sink, batches of 500: changes per second", batches.rates, "1/s", BATCH_BUDGET,
                 at_least=True)  # fmt: skip
    yield result("sink, batches of 500: CPU per change", batches.cpu_us, "us")
    yield result("sink, one per request, 50 connections: changes per second", single.rates, "1/s",
                 SINGLE_BUDGET, at_least=True)  # fmt: skip
    yield result("sink, one per request: CPU per change", single.cpu_us, "us")
    if not hanging.rates:
        return
    yield from _side_by_side("events per second", hanging.rates, none.rates, "1/s", at_least=True)
    yield from _side_by_side("CPU per event", hanging.cpu_us, none.cpu_us, "us")
    if hanging.p50:
        for which, one, other in (("p50", hanging.p50, none.p50), ("p99", hanging.p99, none.p99)):
            yield from _side_by_side(f"latency {which} at {LIVE_RATE}/s", one, other, "ms")


def _side_by_side(
    what: str, hanging: list[float], none: list[float], unit: str, *, at_least: bool = False
) -> Iterator[Result]:
    """Both, and their ratio run by run, which should be 1 but for what any two runs differ by."""
    ratios = [one / other for one, other in zip(hanging, none, strict=True)]
    budget = 1 / HANGING_BUDGET if at_least else HANGING_BUDGET
    yield result(f"profiles beside an output that hangs: {what}", hanging, unit)
    yield result(f"profiles beside none: {what}", none, unit)
    yield result(f"profiles: {what}, output that hangs to none", ratios, "1", budget,
                 at_least=at_least)  # fmt: skip


@contextmanager
def _receiver(*words: str) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cdp_stream.bench.receiver", *words], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip().decode()
        if not port:
            raise OutsideError("the receiver did not start", "run it by itself to see why")
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _definitions(url: str, batch: int) -> str:
    """The reference load's, with an output that all audiences are connected to."""
    account = json.loads(reference_load.definitions())
    settings = {"url": url, "secret": "${CDP_SECRET_BENCH}", "allow_private": True, "batch": batch,
                "max_connections": _CONNECTIONS if batch == 1 else 4}  # fmt: skip
    account["outputs"] = [{"id": _OUTPUT, "connector": "webhook", "settings": settings}]
    ids = [audience["id"] for audience in account["audiences"]]
    account["connections"] = [{"audiences": ids, "output": _OUTPUT}]
    return json.dumps(account)


def _change(number: int) -> tuple[int, bytes]:
    """A change of about the size that profiles with three identities have."""
    mpid = number % 100_000
    change = {
        "message_id": f"audience-00001:{mpid}:{number}:0", "action": "add",
        "account_id": "bench", "audience_id": "audience-00001",
        "audience_name": "audience-00001", "mpid": str(mpid), "effective_at": number,
        "ordinal": 0, "variant": None,
        "cause": {"kind": "event", "criterion": "event", "event_id": f"event-{number:010d}",
                  "event_time": number},
        "definition": "0123456789ab",
        "user_identities": [
            {"identity_type": kind, "identity": f"{mpid}@example.com"}
            for kind in ("customerid", "email", "other")
        ],
        "user_attributes": {}, "connection": f"audience-00001@{_OUTPUT}", "settings": {},
    }  # fmt: skip
    return mpid, json.dumps(change, separators=(",", ":")).encode()


async def _sink(settings: Settings, url: str, changes: int, batch: int, figures: _Figures) -> None:
    partitions = await ensure_topics(settings, [_OUTPUT], sinks=True)
    producer = AIOKafkaProducer(
        **client_settings(settings), acks=1, linger_ms=5, max_batch_size=MAX_BATCH_BYTES
    )
    await producer.start()
    try:
        topic = settings.topic(f"output.{_OUTPUT}")
        for number in range(changes):
            mpid, value = _change(number)
            await producer.send(topic, value, key=b"%d" % mpid, partition=mpid % partitions)
        await producer.flush()
    finally:
        await producer.stop()
    async with running_worker(
        settings,
        definitions=_definitions(url, batch),
        flags=("--only", "sinks"),
        environment={"CDP_SECRET_BENCH": "a secret of benches"},
    ) as worker:
        started = await _until(worker, "cdp_output_sent_total", changes * _WARM)
        ended = await _until(worker, "cdp_output_sent_total", changes)
        figures.note(started, ended)


async def _profiles(settings: Settings, url: str, load: Load, only: str, figures: _Figures) -> None:
    warm = reference_load.NAMES_OF_A_PROFILE * load.profiles
    async with publisher(settings) as to:
        await publish(to, reference_load.warm_up(load.profiles))
        await publish(to, reference_load.stream(load.events, load.profiles))
        async with running_worker(
            settings,
            definitions=_definitions(url, 500),
            flags=("--only", only),
            environment={"CDP_SECRET_BENCH": "a secret of benches"},
        ) as worker:
            started = await _until(worker, "cdp_events_total", warm)
            ended = await _until(worker, "cdp_events_total", warm + load.events)
            figures.note(started, ended)
            if load.live_seconds:
                p50, p99 = await latency(
                    settings, to, seconds=load.live_seconds, profiles=load.profiles,
                    first=load.events,
                )  # fmt: skip
                figures.p50.append(p50)
                figures.p99.append(p99)


async def _until(worker: WorkerProcess, name: str, count: float) -> _Look:
    """The first reading with a counter of so much."""
    metrics = await worker.until(
        lambda metrics: _sum(metrics, name) >= count, _PATIENCE_S, poll_s=_POLL_S
    )
    cpu_s = metrics.get("process_cpu_seconds_total", 0.0)
    return _Look(time.monotonic(), _sum(metrics, name), cpu_s)


def _sum(metrics: Metrics, name: str) -> float:
    return sum(value for key, value in metrics.items() if key.partition("{")[0] == name)
