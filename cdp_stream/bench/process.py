"""A `cdp worker` process to measure, on the reference definitions."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import httpx

from cdp_stream.bench import reference_load
from cdp_stream.brokers.subprocess import Child
from cdp_stream.errors import BrokerError
from cdp_stream.kafka.clients.probe import free_port
from cdp_stream.settings import Clock, Settings

_POLL_S = 0.5

Metrics = dict[str, float]
"""The metrics of the worker: values by name with labels."""


class WorkerProcess:
    """A running `cdp worker` and its metrics."""

    def __init__(self, child: Child, client: httpx.AsyncClient, url: str) -> None:
        self._child = child
        self._client = client
        self._url = url

    async def metrics(self) -> Metrics | None:
        """Its metrics now; None while it does not answer yet.

        Raises:
            BrokerError: it ended.
        """
        if not self._child.is_alive:
            raise BrokerError(
                f"the worker ended: {self._child.log_tail()}", "read its message, then run it again"
            )
        try:
            answer = await self._client.get(self._url)
        except httpx.TransportError:
            return None
        return _read(answer.text)

    async def until(
        self, done: Callable[[Metrics], bool], patience_s: float, poll_s: float = _POLL_S
    ) -> Metrics:
        """The first answer that will do.

        Raises:
            BrokerError: it ended, or there was none in time.
        """
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            metrics = await self.metrics()
            if metrics is not None and done(metrics):
                return metrics
            await asyncio.sleep(poll_s)
        raise BrokerError(
            f"the worker was not done within {patience_s:.0f} s", "measure with less to do"
        )


@asynccontextmanager
async def running_worker(
    settings: Settings,
    data: Path | None = None,
    *,
    definitions: str | None = None,
    clock: Clock = "stream",
    flags: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[WorkerProcess]:
    """A worker on these topics, stopped at the end.

    Args:
        settings: its broker, prefix, guarantee and store.
        data: its data directory; None is one that is removed at the end.
        definitions: their text; None is the reference load's.
        clock: by which time passes.
        flags: more of them.
        environment: more variables.
    """
    port = free_port()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cdp-bench-")))
        file = folder / "definitions.yaml"
        file.write_text(definitions or reference_load.definitions(), encoding="utf-8")
        command = [sys.executable, "-m", "cdp_stream", "worker", "--definitions", str(file), *flags]
        command += ["--broker", settings.broker, "--prefix", settings.prefix, "--clock", clock]
        command += ["--guarantee", settings.guarantee, "--store", settings.store]
        command += ["--data-dir", str(data or folder / "data"), "--metrics-port", str(port)]
        child = Child("the worker", command, log=folder / "worker.log")
        stack.enter_context(_running(child, environment or {}))
        # Compressed answers would cost the worker CPU that is not its own.
        plain = httpx.AsyncClient(headers={"Accept-Encoding": "identity"})
        client = await stack.enter_async_context(plain)
        yield WorkerProcess(child, client, f"http://127.0.0.1:{port}/metrics")


@contextmanager
def _running(child: Child, environment: Mapping[str, str]) -> Iterator[None]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("CDP_")}
    child.start({**own, **environment})
    try:
        yield
    finally:
        child.stop()


def _read(text: str) -> Metrics:
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}
