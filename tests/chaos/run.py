"""Runs a schedule on Apache Kafka and tells how what was published differs from `cdp replay`."""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from cdp_stream.brokers.apache import ApacheKafka, resolve_jars
from cdp_stream.errors import BrokerError
from cdp_stream.formats.definitions_record import DefinitionFile
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.definitions.topic import publish, read_applied
from cdp_stream.kafka.topics.ensure import ensure_definitions_topic
from cdp_stream.offline.generate import Shape, generate
from cdp_stream.settings import Settings
from tests.chaos.compare import differing_changes, differing_ends, differing_state, read_committed
from tests.chaos.damage import back_up, damage
from tests.chaos.schedule import ASSIGNED_MS, SESSION_S, SLICES, Schedule, Step
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.replays import EVERYTHING, FIRST, SECOND, THIRD, replayed
from tests.topologies.running import PARTITIONS, Running, Worker, running

_SETTLE_S = 120.0
_STOP_S = 20.0
_SWEEP_S = 20.0
_BROKER_S = 180.0
"""For so long it is waited for a broker that comes back; on a machine of its own it takes 5 s."""
TEXTS = (FIRST, SECOND, THIRD)
_POLL_S = 0.1
_BROKER_ERROR = 3
_ASSIGNED = '"fact": "partitions_assigned"'


@dataclass
class Outcome:
    """What became of a schedule.

    Attributes:
        seed: The schedule's.
        differences: What is wrong; empty when it has passed.
        remarks: What else was seen: damage done, workers that had to be started again.
        seconds: How long it took, without the comparison.
        changes: How many changes were expected.
    """

    seed: int
    differences: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    seconds: float = 0.0
    changes: int = 0

    def __str__(self) -> str:
        word = "FAILED" if self.differences else "passed"
        parts = [f"seed {self.seed} {word}: {self.changes} changes, {self.seconds:.0f} s"]
        return "; ".join(parts + self.differences + self.remarks)


@contextlib.contextmanager
def chaos_kafka() -> Iterator[ApacheKafka]:
    """A broker that lets a session end after few seconds."""
    settings = {"group.min.session.timeout.ms": "1000"}
    with ApacheKafka(resolve_jars(), settings=settings, is_brief=True) as kafka:
        yield kafka


async def run_schedule(schedule: Schedule, kafka: ApacheKafka, directory: Path) -> Outcome:
    """Run a schedule to its end, in a directory of its own, and compare."""
    settings = Settings(broker=kafka.bootstrap, prefix=f"chaos-{schedule.seed}", clock="stream")
    outcome = Outcome(schedule.seed)
    with running(settings, directory, kind=ChaosWorkers) as workers:
        run = ChaosRun(schedule, kafka, workers, outcome)
        started = time.monotonic()
        await workers.create_topics()
        try:
            await run.take_steps()
            await run.settle()
        except (ChaosFailedError, TimeoutError) as error:
            outcome.differences.append(str(error) or "it did not come to its end in time")
        outcome.seconds = time.monotonic() - started
        await run.compare()
        await _delete_topics(workers)
    return outcome


class ChaosFailedError(Exception):
    """A worker did what no worker may do."""


class ChaosWorkers(CdpRunning):
    """Workers at their places."""

    starts_the_command = True

    async def caught_up(self, total: int) -> bool:
        return await Running.caught_up(self, total)


class ChaosRun:
    """One run of a schedule."""

    def __init__(
        self, schedule: Schedule, kafka: ApacheKafka, workers: ChaosWorkers, outcome: Outcome
    ) -> None:
        self._schedule = schedule
        self._kafka = kafka
        self._workers = workers
        self._outcome = outcome
        # In time order: for late events the changes before the end may differ, as documented.
        shape = Shape(profiles=400, events=9_000, days=30, seed=schedule.seed, duplicates=0.03)
        lines = [line.rstrip(b"\n") for line in generate(shape)]
        size = len(lines) // SLICES + 1
        self._lines = lines
        self._slices = iter([lines[n * size : (n + 1) * size] for n in range(SLICES)])
        self._until = json.loads(lines[-1])["timestamp_unixtime_ms"] + 86_400_000
        self._total = 0
        self._applied = 0
        self._at: dict[int, Worker] = {}
        self._frozen_at: dict[int, tuple[float, float]] = {}

    async def take_steps(self) -> None:
        brokers = self._workers.settings.brokers
        async with AIOKafkaConsumer(bootstrap_servers=brokers) as ends:
            for step in self._schedule.steps:
                await self._wait(step, ends)
                await getattr(self, f"_{step.action}")(step)

    async def settle(self) -> None:
        """Let all that is published be worked off."""
        for place in list(self._frozen_at):
            await self._thaw(Step("thaw", place))
        if not self._at:
            self._start(0)
        self._total += await self._workers.publish([], self._until)
        async with asyncio.timeout(_SETTLE_S):
            while not await self._workers.caught_up(self._total):
                self._supervise()
                await asyncio.sleep(_POLL_S)

    async def compare(self) -> None:
        """Note every difference to `cdp replay`, over the whole stream."""
        last = self._schedule.last_applied
        definitions = EVERYTHING
        if last is not None:
            definitions = self._workers.directory / "last.yaml"
            definitions.write_text(TEXTS[last])
        expected = replayed(definitions, self._lines, self._until)
        settings, outcome = self._workers.settings, self._outcome
        outcome.changes = len(expected)
        logs = "".join(self._workers.log_of(worker) for worker in self._workers.workers)
        for fact in ("partition_lost", "local_rows_rebuilt"):
            if count := logs.count(f'"fact": "{fact}"'):
                outcome.remarks.append(f"{count} {fact}")
        if last is not None:
            outcome.differences += await self._differing_ends(expected)
            return
        changes = await read_committed(settings.brokers, settings.topic("memberships"))
        state = await read_committed(settings.brokers, settings.topic("membership-state"))
        outcome.differences += differing_changes([value or b"" for _, value in changes], expected)
        outcome.differences += differing_state(state, expected)

    async def _differing_ends(self, expected: list[bytes]) -> list[str]:
        """What differs once rows that nothing happens to are brought under the last definitions,
        which takes its time.
        """
        settings = self._workers.settings
        ends_at = time.monotonic() + _SWEEP_S
        while True:
            self._supervise()
            changes = await read_committed(settings.brokers, settings.topic("memberships"))
            state = await read_committed(settings.brokers, settings.topic("membership-state"))
            found = differing_ends([value or b"" for _, value in changes], state, expected)
            if not found or time.monotonic() > ends_at:
                return found
            await asyncio.sleep(1)

    async def _wait(self, step: Step, ends: AIOKafkaConsumer) -> None:
        """Until the step's moment has come; workers that have ended are started again meanwhile."""
        if step.at_work:
            await self._at_work(step.place)
        topic = self._workers.settings.topic("memberships")
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        goal = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(step.within_ms / 1000):
                while True:
                    self._supervise()
                    # A broker that is just back may not know everything at once.
                    with contextlib.suppress(KafkaError):
                        count = sum((await ends.end_offsets(partitions)).values())
                        goal = count + step.outputs if goal is None else goal
                        if count >= goal:
                            return
                    await asyncio.sleep(_POLL_S)

    async def _at_work(self, place: int) -> None:
        """Until the worker at a place has been given partitions, or for long enough."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ASSIGNED_MS / 1000):
                while _ASSIGNED not in self._workers.log_of(self._at[place]):
                    self._supervise()
                    await asyncio.sleep(_POLL_S)

    def _supervise(self) -> None:
        """Start workers again that have ended by themselves, as whoever runs workers does."""
        for place, worker in list(self._at.items()):
            code = worker.poll()
            if code is None:
                continue
            last = self._last_words(worker)
            if code != _BROKER_ERROR:
                raise ChaosFailedError(f"worker {place} ended by itself with {code}: {last}")
            self._outcome.remarks.append(f"worker {place} was started again: {last}")
            self._start(place)

    def _start(self, place: int) -> None:
        back_up(self._workers.directory / f"place-{place}")
        self._at[place] = self._workers.start_cdp(
            EVERYTHING if self._schedule.last_applied is None else None,
            data=f"place-{place}",
            CDP_STORE=self._schedule.stores[place],
            CDP_MEMORY="64",
            CDP_SESSION_TIMEOUT=str(SESSION_S),
            CDP_REBALANCE_TIMEOUT=str(SESSION_S),
        )

    def _last_words(self, worker: Worker) -> str:
        lines = self._workers.log_of(worker).strip().split("\n")
        return next((line for line in reversed(lines) if line[:1] != "{"), lines[-1])[:300]

    # -- the actions of a schedule ---------------------------------------------------------------

    async def _publish(self, _step: Step) -> None:
        self._total += await self._workers.publish(next(self._slices))

    async def _apply(self, step: Step) -> None:
        files = [DefinitionFile("definitions.yaml", TEXTS[step.detail])]
        settings = self._workers.settings
        async with asyncio.timeout(_SETTLE_S):
            while True:
                with contextlib.suppress(BrokerError, KafkaError):
                    await ensure_definitions_topic(settings)
                    applied = await read_applied(
                        client_settings(settings), settings.topic("definitions")
                    )
                    if len(applied) > self._applied:
                        break  # the answer to the last attempt was lost
                    await publish(settings, "mptravel", files, after=self._applied)
                    break
                await asyncio.sleep(_POLL_S)
        self._applied += 1

    async def _join(self, step: Step) -> None:
        self._start(step.place)

    async def _kill(self, step: Step) -> None:
        self._frozen_at.pop(step.place, None)
        worker = self._at.pop(step.place)
        worker.kill()
        await asyncio.to_thread(worker.wait)

    async def _terminate(self, step: Step) -> None:
        worker = self._at.pop(step.place)
        worker.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(worker.wait, _STOP_S)
        except subprocess.TimeoutExpired as error:
            raise ChaosFailedError(
                f"worker {step.place} does not end {_STOP_S:.0f} s after SIGTERM"
            ) from error
        if code == -signal.SIGTERM and "worker_starting" not in self._workers.log_of(worker):
            return  # Python was still importing: nobody listens to signals yet
        if code == _BROKER_ERROR:
            last = self._last_words(worker)
            self._outcome.remarks.append(f"worker {step.place} was told to end: {last}")
        elif code != 0:
            last = self._last_words(worker)
            raise ChaosFailedError(f"worker {step.place} ended with {code} on SIGTERM: {last}")

    async def _freeze(self, step: Step) -> None:
        self._at[step.place].send_signal(signal.SIGSTOP)
        self._frozen_at[step.place] = (time.monotonic(), step.detail / 1000)

    async def _thaw(self, step: Step) -> None:
        since, lasts = self._frozen_at.pop(step.place)
        await asyncio.sleep(max(0.0, since + lasts - time.monotonic()))
        self._at[step.place].send_signal(signal.SIGCONT)

    async def _damage(self, step: Step) -> None:
        what = damage(self._workers.directory / f"place-{step.place}", step.detail)
        self._outcome.remarks.append(f"data of {step.place}: {what}")

    async def _restart_broker(self, _step: Step) -> None:
        await asyncio.to_thread(self._kafka.restart, _BROKER_S)

    async def _kill_broker(self, _step: Step) -> None:
        await asyncio.to_thread(self._kafka.kill)
        await asyncio.to_thread(self._kafka.start, _BROKER_S)


async def _delete_topics(workers: ChaosWorkers) -> None:
    """Keep the shared broker small."""
    settings = workers.settings
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
    await admin.start()
    try:
        for worker in workers.workers:
            worker.kill()
            await asyncio.to_thread(worker.wait)
        names = await admin.list_topics()
        await admin.delete_topics([n for n in names if n.startswith(settings.prefix + ".")])
    finally:
        await admin.close()


def fresh(directory: Path) -> Path:
    """The directory, empty."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
