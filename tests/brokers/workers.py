"""A worker as an operator starts it, and what it wrote."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer

from tests.docs.console import ROOT

_READ_S = 120.0


@contextmanager
def running_worker(
    broker: str, prefix: str, definitions: Path, folder: Path, *flags: str
) -> Iterator[None]:
    """`cdp worker`, ended as by an operator; pytest shows its log when the test fails."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CDP_")}
    log = folder / "worker.log"
    with log.open("wb") as file:
        worker = subprocess.Popen(
            [sys.executable, "-m", "cdp_stream", "worker", "--definitions", str(definitions),
             "--broker", broker, "--prefix", prefix, "--data-dir", str(folder / "data"), *flags],
            env=environment | {"PYTHONPATH": str(ROOT)}, cwd=folder, stderr=file,
        )  # fmt: skip
    try:
        yield
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
        sys.stdout.write(log.read_text()[-4000:])


async def records_of(broker: str, topic: str, count: int) -> list[Any]:
    """The first records of a topic, so many, from all its partitions.

    Raises:
        TimeoutError: There are fewer.
    """
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=broker, auto_offset_reset="earliest", enable_auto_commit=False,
        isolation_level="read_committed",
    )  # fmt: skip
    async with asyncio.timeout(_READ_S), consumer:
        return [await consumer.getone() for _ in range(count)]
