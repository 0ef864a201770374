"""Batches of a partition, made durable exactly once.

A batch is one Kafka transaction: outputs, rows and the input position take effect together or not
at all. Being fenced is no failure of the worker: another one continues from what was committed.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from cdp_stream.kafka.commit.partition_producer import FencedError, PartitionProducer
from cdp_stream.kafka.commit.record_writer import (
    OutputTopics,
    reached,
    send_effects,
    send_pairs,
    without_value,
)
from cdp_stream.partition.effects import Effects, Rejected

__all__ = ["ExactlyOnceWriter"]


class ExactlyOnceWriter:
    """Writes for one partition, as :class:`~cdp_stream.kafka.commit.committer.Writer`.

    Args:
        producer: The partition's own, not yet open.
        topics: Where effects go.
        partition: The partition number, the same in all of them.
        moved: Called with the next input offset once it is committed.
    """

    is_atomic = True

    def __init__(
        self,
        producer: PartitionProducer,
        topics: OutputTopics,
        partition: int,
        moved: Callable[[int], None],
    ) -> None:
        self._producer = producer
        self._topics = topics
        self._partition = partition
        self._moved = moved
        # The producer does everything but the writing.
        self.open = producer.open
        self.settle = producer.settle
        self.abort = producer.abort
        self.close = producer.close

    async def write(self, effects: Effects, next_offset: int | None) -> int:
        """Write one transaction; if the broker refuses a reject, once more without its value."""
        alone: list[tuple[Rejected, asyncio.Future[Any]]] = []
        batches: list[asyncio.Future[Any]] = []

        async def send(producer: AIOKafkaProducer) -> list[asyncio.Future[Any]]:
            nonlocal alone, batches
            topics, partition = self._topics, self._partition
            futures, alone = await send_effects(producer, topics, partition, effects)
            rows = effects.rows.items()
            batches = await send_pairs(producer, topics.changelog, partition, rows)
            return [*futures, *(future for _, future in alone), *batches]

        try:
            while True:
                try:
                    await self._producer.transact(send, next_offset)
                    break
                except MessageSizeTooLargeError:
                    refused = {id(record) for record, future in alone if _is_too_large(future)}
                    if not refused:
                        raise
                    effects.rejected = [
                        without_value(record) if id(record) in refused else record
                        for record in effects.rejected
                    ]
                    await self._producer.reopen("a record was too large")
        except FencedError:
            raise
        except Exception:
            await self._producer.abort()
            raise
        if next_offset is not None:
            self._moved(next_offset)
        return reached(batches, len(effects.rows))


def _is_too_large(future: asyncio.Future[Any]) -> bool:
    return future.done() and isinstance(future.exception(), MessageSizeTooLargeError)
