"""Write and read a few records, as any client would."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

Record = tuple[bytes, bytes]
READ_S = 90.0


async def write(bootstrap: str, topic: str, partition: int, records: Sequence[Record]) -> None:
    """Deliver the records one by one, so that each is a batch of its own."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for key, value in records:
            await producer.send_and_wait(topic, value, key=key, partition=partition)


async def read(bootstrap: str, topic: str, partition: int, count: int) -> list[Record]:
    """The first ``count`` records of a partition.

    Raises:
        TimeoutError: There are fewer.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    consumer.assign([TopicPartition(topic, partition)])
    async with asyncio.timeout(READ_S), consumer:
        return [await _next(consumer) for _ in range(count)]


async def _next(consumer: AIOKafkaConsumer) -> Record:
    record = await consumer.getone()
    return record.key, record.value
