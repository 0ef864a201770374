"""The demo's run: a broker, a worker, the stream at its pace, and the check at the end.

Nothing is waited for by sleeping: the worker is ready when its first change can be read, it is done
when it has committed the time marker of every partition, and a topic has been read when the broker
reports that nothing lies beyond. Whatever ends the run, the worker is stopped before the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from cdp_stream.brokers.embedded import EmbeddedBroker
from cdp_stream.brokers.subprocess import Child
from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_files
from cdp_stream.demo.check import Found, Verdict, compare, replayed
from cdp_stream.demo.purchases import Purchase, encode_batch, example_file, read_purchases
from cdp_stream.demo.screen import Screen
from cdp_stream.demo.tally import Tally, empty_tally
from cdp_stream.errors import BrokerError, InputError
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.kafka.produce import Publisher, publisher
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.settings import Settings

__all__ = ["run_demo"]

_STEP_S: Final = 0.05
_REFRESH_S: Final = 0.25
_POLL_S: Final = 0.1
_NO_PROGRESS_S: Final = 60.0
_WORKER_ENVIRONMENT: Final = {
    # The embedded broker waits half of this at every join.
    "CDP_SESSION_TIMEOUT": "6",
    "CDP_LOG_LEVEL": "warning",
    "CDP_GUARANTEE": "at-least-once",  # it has no transactions
}


def run_demo(seconds: float, screen: Screen) -> Verdict:
    """Run the demo.

    Args:
        seconds: How long the eighteen months take; 0 publishes as fast as the broker accepts them.
        screen: Where to show it.

    Raises:
        InputError: The files of examples/cdnow are missing or wrong.
        BrokerError: The broker or the worker failed.
    """
    definitions = example_file("definitions.yaml")
    loaded = load_files([definitions])
    if loaded.account is None:
        raise InputError(str(loaded.errors[0]), f"see `cdp check {definitions}`")
    purchases = read_purchases(example_file("cdnow_sample.txt"))
    tally = empty_tally(loaded.account, len(purchases))
    with tempfile.TemporaryDirectory(prefix="cdp-demo-") as folder, EmbeddedBroker() as broker:
        screen.report(f"embedded broker on {broker.bootstrap}")
        settings = Settings(broker=broker.bootstrap, data_dir=Path(folder), clock="stream")
        found = asyncio.run(
            _stream(settings, definitions, purchases, seconds=seconds, tally=tally, screen=screen)
        )
    screen.report("replaying the same purchases without Kafka, to compare")
    return compare(found, replayed(build_plan(loaded.account), map(encode_batch, purchases)))


async def _stream(
    settings: Settings,
    definitions: Path,
    purchases: Sequence[Purchase],
    *,
    seconds: float,
    tally: Tally,
    screen: Screen,
) -> Found:
    """Publish everything, show it, and return what the topics hold after that."""
    async with publisher(settings) as to, _reader(settings, to.partitions) as reader:
        with _worker(settings, definitions) as worker:
            screen.report(
                "worker: cdp worker --clock stream --definitions examples/cdnow/definitions.yaml; "
                "its partitions are assigned in a few seconds"
            )
            at_work = asyncio.Event()
            tasks = [
                asyncio.create_task(_count(reader, tally, at_work)),
                asyncio.create_task(_show(tally, screen)),
                asyncio.create_task(_watch(worker)),
            ]
            try:
                stream = Stream(to, purchases, seconds, tally)
                tasks.append(asyncio.create_task(_publish(stream, settings, at_work)))
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    if task.done():
                        task.result()  # the work is done, or one of the others failed
                found = await _topics(settings, to.partitions)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            _settle(tally, found)
            screen.show(tally)
        return found


def _settle(tally: Tally, found: Found) -> None:
    """The last picture: counted from the topics as they were read in the end."""
    for count in tally.counts.values():
        count.adds = count.deletes = 0
    tally.changes = 0
    for messages in found.memberships.values():
        tally.add(dict.fromkeys(messages))
    tally.finished = True


# -- the stream ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stream:
    """What is published, where to, and in how many seconds."""

    to: Publisher
    purchases: Sequence[Purchase]
    seconds: float
    tally: Tally

    async def send_up_to(self, end: int) -> None:
        """Publish the purchases below this number that are not yet published."""
        batch = self.purchases[self.tally.published : end]
        records = [(b"%d" % purchase.mpid, encode_batch(purchase)) for purchase in batch]
        await asyncio.gather(*await self.to.send(records))
        self.tally.published = end

    async def pace(self) -> None:
        """Publish all that is left, each purchase at its share of the time."""
        first, last = self.purchases[0].occurred_at, self.purchases[-1].occurred_at
        loop = asyncio.get_running_loop()
        started = loop.time()
        while self.tally.published < len(self.purchases):
            share = min(1.0, (loop.time() - started) / self.seconds) if self.seconds else 1.0
            self.tally.stream_time = first + int((last - first) * share)
            at = self.tally.stream_time
            await self.send_up_to(bisect_right(self.purchases, at, key=attrgetter("occurred_at")))
            await asyncio.sleep(_STEP_S)


async def _publish(stream: Stream, settings: Settings, at_work: asyncio.Event) -> None:
    """Publish at the stream's pace, mark the time at the end, and wait until all is applied."""
    stream.tally.stream_time = stream.purchases[0].occurred_at
    await stream.send_up_to(1)  # its change shows that the worker runs
    async with _patience("the worker did not answer to the first purchase"):
        await at_work.wait()
    await stream.pace()
    markers = await stream.to.mark_time(stream.purchases[-1].occurred_at)
    await _all_applied(settings, {number: offset + 1 for number, offset in markers.items()})


def _record(purchase: Purchase) -> tuple[bytes, bytes]:
    return b"%d" % purchase.mpid, encode_batch(purchase)


async def _all_applied(settings: Settings, ends: dict[int, int]) -> None:
    """Wait until the worker has committed up to these offsets, per partition.

    It commits what it has delivered, and a time marker when every due instant up to it has fired.
    """
    topic = settings.topic("events")
    consumer = AIOKafkaConsumer(
        **client_settings(settings), group_id=settings.group_id, enable_auto_commit=False
    )
    await consumer.start()
    try:
        waiting = {TopicPartition(topic, number): end for number, end in ends.items()}
        async with _patience("the worker did not reach the end of the stream") as deadline:
            loop = asyncio.get_running_loop()
            seen: dict[TopicPartition, int] = {}
            while waiting:
                positions = {tp: await consumer.committed(tp) or 0 for tp in waiting}
                if positions != seen:
                    seen = positions
                    deadline.reschedule(loop.time() + _NO_PROGRESS_S)
                waiting = {tp: end for tp, end in waiting.items() if positions[tp] < end}
                await asyncio.sleep(_POLL_S)
    finally:
        await consumer.stop()


@asynccontextmanager
async def _patience(failure: str) -> AsyncIterator[asyncio.Timeout]:
    try:
        async with asyncio.timeout(_NO_PROGRESS_S) as deadline:
            yield deadline
    except TimeoutError as error:
        raise BrokerError(
            f"{failure} within {_NO_PROGRESS_S:.0f} s", "see how busy the machine is, and try again"
        ) from error


# -- what comes out --------------------------------------------------------------------------------


async def _topics(settings: Settings, partitions: int) -> Found:
    """Everything in the output topics, read from their beginning to their end."""
    client, found, numbers = client_settings(settings), Found(), range(partitions)
    rejected: list[Any] = []
    await read_to_end(
        client,
        settings.topic("memberships"),
        numbers,
        lambda _, records: found.take_changes((r.key, r.value) for r in records),
    )
    await read_to_end(
        client,
        settings.topic("membership-state"),
        numbers,
        lambda _, records: found.take_state((r.key, r.value) for r in records),
    )
    await read_to_end(
        client, settings.topic("rejected"), numbers, lambda _, records: rejected.extend(records)
    )
    return Found(found.memberships, found.state, len(rejected))


@asynccontextmanager
async def _reader(settings: Settings, partitions: int) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that follows ``cdp.memberships`` from its beginning."""
    consumer = AIOKafkaConsumer(
        **client_settings(settings), auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        topic = settings.topic("memberships")
        consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
        yield consumer
    finally:
        await consumer.stop()


async def _count(reader: AIOKafkaConsumer, tally: Tally, at_work: asyncio.Event) -> None:
    while True:
        for records in (await reader.getmany(timeout_ms=int(_REFRESH_S * 1000))).values():
            tally.add(record.value for record in records)
            at_work.set()
            await asyncio.sleep(0)


async def _show(tally: Tally, screen: Screen) -> None:
    while True:
        if tally.published:
            screen.show(tally)
        await asyncio.sleep(_REFRESH_S)


# -- the worker ------------------------------------------------------------------------------------


@contextmanager
def _worker(settings: Settings, definitions: Path) -> Iterator[Child]:
    """A worker process like any other, its log kept for when it fails."""
    command = [
        *(sys.executable, "-m", "cdp_stream", "worker"),
        *("--definitions", str(definitions)),
        *("--broker", settings.broker),
        *("--data-dir", str(settings.data_dir / "worker")),
        *("--clock", "stream"),
    ]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("CDP_")}
    worker = Child("the worker", command, log=settings.data_dir / "worker.log")
    worker.start(environment | _WORKER_ENVIRONMENT)
    try:
        yield worker
    finally:
        with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C: it is being stopped
            worker.stop()


async def _watch(worker: Child) -> None:
    """Fail as soon as the worker has ended."""
    while worker.is_alive:  # noqa: ASYNC110 - a process that ends sets no event
        await asyncio.sleep(_POLL_S)
    raise BrokerError(
        f"the worker ended by itself (its log ends: {worker.log_tail() or 'empty'})",
        "correct the problem that it reports, and run the demo again",
    )
