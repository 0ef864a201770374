"""One process of sinks: by itself, or as the child of a worker that runs profiles.

A child serves its metrics on a loopback port, which it writes to standard output for its parent. It
ends as the parent does, however that ended: it has the reading end of a pipe whose other end dies
with the parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import uvloop

from cdp_stream.collector import calm_collector
from cdp_stream.core.model.connection import Connection
from cdp_stream.kafka.definitions.source import DefinitionsSource, started
from cdp_stream.kafka.faust_adapter.serve import explained
from cdp_stream.kafka.runtime.broker_contact import BrokerContact
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.observability.health import Health, serve
from cdp_stream.observability.log import log, set_up_logging
from cdp_stream.sinks.reporting.metrics import SinkMetrics
from cdp_stream.sinks.state.topics import state_topics
from cdp_stream.sinks.supervisor import SinkJob, Supervisor, cut_short

__all__ = ["run_sinks", "serve_sinks"]


def run_sinks(job: SinkJob, definitions: DefinitionsSource) -> int:
    """Run sinks until a signal or a failure ends them.

    Returns:
        0 after SIGTERM or SIGINT, or as the parent has ended.

    Raises:
        CdpError: What ended it, as one line with what to do next.
    """
    set_up_logging(job.settings.log_level, job.settings.log_format)
    calm_collector()
    return uvloop.run(_run(job, definitions))


async def _run(job: SinkJob, definitions: DefinitionsSource) -> int:
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


async def serve_sinks(job: SinkJob, definitions: DefinitionsSource, stopping: asyncio.Event) -> int:
    """Run sinks on the running loop, until `stopping` is set.

    Raises:
        CdpError: What ended them.
    """
    metrics = SinkMetrics(of_process=not job.is_child)
    # In a list: health and contact read it before there is a supervisor.
    found: list[Supervisor] = []
    contact = BrokerContact(
        lambda: [app for one in found for app in one.apps], logs=not job.is_child
    )
    health = Health(lambda: bool(found) and found[0].ready, broker_lost=lambda: contact.is_lost)
    _serve(job, metrics, health, lambda: {"outputs": [o for one in found for o in one.report()]})
    beat = asyncio.create_task(health.beat())
    watch = asyncio.create_task(contact.watch())
    changed = asyncio.Event()
    failure: BaseException | None = None
    ended = True
    try:
        if not await started(definitions, changed.set, stopping):
            return 0
        account = definitions.latest.account
        outputs = job.wanted(account, at_start=True)
        await ensure_topics(job.settings, sinks=True)
        async with state_topics(job.settings) as (faults, state, producer):
            earlier = partial(_earlier_connections, definitions)
            supervisor = Supervisor(job, faults, state, producer, metrics, earlier)
            found.append(supervisor)
            log("sinks_starting", outputs=[output.id for output in outputs],
                version=version("cdp-stream"))  # fmt: skip
            try:
                await supervisor.apply(outputs, account.connections)
                await _follow(job, definitions, supervisor, changed, stopping)
                failure = None if stopping.is_set() else supervisor.failure
            except Exception as error:  # noqa: BLE001 - logged once, as the process ends
                failure = error
            watch.cancel()
            health.stopping()
            ended = await supervisor.stop()
            log("sinks_stopped", reason="signal" if failure is None else "failure")
    finally:
        watch.cancel()
        beat.cancel()
        await definitions.stop()
    if failure is not None:
        raise explained(failure)
    if not ended:
        raise cut_short()
    return 0


def _earlier_connections(definitions: DefinitionsSource) -> list[Sequence[Connection]]:
    """The connections of all versions before the latest."""
    accounts = definitions.between("0", definitions.latest.version)
    return [account.connections for account in accounts]


async def _follow(
    job: SinkJob,
    definitions: DefinitionsSource,
    supervisor: Supervisor,
    changed: asyncio.Event,
    stopping: asyncio.Event,
) -> None:
    """Run what is defined next, until `stopping` is set or a sink fails."""
    ends, applies = (stopping, supervisor.failed), (changed, supervisor.resumed)
    while not any(event.is_set() for event in ends):
        waits = {asyncio.ensure_future(event.wait()) for event in (*ends, *applies)}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        if any(event.is_set() for event in applies) and not any(event.is_set() for event in ends):
            for event in applies:
                event.clear()
            account = definitions.latest.account
            await supervisor.apply(job.wanted(account), account.connections)


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
