"""Records on their way to Kafka: effects into batches, and what a broker's refusal means.

What makes a batch of effects durable, and in which order: ``committer.py``.
"""

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidTimestampError, KafkaError

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.aiokafka_patches.batch_encoding import filled_batches
from cdp_stream.kafka.aiokafka_patches.transactional_producer import ignore_failure
from cdp_stream.partition.effects import Effects, Headers, Rejected
from cdp_stream.wall_clock import wall_ms

__all__ = [
    "MAX_BATCH_BYTES",
    "MOST_DELIVERING",
    "OutputTopics",
    "explained",
    "reached",
    "send_effects",
    "send_pairs",
    "send_records",
    "without_value",
]

MAX_BATCH_BYTES = 900_000
"""Below what a Kafka topic accepts by default (1,048,588), compression aside."""
MOST_DELIVERING = 64 * 1024 * 1024
"""Bytes on their way at a time: a broker refuses a request above 100 MiB
(`socket.request.max.bytes`), and aiokafka puts a batch of every partition into one."""
LARGE_RECORD_BYTES = 800_000
"""A rejected record above this is sent alone, as the broker may refuse it."""

Item = tuple[bytes | None, bytes | None, Headers]


@dataclass(frozen=True, slots=True)
class OutputTopics:
    """Names of the topics that effects go to.

    Attributes:
        output: what the names of the outputs' own topics begin with; the output's id follows.
    """

    memberships: str
    state: str
    rejected: str
    changelog: str
    output: str

    @property
    def names(self) -> tuple[str, ...]:
        """All but those of outputs, which depend on the definitions."""
        return (self.memberships, self.state, self.rejected, self.changelog)


async def send_records(
    producer: AIOKafkaProducer,
    topic: str,
    partition: int,
    records: Iterable[Item],
    *,
    timestamp: int | None = None,
) -> list[asyncio.Future[Any]]:
    """Enqueue records to one partition as ready-made batches; returns a future per batch.

    A record larger than a batch is sent alone. Only one coroutine at a time may enqueue to a
    partition, or batches of two mix. Their timestamp is the time of writing unless given.
    """
    now, futures = wall_ms() if timestamp is None else timestamp, []
    batch = producer.create_batch()
    for key, value, headers in records:
        if batch.append(key=key, value=value, timestamp=now, headers=headers) is None:
            futures.append(await _send_batch(producer, topic, partition, batch))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=now, headers=headers)
    if batch.record_count():
        batch.close()  # a closed batch does not linger
        futures.append(await _send_batch(producer, topic, partition, batch))
    return futures


async def send_pairs(
    producer: AIOKafkaProducer,
    topic: str,
    partition: int,
    pairs: Iterable[tuple[bytes, bytes | None]],
    *,
    one_by_one: bool = False,
) -> list[asyncio.Future[Any]]:
    """:func:`send_records` for keys and values without headers, at a third of its time.

    Args:
        producer: Sends them.
        topic: Where to.
        partition: Of the topic.
        pairs: In the order in which they are written.
        one_by_one: Send no batch before the one before it is written, so that none follows one
            that was refused.
    """
    futures: list[asyncio.Future[Any]] = []
    for batch in filled_batches(producer, pairs, wall_ms()):
        if one_by_one and futures:
            await futures[-1]
        futures.append(await _send_batch(producer, topic, partition, batch))
    return futures


async def _send_batch(
    producer: AIOKafkaProducer, topic: str, partition: int, batch: Any
) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = await producer.send_batch(batch, topic, partition=partition)
    # By then nobody may wait for it any more.
    future.add_done_callback(ignore_failure)
    return future


def reached(batches: Sequence[asyncio.Future[Any]], rows: int) -> int:
    """An offset up to which a changelog has nothing newer than these rows.

    Args:
        batches: The batches of the rows, delivered.
        rows: How many rows are in them.

    Returns:
        The offset after the last row; after the first of the last batch, if there are several;
        -1 if the broker returned none.
    """
    offset: int = batches[-1].result().offset if batches else -1
    return offset if offset < 0 else offset + (rows if len(batches) == 1 else 1)


async def send_effects(
    producer: AIOKafkaProducer, topics: OutputTopics, partition: int, effects: Effects
) -> tuple[list[asyncio.Future[Any]], list[tuple[Rejected, asyncio.Future[Any]]]]:
    """Enqueue everything but the rows.

    Returns:
        A future per batch, and apart from them the rejected records that are sent alone, each with
        its own: the broker may refuse those as too large.
    """
    futures: list[asyncio.Future[Any]] = []
    alone: list[tuple[Rejected, asyncio.Future[Any]]] = []
    if effects.memberships:
        futures += await send_pairs(producer, topics.memberships, partition, effects.memberships)
    if effects.state:
        futures += await send_pairs(producer, topics.state, partition, effects.state)
    for output, pairs in _by_output(effects.outputs).items():
        futures += await send_pairs(producer, topics.output + output, partition, pairs)
    for large, group in itertools.groupby(effects.rejected, key=_is_large):
        if large:
            for record in group:
                (future,) = await send_records(producer, topics.rejected, partition, [record])
                alone.append((record, future))
        else:
            futures += await send_records(producer, topics.rejected, partition, group)
    return futures, alone


def _by_output(
    messages: Iterable[tuple[str, bytes, bytes]],
) -> dict[str, list[tuple[bytes, bytes | None]]]:
    found: dict[str, list[tuple[bytes, bytes | None]]] = {}
    for output, key, value in messages:
        found.setdefault(output, []).append((key, value))
    return found


def without_value(record: Rejected) -> Rejected:
    """A rejected record that the broker refused as too large, without its value.

    The input topic accepted it, compressed or under a higher limit; headers have its place there.
    """
    key, value, headers = record
    return key, None, [*headers, ("value_bytes", str(len(value or b"")).encode())]


def _is_large(record: Rejected) -> bool:
    key, value, headers = record
    size = len(key or b"") + len(value or b"") + sum(len(n) + len(v) for n, v in headers)
    return size > LARGE_RECORD_BYTES


def explained(error: BaseException) -> BaseException:
    """Turn a broker's refusal into an error with a next step; others are unchanged."""
    if isinstance(error, InvalidTimestampError):
        return BrokerError(
            "the broker refused a write because its timestamp is too far from the broker's clock",
            "nothing is lost: set this machine's clock, and the broker's, then restart the worker",
        )
    if isinstance(error, KafkaError):
        return BrokerError(
            f"the broker refused a write: {str(error) or type(error).__name__}",
            "nothing is lost: read the broker's log, then restart the worker",
        )
    return error
