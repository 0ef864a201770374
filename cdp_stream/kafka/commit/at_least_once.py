"""Batches of a partition, made durable at least once.

Outputs, rows and position become durable one after the other. After a crash in between, the same
records produce the same outputs again, with the same ids. No record produces the outputs of a tick
again, so the partition's time is durable, in an earlier batch, before they are sent.

A write that fails ends the worker, and the position does not move.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from cdp_stream.kafka.commit.record_writer import (
    OutputTopics,
    reached,
    send_effects,
    send_pairs,
    send_records,
    without_value,
)
from cdp_stream.partition.effects import Effects

__all__ = ["AtLeastOnceWriter"]


class AtLeastOnceWriter:
    """Writes for one partition, as :class:`~cdp_stream.kafka.commit.committer.Writer`.

    Args:
        producer: Returns the worker's running producer.
        topics: Where effects go.
        partition: The partition number, the same in all of them.
        advance: Called with the next input offset once all below it is durable.
    """

    is_atomic = False

    def __init__(
        self,
        producer: Callable[[], AIOKafkaProducer],
        topics: OutputTopics,
        partition: int,
        advance: Callable[[int], None],
    ) -> None:
        self._producer = producer
        self._topics = topics
        self._partition = partition
        self._advance = advance
        self._is_alone = True
        self._behind: int | None = None

    async def open(self) -> None:
        """Nothing to do: the worker's producer runs."""

    async def write(self, effects: Effects, next_offset: int | None) -> int:
        """Write outputs, then rows, then let the position be committed."""
        producer, partition = self._producer(), self._partition
        futures, alone = await send_effects(producer, self._topics, partition, effects)
        await asyncio.gather(*futures)
        for record, future in alone:
            try:
                await future
            except MessageSizeTooLargeError:
                again = [without_value(record)]
                topic = self._topics.rejected
                await asyncio.gather(*await send_records(producer, topic, partition, again))
        rows, topic = effects.rows.items(), self._topics.changelog
        # The last row has the offset up to which all are complete: none before it may be missing.
        batches = await send_pairs(producer, topic, partition, rows, one_by_one=True)
        await asyncio.gather(*batches)
        if next_offset is not None:
            self._advance(next_offset)
        return self._reached(batches, len(rows))

    async def settle(self) -> None:
        """Nothing to do: a message that is sent twice has the same id."""

    async def abort(self) -> None:
        """Nothing to do: what was sent stays."""

    async def close(self) -> None:
        """Nothing to do: the worker's producer stays."""

    def _reached(self, batches: list[asyncio.Future[Any]], rows: int) -> int:
        """How far these rows reach; -1 as soon as the changelog has others in between.

        Nothing fences a worker that lost the partition and whose write arrives late.
        """
        if not batches:
            return -1
        if self._behind not in (None, batches[0].result().offset):
            self._is_alone = False
        behind = reached(batches, rows)
        self._behind = behind if len(batches) == 1 else None
        return behind if self._is_alone else -1
