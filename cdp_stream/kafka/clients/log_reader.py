"""Reading a log without a group: committed records only, from the offsets that the reader sets."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer

from cdp_stream.kafka.aiokafka_patches.batch_decoding import decode_whole_batches
from cdp_stream.kafka.aiokafka_patches.fetch_observer import FetchObserver
from cdp_stream.kafka.clients.chunk import FETCH_BYTES

__all__ = ["log_reader"]


@asynccontextmanager
async def log_reader(
    client: Mapping[str, Any],
    *,
    observer: FetchObserver | None = None,
    auto_offset_reset: str = "earliest",
    max_wait_ms: int = 100,
    partition_bytes: int = 4 * 1024 * 1024,
) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer, to which the caller assigns partitions; stopped on leaving.

    It must be drained by ``getmany`` without ``max_records``.

    Args:
        client: Connection settings of the aiokafka client.
        observer: Observes what brokers answer.
        auto_offset_reset: What to do about an offset that does not exist (any more).
        max_wait_ms: How long a broker may wait for records.
        partition_bytes: The most bytes requested of one partition at a time.

    Raises:
        KafkaError: No broker can be connected to.
    """
    consumer = AIOKafkaConsumer(
        **client,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset=auto_offset_reset,
        isolation_level="read_committed",
        fetch_max_wait_ms=max_wait_ms,
        max_partition_fetch_bytes=partition_bytes,
        fetch_max_bytes=FETCH_BYTES,
    )
    if observer is not None:
        observer.attach(consumer)
    try:
        await consumer.start()
        decode_whole_batches(consumer)
        yield consumer
    finally:
        await consumer.stop()
