"""A small compacted topic of one partition that every sinks process follows: what all must know.

`cdp.faults` says which outputs and connections stand still, `cdp.sink-state` what sinks remember.
Both are read from their beginning at start and followed from there, without a group; the last
record of a key counts, so what is written last holds everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from cdp_stream.kafka.observation import Observation, wall_ms

__all__ = ["StateTopic"]

_POLL_MS: Final = 500
_FETCH_MS: Final = 100

Value = dict[str, Any]


class StateTopic:
    """What a topic holds now.

    Args:
        client: Connection settings of the aiokafka client.
        topic: Its name; it has one partition.
        producer: A running one.

    Attributes:
        values: the latest value of each key that has one.
    """

    def __init__(self, client: Mapping[str, Any], topic: str, producer: AIOKafkaProducer) -> None:
        self._client = client
        self._topic = topic
        self._producer = producer
        self._observation = Observation()
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._offsets: dict[str, int] = {}
        self._read: dict[str, Value | None] = {}
        self._unsure: dict[str, int] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._moved = asyncio.Condition()
        self._taken = -1
        self.values: dict[str, Value] = {}

    def listen(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with each key that gets a value or loses it; returns how to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def start(self) -> None:
        """Read the topic to its end, and follow it from there."""
        consumer = AIOKafkaConsumer(
            **self._client,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=_FETCH_MS,
        )
        self._observation.attach(consumer)
        await consumer.start()
        consumer.assign([TopicPartition(self._topic, 0)])
        self._consumer = consumer
        self._task = asyncio.create_task(self._follow(consumer))
        await self.caught_up()

    async def stop(self) -> None:
        """Follow no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    async def caught_up(self) -> None:
        """Return when everything that was in the topic as this was called has been taken in."""
        asked = wall_ms()
        partition = (self._topic, 0)

        def is_up() -> bool:
            if self._task is not None and self._task.done():
                self._task.result()
            end = self._observation.ends.get(partition)
            return end is not None and end.asked_at >= asked and self._taken >= end.after

        async with self._moved:
            await self._moved.wait_for(is_up)

    async def put(self, key: str, value: Value | None) -> None:
        """Write a value, or remove it; it holds here at once, and durably on return."""
        before = self.values.get(key)
        self._unsure[key] = self._unsure.get(key, 0) + 1
        self._set(key, value)
        written = None if value is None else orjson.dumps(value)
        try:
            sent = await self._producer.send_and_wait(
                self._topic, written, key=key.encode(), partition=0
            )
        except BaseException:
            self._unsure[key] -= 1
            self._set(key, before)
            raise
        self._unsure[key] -= 1
        if sent.offset > self._offsets.get(key, -1):
            self._offsets[key] = sent.offset
            self._set(key, value)
        else:  # somebody wrote later, and that has been read already
            self._set(key, self._read.get(key))

    def _set(self, key: str, value: Value | None) -> None:
        if self.values.get(key) == value:
            return
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value
        for listener in list(self._listeners):
            listener(key)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            fetched = await consumer.getmany(timeout_ms=_POLL_MS)
            for records in fetched.values():  # no await in here: see Observation.handed_over
                self._observation.handed_over((self._topic, 0), records[-1].offset)
            for records in fetched.values():
                for record in records:
                    self._take(record)
            async with self._moved:
                self._moved.notify_all()

    def _take(self, record: Any) -> None:
        self._taken = record.offset
        key = (record.key or b"").decode("utf-8", "replace")
        value = _decoded(record.value)
        if record.offset <= self._offsets.get(key, -1):
            return
        self._offsets[key] = record.offset
        self._read[key] = value
        # What we are just writing comes after whatever has been read, or is told apart in `put`.
        if not self._unsure.get(key):
            self._set(key, value)


def _decoded(value: bytes | None) -> Value | None:
    if not value:
        return None
    try:
        decoded = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return decoded if isinstance(decoded, dict) else None
