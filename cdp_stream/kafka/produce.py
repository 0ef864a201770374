"""Publishing event batches: keyed and placed as every producer of ``cdp.events`` must.

Values go out unchanged, blank lines apart. The key is the batch's ``mpid`` in decimal, and the key
decides the partition as Kafka's default partitioner (murmur2) does, so a profile's batches stay in
their order. A line without a readable ``mpid`` is published with no key: the worker rejects it,
with the reason, and nothing is lost in silence.

Source: docs/events.md, record; docs/semantics.md, instants (time markers).
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidTimestampError, KafkaError

from cdp_stream.core.model.definition import Input
from cdp_stream.errors import BrokerError
from cdp_stream.formats.envelope import ERASE, mpid_of, read_json
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.formats.limits import CLOCK_SKEW_MS
from cdp_stream.kafka.aiokafka_patches.transactional_producer import count_as_kafka_does
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.commit.record_writer import MAX_BATCH_BYTES, send_records
from cdp_stream.kafka.topics.catalog import MOST_AHEAD
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.partition.placement import hash_of
from cdp_stream.settings import Settings
from cdp_stream.wall_clock import wall_ms

__all__ = ["LONGEST_VALUE", "Published", "Publisher", "Routing", "publish_lines", "publisher"]

LONGEST_VALUE: Final = 1_000_000
"""Bytes of a line; a longer one would exceed what brokers accept in a record (1,048,588)."""

_SLICE = 2_000
_SLICES_IN_FLIGHT = 4
_SLICES_PER_SECOND = 20
_KEYS_KEPT = 500_000
_ANY_INPUT: Final = {"any": Input("any", "any")}

Keyed = tuple[bytes | None, bytes]
"""Key and value of a record."""


@dataclass(slots=True)
class Published:
    """What became of the lines of a file.

    Attributes:
        records: Published, those without a key included.
        keyless: Published without a key, as no ``mpid`` could be read; the worker rejects them.
        after_until: Not published, as they arrive after ``--until``.
        too_long: Numbers (from 1) of the lines too long for a record; not published.
        greatest_arrival: Of the batches published, as in a replay, epoch ms; None when not asked
            for, or when there was none.
        marker: The time written to every partition at the end, epoch ms; None when none was.
    """

    records: int = 0
    keyless: int = 0
    after_until: int = 0
    too_long: list[int] = field(default_factory=list)
    greatest_arrival: int | None = None
    marker: int | None = None


class Routing:
    """Finds the key and the partition of a record."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._known: dict[bytes, int] = {}
        self._next = 0

    def partition_of(self, key: bytes | None) -> int:
        """The partition of a key, by Kafka's default partitioner; round robin without a key."""
        if key is None:
            self._next += 1
            return self._next % self._partitions
        partition = self._known.get(key)
        if partition is None:
            if len(self._known) >= _KEYS_KEPT:
                self._known.clear()
            partition = self._known[key] = hash_of(key) % self._partitions
        return partition

    @staticmethod
    def key_of(value: bytes) -> bytes | None:
        """The key of a batch: its ``mpid`` in decimal; None where none can be read."""
        try:
            batch = read_json(value)
        except ValueError:
            return None
        mpid = mpid_of(batch.get("mpid")) if type(batch) is dict else None
        return None if mpid is None else b"%d" % mpid


class Publisher:
    """Sends records to the input topic, in order within each partition.

    Args:
        producer: A running producer, with ``MAX_BATCH_BYTES`` to a batch.
        topic: The input topic.
        partitions: How many partitions it has.
        input_id: The value of the header ``input``; None sends none.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        partitions: int,
        input_id: str | None = None,
    ) -> None:
        self.partitions = partitions
        self._producer = producer
        self._topic = topic
        self._routing = Routing(partitions)
        self._headers = [] if input_id is None else [("input", input_id.encode())]

    async def send(self, records: Iterable[Keyed]) -> list[asyncio.Future[Any]]:
        """Enqueue records; each future resolves when a batch of them has been delivered.

        One call at a time: the records of two calls to a partition would mix.
        """
        by_partition: dict[int, list[tuple[bytes | None, bytes, Any]]] = {}
        headers, place = self._headers, self._routing.partition_of
        for key, value in records:
            by_partition.setdefault(place(key), []).append((key, value, headers))
        batches = await asyncio.gather(
            *(self._enqueue(number, items) for number, items in by_partition.items())
        )
        return [future for futures in batches for future in futures]

    async def mark_time(self, at: int) -> dict[int, int]:
        """Write a time marker to every partition, and wait until all are delivered.

        A worker checks a marker against its record's timestamp, so a marker in the future has a
        timestamp in the future.

        Args:
            at: The instant, epoch ms.

        Returns:
            The marker's offset by partition.
        """
        marker = (None, b"", [("time", b"%d" % at)])
        offsets = {}
        for number in range(self.partitions):
            (future,) = await send_records(
                self._producer, self._topic, number, [marker], timestamp=max(at, wall_ms())
            )
            offsets[number] = (await future).offset
        return offsets

    async def erase(self, mpids: Iterable[int]) -> int:
        """Ask for the erasure of profiles, and wait until all requests are delivered.

        Returns:
            How many were asked for; one that is named twice counts once.
        """
        asked = dict.fromkeys(mpids)
        waits: list[asyncio.Future[Any]] = []
        for mpid in asked:
            key = b"%d" % mpid
            place = self._routing.partition_of(key)
            waits += await self._enqueue(place, [(key, b"", [(ERASE, b"")])])
        await asyncio.gather(*waits)
        return len(asked)

    async def _enqueue(self, partition: int, items: Sequence[Any]) -> list[asyncio.Future[Any]]:
        return await send_records(self._producer, self._topic, partition, items)


@asynccontextmanager
async def publisher(
    settings: Settings, input_id: str | None = None, *, make_topics: bool = True
) -> AsyncIterator[Publisher]:
    """A publisher to ``<prefix>.events``.

    Args:
        settings: Which broker, which prefix.
        input_id: The value of the header ``input``; None sends none.
        make_topics: Whether missing topics are created, as a worker creates them.

    Raises:
        BrokerError: The broker cannot be reached, refuses a record, or has topics that do not fit,
            or none if none is created.
    """
    partitions = await ensure_topics(settings, make=make_topics)
    producer = await _started_producer(settings)
    try:
        yield Publisher(producer, settings.topic("events"), partitions, input_id)
    except KafkaError as error:
        raise _refused(settings, error) from error
    finally:
        await producer.stop()


async def _started_producer(settings: Settings) -> AIOKafkaProducer:
    """A producer whose retries publish nothing twice, if the broker supports that."""
    for idempotent in (True, False):
        producer = AIOKafkaProducer(
            **client_settings(settings),
            acks="all",
            max_batch_size=MAX_BATCH_BYTES,
            enable_idempotence=idempotent,
        )
        if idempotent:
            count_as_kafka_does(producer)
        try:
            with _quiet_aiokafka():
                await producer.start()
        except KafkaError as error:
            await producer.stop()
            if not idempotent:
                raise _refused(settings, error) from error
        else:
            return producer
    raise AssertionError("the loop either returns or raises")


@contextmanager
def _quiet_aiokafka() -> Iterator[None]:
    """Silence aiokafka, which logs as errors what it also raises, and what was only an attempt."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _refused(settings: Settings, error: KafkaError) -> BrokerError:
    if isinstance(error, InvalidTimestampError):
        return BrokerError(
            f"the broker at {settings.broker} accepts no record as far ahead of its clock as the "
            f"time marker: {MOST_AHEAD} of {settings.topic('events')} forbids it",
            "use a topic of your own for trials, with another --prefix and that setting raised",
        )
    return BrokerError(
        f"the broker at {settings.broker} refused the records: {error!r}",
        "check the broker, then publish them again: an erasure may come twice, and batches with a "
        "source_request_id, and events with a source_message_id, count once",
    )


async def publish_lines(
    to: Publisher,
    lines: Iterator[bytes],
    *,
    rate: float | None = None,
    until: int | None = None,
    mark: bool = False,
    progress: Callable[[Published], None] | None = None,
) -> Published:
    """Publish the lines of an event file, and at the end a time marker if one is asked for.

    Args:
        to: Where to.
        lines: Without their ends; read in a thread, so that a slow pipe blocks nothing.
        rate: Records a second at most; None: as fast as the broker accepts them.
        until: Batches that arrive later are left out, epoch ms; None: all are published.
        mark: Whether to write a time marker: ``until``, or the greatest arrival without it.
        progress: Called after each slice.

    Raises:
        KafkaError: The broker refused or did not answer; see ``publisher``.
    """
    preparation = _Preparation(until, wall_ms() + CLOCK_SKEW_MS, judge=mark or until is not None)
    published = preparation.published
    size = _SLICE if rate is None else max(1, min(_SLICE, int(rate / _SLICES_PER_SECOND)))
    in_flight: list[list[asyncio.Future[Any]]] = []
    started = time.monotonic()
    while slice_ := await asyncio.to_thread(lambda: list(islice(lines, size))):
        in_flight.append(await to.send(preparation.take(slice_)))
        if len(in_flight) >= _SLICES_IN_FLIGHT:
            await asyncio.gather(*in_flight.pop(0))
        if progress is not None:
            progress(published)
        if rate is not None:
            await asyncio.sleep(max(0.0, started + published.records / rate - time.monotonic()))
    for futures in in_flight:
        await asyncio.gather(*futures)
    marker = until if until is not None else published.greatest_arrival
    if mark and marker is not None:
        await to.mark_time(marker)
        published.marker = marker
    return published


class _Preparation:
    """Makes records of lines, and counts both."""

    def __init__(self, until: int | None, latest: int, *, judge: bool) -> None:
        self.published = Published()
        self._until = until
        self._latest = latest
        self._decoder = BatchDecoder(_ANY_INPUT) if judge else None
        self._number = 0

    def take(self, lines: Iterable[bytes]) -> list[Keyed]:
        """The records of some lines, without blank, late and overlong ones."""
        published, records = self.published, []
        for value in lines:
            self._number += 1
            if not value or value.isspace():
                continue
            if len(value) > LONGEST_VALUE:
                published.too_long.append(self._number)
                continue
            if self._decoder is not None and self._is_late(value):
                published.after_until += 1
                continue
            key = Routing.key_of(value)
            published.keyless += key is None
            records.append((key, value))
        published.records += len(records)
        return records

    def _is_late(self, value: bytes) -> bool:
        """Whether a batch arrives after `until`; notes its arrival if not.

        The worker rejects batches that cannot be used, or have a time in the future; they must not
        move time.
        """
        assert self._decoder is not None
        batch, _ = self._decoder.decode_line(value)
        if batch is None:
            return False
        if self._until is not None and batch.arrival > self._until:
            return True
        if batch.arrival <= self._latest:
            greatest = self.published.greatest_arrival
            self.published.greatest_arrival = max(greatest or 0, batch.arrival)
        return False
