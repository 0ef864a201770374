"""Sinks as processes on a broker, their records, and a partner that holds lists."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings
from tests.brokers.forked import CDP, ForkedWorker, run_cdp

PARTITIONS = 4
ROOT = Path(__file__).parents[2]

DEFINITIONS = """
version: 1
account: test
workspaces:
  - id: shop
    inputs:
      - {id: web, kind: platform}
audiences:
  - id: a
    criteria: {event: Visit}
  - id: b
    criteria: {event: Visit}
outputs:
  - id: out
    connector: webhook
    settings: {url: "URL", secret: "${CDP_SECRET_HOOK}", allow_private: true, batch: BATCH, MORE}
connections:
  - {audience: a, output: out}
  - {audience: b, output: out}
"""


@dataclass
class Partner:
    """A webhook's receiver: who is in each audience, by what it was told, and every change taken.

    Attributes:
        taken: (message id, connection) of each change of each request that was answered 200.
        seen: the same of every request.
        answer: what comes instead of 200, if it returns something; it may wait.
        connections: every one on which something was asked.
    """

    url: str = ""
    taken: list[tuple[str, str]] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    members: dict[str, set[str]] = field(default_factory=dict)
    answer: Callable[[list[dict[str, Any]]], Awaitable[web.Response | None]] | None = None
    requests: int = 0
    connections: set[asyncio.BaseTransport] = field(default_factory=set)

    async def is_left(self) -> bool:
        """Whether nobody is connected any more."""
        return all(connection.is_closing() for connection in self.connections)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self.connections.add(request.transport)
        changes = json.loads(await request.read())["changes"]
        self.requests += 1
        ids = [(change["message_id"], change["connection"]) for change in changes]
        self.seen += ids
        if self.answer is not None and (answer := await self.answer(changes)) is not None:
            return answer
        self.taken += ids
        for change in changes:
            there = self.members.setdefault(change["audience_id"], set())
            if change["action"] == "audience_delete":
                there.clear()
            else:
                (there.add if change["action"] == "add" else there.discard)(change["mpid"])
        return web.Response()


@asynccontextmanager
async def partner() -> AsyncIterator[Partner]:
    held = Partner()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", held.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    held.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield held
    finally:
        await runner.cleanup()


@dataclass
class Running:
    """One prefix on one broker, and the workers on it."""

    settings: Settings
    directory: Path
    workers: list[ForkedWorker] = field(default_factory=list)
    definitions: list[Path] = field(default_factory=list)

    def define(self, text: str) -> None:
        file = self.directory / "definitions.yaml"
        file.write_text(text)
        self.definitions = [file]

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CDP_")}
        return kept | {"CDP_SECRET_HOOK": "a-hook-secret"}

    @property
    def flags(self) -> list[str]:
        return ["--broker", self.settings.broker, "--prefix", self.settings.prefix]

    def start(self, *more: str, only: str = "sinks", **env: str) -> ForkedWorker:
        number = len(self.workers)
        arguments = ["worker", *self.flags]
        arguments += [part for file in self.definitions for part in ("--definitions", str(file))]
        arguments += ["--only", only, "--data-dir", str(self.directory / f"data-{number}"), *more]
        environment = self.environment | {
            "CDP_SESSION_TIMEOUT": "6", "CDP_REBALANCE_TIMEOUT": "6", **env,
        }  # fmt: skip
        with (self.directory / f"worker-{number}.log").open("wb") as log:
            worker = ForkedWorker(
                CDP, arguments, log=log.fileno(), stdout=log.fileno(), env=environment, cwd=ROOT
            )
        self.workers.append(worker)
        return worker

    def log_of(self, worker: ForkedWorker) -> str:
        return (self.directory / f"worker-{self.workers.index(worker)}.log").read_text()

    async def cdp(self, *words: str) -> str:
        """The output of a `cdp` command on this prefix; fails with its errors."""
        arguments = [*words, *self.flags]
        code, out, errors = await run_cdp(arguments, env=self.environment, cwd=ROOT)
        assert code == 0, errors
        return out

    async def create_topics(self, *outputs: str) -> None:
        await ensure_topics(self.settings, outputs or ("out",), sinks=True)

    async def produce(
        self, values: Iterable[bytes], output: str = "out", at: int | None = None
    ) -> None:
        """Append messages where profiles would, each profile's to one partition; written at
        `at`, epoch ms.
        """
        producer = AIOKafkaProducer(bootstrap_servers=self.settings.brokers, linger_ms=5)
        await producer.start()
        try:
            sent = []
            for value in values:
                mpid = orjson.loads(value)["mpid"]
                everywhere = range(PARTITIONS) if mpid == "" else [int(mpid) % PARTITIONS]
                sent += [
                    await producer.send(
                        self.settings.topic(f"output.{output}"), value, key=mpid.encode(),
                        partition=partition, timestamp_ms=at,
                    )
                    for partition in everywhere
                ]  # fmt: skip
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    async def produce_to(self, placed: Iterable[tuple[int, bytes]]) -> None:
        """Append messages each to a partition."""
        producer = AIOKafkaProducer(bootstrap_servers=self.settings.brokers)
        await producer.start()
        try:
            topic = self.settings.topic("output.out")
            for partition, value in placed:
                await producer.send_and_wait(topic, value, partition=partition)
        finally:
            await producer.stop()

    async def read(self, suffix: str, partitions: int = PARTITIONS) -> list[Any]:
        found: list[Any] = []
        await read_to_end(
            {"bootstrap_servers": self.settings.brokers}, self.settings.topic(suffix),
            range(partitions), lambda _partition, records: found.extend(records),
        )  # fmt: skip
        return found

    async def fault_record(self, key: str) -> dict[str, Any] | None:
        """The latest record of `cdp.faults` for an output or connection, None when it runs."""
        latest = None
        for record in await self.read("faults", 1):
            if record.key == key.encode():
                latest = None if record.value is None else json.loads(record.value)
        return latest

    async def state_is(self, key: str, state: str) -> bool:
        record = await self.fault_record(key)
        return record is not None and record["state"] == state

    async def lag(self, output: str = "out") -> int:
        """Records above the group's committed positions."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.brokers, enable_auto_commit=False,
            group_id=self.settings.sink_group_id(output),
        )  # fmt: skip
        await consumer.start()
        try:
            topic = self.settings.topic(f"output.{output}")
            tps = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            consumer.assign(tps)
            ends = await consumer.end_offsets(tps)
            return sum([ends[tp] - (await consumer.committed(tp) or 0) for tp in tps])
        finally:
            await consumer.stop()

    async def all_committed(self) -> bool:
        return await self.lag() == 0


@asynccontextmanager
async def running(
    broker: str, prefix: str, directory: Path, url: str, *, batch: int = 10, more: str = ""
) -> AsyncIterator[Running]:
    ran = Running(Settings(broker=broker, prefix=prefix), directory)
    ran.define(DEFINITIONS.replace("URL", url).replace("BATCH", str(batch)).replace(", MORE", more))
    await ran.create_topics()
    try:
        yield ran
    finally:
        for worker in ran.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()
