"""Worker processes, input and output of the tests that run the profiles topology on a broker."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from cdp_stream.kafka.changelog import read_to_end
from cdp_stream.kafka.topics import ensure_topics
from cdp_stream.settings import Settings
from tests.topologies.invariants import check_invariants

PARTITIONS = 4
AnyRunning = TypeVar("AnyRunning", bound="Running")


@dataclass
class Running:
    """One prefix on one broker, and the workers on it.

    Attributes:
        keeps_invariants: whether no test does away with what the invariants are about.
    """

    settings: Settings
    directory: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    partitions: int = PARTITIONS
    keeps_invariants: ClassVar[bool] = True

    def start_worker(self, **flags: object) -> subprocess.Popen[bytes]:
        number = len(self.workers)
        given = {
            "broker": self.settings.broker,
            "prefix": self.settings.prefix,
            "data_dir": self.directory / f"data-{number}",
            "clock": self.settings.clock,
            "session_timeout": 6,  # the least that Kafka allows
            "rebalance_timeout": 6,
            **flags,
        }
        if self.settings.guarantee != Settings().guarantee:
            given.setdefault("guarantee", self.settings.guarantee)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CDP_")}
        with (self.directory / f"worker-{number}.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.kafka.counting_worker",
                 *(f"{name}={value}" for name, value in given.items())],
                stderr=log, env=environment, cwd=Path(__file__).parents[2],
            )  # fmt: skip
        self.workers.append(worker)
        return worker

    def log_of(self, worker: subprocess.Popen[bytes]) -> str:
        number = self.workers.index(worker)
        return (self.directory / f"worker-{number}.log").read_text()

    async def create_topics(self) -> None:
        await ensure_topics(self.settings)

    async def produce(self, records: list[tuple[int, bytes | None, bytes]], **options: Any) -> None:
        """Append ``(partition, key, value)`` in order, with optional timestamp and headers."""
        producer = AIOKafkaProducer(bootstrap_servers=self.settings.brokers, linger_ms=5)
        await producer.start()
        try:
            sent = [
                await producer.send(
                    self.settings.topic("events"), value, key=key, partition=partition, **options
                )
                for partition, key, value in records
            ]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    async def read(self, suffix: str) -> dict[int, list[Any]]:
        """All records of a topic, by partition."""
        found: dict[int, list[Any]] = {number: [] for number in range(self.partitions)}
        await read_to_end(
            {"bootstrap_servers": self.settings.brokers},
            self.settings.topic(suffix),
            range(self.partitions),
            lambda partition, records: found[partition].extend(records),
        )
        return found

    async def read_committed(self, suffix: str) -> dict[int, list[Any]]:
        """What is committed of a topic now, by partition; what is still open is not waited for."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.brokers, enable_auto_commit=False,
            isolation_level="read_committed", auto_offset_reset="earliest",
        )  # fmt: skip
        await consumer.start()
        try:
            topic = self.settings.topic(suffix)
            tps = [TopicPartition(topic, number) for number in range(self.partitions)]
            consumer.assign(tps)
            ends = await consumer.end_offsets(tps)
            found: dict[int, list[Any]] = {number: [] for number in range(self.partitions)}
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for tp, records in (await consumer.getmany(timeout_ms=100)).items():
                    found[tp.partition].extend(records)
            return found
        finally:
            await consumer.stop()

    async def values(self, suffix: str = "memberships") -> Counter[tuple[bytes, bytes]]:
        """How often each ``(key, value)`` is in a topic."""
        read = await self.read(suffix)
        return Counter((r.key, r.value) for records in read.values() for r in records)

    async def committed(self) -> dict[int, int]:
        """The group's position in each partition of the input, without joining the group."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.brokers,
            group_id=self.settings.group_id,
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            events = self.settings.topic("events")
            tps = [TopicPartition(events, number) for number in range(self.partitions)]
            consumer.assign(tps)
            return {tp.partition: await consumer.committed(tp) or 0 for tp in tps}
        finally:
            await consumer.stop()

    async def move_position(self, partition: int, offset: int) -> None:
        """Set the group's position in a partition of the input, while nobody is in the group."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.brokers,
            group_id=self.settings.group_id,
            enable_auto_commit=False,
        )
        tp = TopicPartition(self.settings.topic("events"), partition)
        async with consumer:
            consumer.assign([tp])
            await consumer.commit({tp: offset})

    async def count(self, suffix: str, isolation: str = "read_uncommitted") -> int:
        """End offsets of a topic, as readers of this isolation see them, added up."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.brokers, isolation_level=isolation
        )
        await consumer.start()
        try:
            topic = self.settings.topic(suffix)
            tps = [TopicPartition(topic, number) for number in range(self.partitions)]
            return sum((await consumer.end_offsets(tps)).values())
        finally:
            await consumer.stop()

    async def caught_up(self, total: int) -> bool:
        return sum((await self.committed()).values()) >= total


async def eventually(condition: Callable[[], Awaitable[bool]], *, within: float = 120.0) -> None:
    """Ask until ``condition`` holds; fails after ``within`` seconds."""
    async with asyncio.timeout(within):
        while not await condition():  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(0.1)


async def ended(worker: subprocess.Popen[bytes], *, within: float = 30.0) -> int:
    """The exit code of a worker that is to end by itself."""
    return await asyncio.to_thread(worker.wait, within)


@contextmanager
def running(
    settings: Settings, directory: Path, kind: type[AnyRunning] = Running
) -> Iterator[AnyRunning]:
    """Ends the workers at the end, and looks that no invariant was broken; of a test that fails
    pytest shows what they logged last.
    """
    ran = kind(settings, directory)
    try:
        yield ran
    finally:
        for number, worker in enumerate(ran.workers):
            ended_with = worker.poll()
            if ended_with is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()
            sys.stdout.write(f"--- worker {number}, exit code {ended_with}:\n")
            sys.stdout.write(ran.log_of(worker)[-4000:])
    if ran.keeps_invariants:
        check_invariants(settings)
