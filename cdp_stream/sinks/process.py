"""One process of sinks: by itself, or as the child of a worker that runs profiles.

A child serves its metrics on a loopback port that it tells its parent, and ends as the parent does,
however that ended: it holds the reading end of a pipe whose other end dies with the parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any, Protocol

import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from cdp_stream.collector import calm_collector
from cdp_stream.connectors.registry import connector_class
from cdp_stream.core.connection import Connection, Output
from cdp_stream.core.definition import Account
from cdp_stream.errors import BrokerError
from cdp_stream.kafka.connection import client_settings
from cdp_stream.kafka.contact import BrokerContact
from cdp_stream.kafka.delivery import MAX_BATCH_BYTES, MOST_DELIVERING
from cdp_stream.kafka.health import Health, serve
from cdp_stream.kafka.log import log, set_up_logging
from cdp_stream.kafka.topics import ensure_output_topics, ensure_topics
from cdp_stream.settings import Settings
from cdp_stream.sinks.environment import Secrets
from cdp_stream.sinks.memory import Memory
from cdp_stream.sinks.metrics import SinkMetrics
from cdp_stream.sinks.outputs import selected
from cdp_stream.sinks.readying import Readying
from cdp_stream.sinks.running import CreateSink, Sinks, Surroundings, cut_short
from cdp_stream.sinks.standing import Standings
from cdp_stream.sinks.state_records import fault_problem, memory_problem
from cdp_stream.sinks.state_topic import StateTopic

__all__ = ["Definitions", "SinkJob", "run_sinks", "serve_sinks", "state_topics"]


class HasAccount(Protocol):
    """One version of the definitions."""

    @property
    def version(self) -> str:
        """Its name."""
        ...

    @property
    def account(self) -> Account:
        """What they define."""
        ...


class Definitions(Protocol):
    """Where a process finds what is defined now."""

    @property
    def latest(self) -> HasAccount:
        """The newest that can be used; only after `start`."""
        ...

    def between(self, version: str | None, later: str) -> Iterable[Account]:
        """What the versions between two defined, as far as they are to be had; in a thread."""
        ...

    async def start(self, changed: Callable[[], None]) -> None:
        """Return as soon as there is a `latest`; `changed` is called for each later one."""
        ...

    async def stop(self) -> None:
        """Follow no more."""
        ...


@dataclass(frozen=True, slots=True)
class SinkJob:
    """What one process is to do.

    Attributes:
        secrets: fill in `${NAME}`.
        only: ids of the outputs to run; empty is all.
        find: a connector's class by its name.
        is_child: whether a parent waits for the port of its metrics on standard output, and ends
            standard input as it ends.
        may_lack: whether ids in `only` may be unknown at its start too: it is started again, and
            they may have been removed meanwhile.
    """

    settings: Settings
    create_sink: CreateSink
    secrets: Secrets
    only: Sequence[str] = ()
    find: Callable[[str], type[Any]] = connector_class
    is_child: bool = False
    may_lack: bool = False

    def wanted(self, account: Account, *, at_start: bool = False) -> list[Output]:
        """The outputs to run, of those that are defined.

        Raises:
            UsageError: As the process starts: one is named that is not defined.
        """
        known = {output.id for output in account.outputs}
        unknown = [output for output in self.only if output not in known]
        if not unknown or (at_start and not self.may_lack):
            return selected(account.outputs, self.only)
        log("outputs_not_defined", level=logging.WARNING, outputs=unknown,
            next="nothing: they run as soon as they are defined; "
            "if they are not to, take them out of --output")  # fmt: skip
        return [output for output in account.outputs if output.id in self.only]


def run_sinks(job: SinkJob, definitions: Definitions) -> int:
    """Run sinks until a signal or a failure ends them.

    Returns:
        0 after SIGTERM or SIGINT, or as the parent has ended.

    Raises:
        CdpError: What ended it, as one line that says what to do next.
    """
    set_up_logging(job.settings.log_level, job.settings.log_format)
    calm_collector()
    return uvloop.run(_run(job, definitions))


async def _run(job: SinkJob, definitions: Definitions) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    watch = await _end_with_parent(stopping) if job.is_child else None
    try:
        return await serve_sinks(job, definitions, stopping)
    finally:
        if watch is not None:
            watch.cancel()


async def serve_sinks(job: SinkJob, definitions: Definitions, stopping: asyncio.Event) -> int:
    """Run sinks on the running loop, until told to stop.

    Raises:
        CdpError: What ended them.
    """
    metrics = SinkMetrics(of_process=not job.is_child)
    # In a list, for it is asked before there are any.
    sinks: list[Sinks] = []
    told: list[Callable[[], list[dict[str, Any]]]] = []
    contact = BrokerContact(
        lambda: [app for one in sinks for app in one.apps], tells=not job.is_child
    )
    health = Health(lambda: bool(sinks) and sinks[0].ready, broker_lost=lambda: contact.is_lost)
    _serve(job, metrics, health, lambda: {"outputs": [one for report in told for one in report()]})
    beat = asyncio.create_task(health.beat())
    watch = asyncio.create_task(contact.watch())
    changed = asyncio.Event()
    failure: BaseException | None = None
    ended = True
    try:
        if not await _have(definitions, changed, stopping):
            return 0
        account = definitions.latest.account
        outputs = job.wanted(account, at_start=True)
        await ensure_topics(job.settings, sinks=True)
        async with state_topics(job.settings) as (standings, memory, producer):
            around = Surroundings(
                job.settings, job.create_sink, job.secrets, standings, memory, producer, metrics,
                partial(_earlier_connections, definitions),
            )  # fmt: skip
            sinks.append(Sinks(around))
            make_topics = partial(ensure_output_topics, job.settings)
            readying = Readying(
                job.secrets, job.find, make_topics, standings, memory, metrics,
                job.settings.outputs_dir,
            )  # fmt: skip
            told += [sinks[0].report, readying.report]
            log("sinks_starting", outputs=[output.id for output in outputs],
                version=version("cdp-stream"))  # fmt: skip
            try:
                defined = None if job.only else [output.id for output in outputs]
                ready = await readying.ready(outputs)
                await sinks[0].apply(ready, account.connections, defined=defined)
                failure = await _follow(job, definitions, sinks[0], readying, changed, stopping)
            except Exception as error:  # noqa: BLE001 - told once, as the process ends
                failure = error
            watch.cancel()
            health.stopping()
            ended = await sinks[0].stop()
            log("sinks_stopped", reason="signal" if failure is None else "failure")
    finally:
        watch.cancel()
        beat.cancel()
        await definitions.stop()
    if failure is not None:
        raise _explained(failure)
    if not ended:
        raise cut_short()
    return 0


def _earlier_connections(definitions: Definitions) -> list[Sequence[Connection]]:
    """Those of all versions before the latest."""
    accounts = definitions.between("0", definitions.latest.version)
    return [account.connections for account in accounts]


async def _have(definitions: Definitions, changed: asyncio.Event, stopping: asyncio.Event) -> bool:
    """Wait until there are definitions; whether there are, and not the end before."""
    started = asyncio.ensure_future(definitions.start(changed.set))
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            started.result()
            return True
        return False
    finally:
        for task in (started, stopped):
            task.cancel()


@asynccontextmanager
async def state_topics(
    settings: Settings,
) -> AsyncIterator[tuple[Standings, Memory, AIOKafkaProducer]]:
    """What all sinks know, read and followed: standings, memory, and the producer to write them."""
    client = client_settings(settings)
    async with AsyncExitStack() as stack:
        producer = AIOKafkaProducer(
            **client, acks="all", max_batch_size=MAX_BATCH_BYTES, linger_ms=0,
            max_request_size=MOST_DELIVERING,  # whether a record is too large its topic decides
        )  # fmt: skip
        await producer.start()
        stack.push_async_callback(producer.stop)
        topics = []
        for suffix, check in (("faults", fault_problem), ("sink-state", memory_problem)):
            topic = StateTopic(client, settings.topic(suffix), producer, check=check)
            stack.push_async_callback(topic.stop)
            await topic.start()
            topics.append(topic)
        yield Standings(topics[0]), Memory(topics[1]), producer


async def _follow(
    job: SinkJob,
    definitions: Definitions,
    sinks: Sinks,
    readying: Readying,
    changed: asyncio.Event,
    stopping: asyncio.Event,
) -> BaseException | None:
    """Run whatever is defined next, until told to stop; returns what failed."""
    while not (stopping.is_set() or sinks.failed.is_set()):
        events = (stopping, sinks.failed, changed, readying.resumed)
        waits = {asyncio.ensure_future(event.wait()) for event in events}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        if stopping.is_set() or sinks.failed.is_set():
            break
        if changed.is_set() or readying.resumed.is_set():
            changed.clear()
            readying.resumed.clear()
            account = definitions.latest.account
            outputs = job.wanted(account)
            ready = await readying.ready(outputs)
            defined = None if job.only else [output.id for output in outputs]
            await sinks.apply(ready, account.connections, defined=defined)
    return None if stopping.is_set() else sinks.failure


def _serve(
    job: SinkJob, metrics: SinkMetrics, health: Health, report: Callable[[], Mapping[str, Any]]
) -> None:
    reports = {"/outputs": report}
    if job.is_child:
        server = serve("127.0.0.1", 0, metrics.registry, health, reports)
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
    elif job.settings.metrics_port is not None:
        host, port = job.settings.metrics_host, job.settings.metrics_port
        serve(host, port, metrics.registry, health, reports)


async def _end_with_parent(stopping: asyncio.Event) -> asyncio.Task[None]:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb", closefd=False)
    )

    async def watch() -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        stopping.set()

    return asyncio.create_task(watch())


def _explained(error: BaseException) -> BaseException:
    if isinstance(error, KafkaError):
        return BrokerError(
            f"Kafka: {str(error) or type(error).__name__}",
            "nothing is lost: check the broker, then start the worker again",
        )
    return error
