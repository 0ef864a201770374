"""Batches of a partition, made durable exactly once.

A batch is one Kafka transaction: outputs, rows and the input position take effect together or not
at all. Being fenced is no failure of the worker: another one goes on from what was committed.
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
        # Everything but the writing is the producer's.
        self.open = producer.open
        self.settle = producer.settle
        self.abort = producer.abort
        self.close = producer.close

    async def write(self, effects: Effects, next_offset: int | None) -> int:
        """Write one transaction; twice, where the broker refuses a record as too large."""
        transaction = _Transaction(self._topics, self._partition, effects)
        try:
            while True:
                try:
                    await self._producer.transact(transaction.send, next_offset)
                    break
                except MessageSizeTooLargeError:
                    if not transaction.drop_refused_values():
                        raise
                    await self._producer.reopen("a record was too large")
        except FencedError:
            raise
        except Exception:
            await self._producer.abort()
            raise
        if next_offset is not None:
            self._moved(next_offset)
        return transaction.reached()


class _Transaction:
    """What one transaction writes."""

    def __init__(self, topics: OutputTopics, partition: int, effects: Effects) -> None:
        self._topics = topics
        self._partition = partition
        self._effects = effects
        self._alone: list[tuple[Rejected, asyncio.Future[Any]]] = []
        self._batches: list[asyncio.Future[Any]] = []

    async def send(self, producer: AIOKafkaProducer) -> list[asyncio.Future[Any]]:
        """Enqueue everything; returns what to wait for."""
        effects, partition = self._effects, self._partition
        futures, self._alone = await send_effects(producer, self._topics, partition, effects)
        futures += [future for _, future in self._alone]
        rows = effects.rows.items()
        self._batches = await send_pairs(producer, self._topics.changelog, partition, rows)
        return futures + self._batches

    def reached(self) -> int:
        """An offset up to which the changelog holds nothing newer, once it is committed."""
        return reached(self._batches, len(self._effects.rows))

    def drop_refused_values(self) -> bool:
        """Leave out the values of rejected records that were refused; False when none was."""
        refused = {
            id(record)
            for record, future in self._alone
            if future.done() and isinstance(future.exception(), MessageSizeTooLargeError)
        }
        self._effects.rejected = [
            without_value(record) if id(record) in refused else record
            for record in self._effects.rejected
        ]
        return bool(refused)
