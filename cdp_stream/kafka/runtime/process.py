"""One worker process: it starts, serves and stops; what ends it, and with which exit code.

SIGTERM and SIGINT drain (finish the slice, deliver, commit, leave the group) within 10 s. Whatever
else ends the worker exits non-zero.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Protocol

import uvloop
from prometheus_client.registry import Collector

from cdp_stream.collector import calm_collector
from cdp_stream.errors import BrokerError, CdpError
from cdp_stream.kafka.commit.guarantee import settle_guarantee
from cdp_stream.kafka.definitions.source import DefinitionsSource, started
from cdp_stream.kafka.faust_adapter.app import ChunkApp
from cdp_stream.kafka.faust_adapter.serve import DRAIN_S, serve_app, stop_app
from cdp_stream.kafka.runtime.broker_contact import BrokerContact
from cdp_stream.kafka.topics.ensure import ensure_topics, warn_of_future_records
from cdp_stream.observability.health import Health, serve
from cdp_stream.observability.log import log, set_up_logging
from cdp_stream.observability.metrics import Metrics
from cdp_stream.settings import Settings
from cdp_stream.store.data_directory import hold_data_directory

__all__ = ["Companion", "run_worker"]

CreateApp = Callable[[Settings, int, Metrics], ChunkApp]


class Companion(Protocol):
    """A process that runs beside a worker."""

    @property
    def metrics(self) -> Collector:
        """Metrics of its own."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether it runs now; called from another thread."""
        ...

    def report(self) -> Mapping[str, Any]:
        """The state of what it runs; called from another thread."""
        ...

    async def run(self) -> BaseException:
        """Keep it running; returns the error that the worker has to end with."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...


def run_worker(
    settings: Settings,
    create_app: CreateApp,
    *,
    companion: Companion | None = None,
    may_fall_back: bool = False,
    definitions: DefinitionsSource | None = None,
) -> int:
    """Run a worker until a signal or a failure ends it.

    Args:
        settings: The worker's settings.
        create_app: Creates the Faust app from the settings in force, the input's number of
            partitions and the metrics; called on the running loop once the topics exist.
        companion: Runs beside it, and ends with it.
        may_fall_back: Whether at-least-once is acceptable on a broker without transactions.
        definitions: Their source; the app is created as soon as it has some. ``None``: the app
            needs none.

    Returns:
        0 after SIGTERM or SIGINT; otherwise never.

    Raises:
        CdpError: What ended the worker, in one line with the next step.
    """
    set_up_logging(settings.log_level, settings.log_format)
    calm_collector()
    with contextlib.ExitStack() as stack:
        if settings.store == "rocksdb":
            stack.enter_context(hold_data_directory(settings.data_dir))
        return uvloop.run(
            _run(settings, create_app, definitions, companion, may_fall_back=may_fall_back)
        )


async def _run(
    settings: Settings,
    create_app: CreateApp,
    definitions: DefinitionsSource | None,
    companion: Companion | None,
    *,
    may_fall_back: bool,
) -> int:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    partitions = await ensure_topics(settings)
    await warn_of_future_records(settings)
    settings = await settle_guarantee(settings, may_fall_back=may_fall_back)
    # A list, as other threads ask before there is an app: a worker may wait for definitions.
    apps: list[ChunkApp] = []
    metrics = Metrics()
    contact = BrokerContact(lambda: apps)
    health = Health(
        lambda: bool(apps) and apps[0].assignment.ready,
        broker_lost=lambda: contact.is_lost,
        sinks=None if companion is None else lambda: companion.is_up,
    )
    metrics.describe_worker(
        version=version("cdp-stream"), guarantee=settings.guarantee, partitions=partitions,
        ready=lambda: health.is_ready,
    )  # fmt: skip
    _serve_metrics(settings, metrics, health, companion)

    def wake_up() -> None:
        for app in apps:
            app.assignment.wake_up()

    beat = asyncio.create_task(health.beat())
    watch = asyncio.create_task(contact.watch())
    try:
        if definitions is not None and not await started(definitions, wake_up, stopping):
            await definitions.stop()
            return 0
        apps.append(create_app(settings, partitions, metrics))
        log("worker_starting", group=settings.group_id, partitions=partitions,
            guarantee=settings.guarantee)  # fmt: skip
        beside = None if companion is None else asyncio.create_task(companion.run())
        failure = await serve_app(apps[0], stopping, beside)
        watch.cancel()
        health.stopping()
        if beside is not None:
            beside.cancel()
        await _stop(apps[0], failure, definitions, companion)
        return 0
    finally:
        watch.cancel()
        beat.cancel()


async def _stop(
    app: ChunkApp,
    failure: BaseException | None,
    definitions: DefinitionsSource | None,
    companion: Companion | None,
) -> None:
    """Stop whatever runs, and raise what failed."""
    if definitions is not None:
        await definitions.stop()
    ended, *_ = await asyncio.gather(
        stop_app(app, commit=failure is None), *([] if companion is None else [companion.stop()])
    )
    log("worker_stopped", reason="signal" if failure is None else "failure")
    if not ended:
        # A broker that does not answer any more keeps clients, and so the process, waiting.
        _exit_at_once(failure or _cut_short())
    if failure is not None:
        raise failure


def _serve_metrics(
    settings: Settings, metrics: Metrics, health: Health, companion: Companion | None
) -> None:
    reports: dict[str, Callable[[], Mapping[str, Any]]] = {"/backfill": metrics.backfill.as_json}
    if companion is not None:
        metrics.registry.register(companion.metrics)
        reports["/outputs"] = companion.report
    if settings.metrics_port is not None:
        serve(settings.metrics_host, settings.metrics_port, metrics.registry, health, reports)


def _cut_short() -> BrokerError:
    return BrokerError(
        f"the worker had to stop, and Kafka did not answer within {DRAIN_S:.0f} s",
        "nothing is lost: the next worker repeats what was not committed",
    )


def _exit_at_once(error: BaseException) -> None:
    """End the process even if threads are blocked, which would keep it alive."""
    sys.stderr.write(f"{str(error) or type(error).__name__}\n")
    sys.stderr.flush()
    os._exit(error.exit_code if isinstance(error, CdpError) else 3)
