"""A small compacted topic of one partition that every sinks process follows: what all must know.

`cdp.faults` says which outputs and connections stand still, `cdp.sink-state` what sinks remember.
Both are read from their beginning at start and followed from there, without a group; the last
record of a key counts, so what is written last holds everywhere.

Once one has been read it is followed for good: what a broker refuses meanwhile, as its rights are
changed say, is asked for again until it is granted. Whoever waits for what is in it waits as long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from cdp_stream.kafka.aiokafka_patches.fetch_observer import FetchObserver
from cdp_stream.kafka.log import log
from cdp_stream.kafka.topics.topic_partition import TopicPartition
from cdp_stream.sinks.state.records import Check, decoded
from cdp_stream.wall_clock import wall_ms

__all__ = ["FollowedTopic"]

_POLL_MS: Final = 500
_FETCH_MS: Final = 100
_PAUSE_S: Final = 0.5
_MOST_TOLD: Final = 20
_MOST_CHARS: Final = 200

Value = dict[str, Any]


class FollowedTopic:
    """What a topic holds now.

    Args:
        client: Connection settings of the aiokafka client.
        topic: Its name; it has one partition.
        producer: A running one.
        check: Knows the form of its records; what has another is passed over, with a fact.
        consume: Makes a consumer.
        pause_s: How long after a failure the topic is asked for again.

    Attributes:
        values: the latest value of each key that has one.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        producer: AIOKafkaProducer,
        *,
        check: Check = lambda _key, _value: None,
        consume: Callable[..., AIOKafkaConsumer] = AIOKafkaConsumer,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._client = client
        self._topic = topic
        self._producer = producer
        self._check = check
        self._consume = consume
        self._pause_s = pause_s
        self._observer = FetchObserver()
        self._task: asyncio.Task[None] | None = None
        self._over: BaseException | None = None
        self._has_started = False
        self._is_told = False
        self._offsets: dict[str, int] = {}
        self._read: dict[str, Value | None] = {}
        self._unsure: dict[str, int] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._watchers: list[Callable[[BaseException], None]] = []
        self._moved = asyncio.Condition()
        self._taken = -1
        self._passed_over = 0
        self.values: dict[str, Value] = {}

    def listen(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with each key that gets a value or loses it; returns how to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def watch(self, watcher: Callable[[BaseException], None]) -> None:
        """Call `watcher` with what ended the following of the topic, should anything but `stop`."""
        self._watchers.append(watcher)

    async def start(self) -> None:
        """Read the topic to its end, and follow it from there.

        Raises:
            KafkaError: It cannot be read.
        """
        self._task = asyncio.create_task(self._follow())
        self._task.add_done_callback(self._ended)
        await self.caught_up()
        self._has_started = True

    async def stop(self) -> None:
        """Follow no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def caught_up(self) -> None:
        """Return when everything that was in the topic as this was called has been taken in."""
        asked = wall_ms()

        def is_up() -> bool:
            if self._over is not None:
                raise self._over
            end = self._observer.ends.get((self._topic, 0))
            return end is not None and end.asked_at >= asked and self._taken >= end.after

        async with self._moved:
            await self._moved.wait_for(is_up)

    async def put(self, key: str, value: Value | None, *, first: Value | None = None) -> None:
        """Write a value, or remove it; it holds here at once, and durably on return.

        Args:
            first: A value to be written right before, for those who read every record.
        """
        before = self.values.get(key)
        self._unsure[key] = self._unsure.get(key, 0) + 1
        self._set(key, value)
        written = None if value is None else orjson.dumps(value)
        into = {"key": key.encode(), "partition": 0}
        try:
            earlier = None
            if first is not None:
                # Not waited for: what somebody answers to it must not come before the value.
                earlier = await self._producer.send(self._topic, orjson.dumps(first), **into)
            sent = await self._producer.send_and_wait(self._topic, written, **into)
            if earlier is not None:
                await earlier
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

    async def _follow(self) -> None:
        try:
            while True:
                try:
                    await self._read_on()
                except (KafkaError, OSError) as error:
                    if not self._has_started:
                        raise
                    self._tell(error)
                await asyncio.sleep(self._pause_s)
        except BaseException as error:
            self._over = error
            raise
        finally:
            await self._notify()

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            for watcher in self._watchers:
                watcher(error)

    def _tell(self, error: Exception) -> None:
        """Tell of it once, until the topic has been read again."""
        if not self._is_told:
            self._is_told = True
            log("state_topic_not_followed", level=logging.ERROR, topic=self._topic,
                reason=str(error) or type(error).__name__,
                next="see that the topic may be read; it is tried again")  # fmt: skip

    async def _read_on(self) -> None:
        """Take in what there is and what comes, behind what has been taken in."""
        consumer = self._consume(
            **self._client,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=_FETCH_MS,
        )
        self._observer.attach(consumer)
        partition = TopicPartition(self._topic, 0)
        began = wall_ms()
        try:
            await consumer.start()
            consumer.assign([partition])
            if self._taken >= 0:
                consumer.seek(partition, self._taken + 1)
            while True:
                fetched = await consumer.getmany(timeout_ms=_POLL_MS)
                for records in fetched.values():  # no await in here: see FetchObserver.handed_over
                    self._observer.handed_over((self._topic, 0), records[-1].offset)
                for records in fetched.values():
                    for record in records:
                        self._take(record)
                if self._is_told and self._has_answered(since=began):
                    self._is_told = False
                    log("state_topic_followed", topic=self._topic)
                await self._notify()
        finally:
            await consumer.stop()

    def _has_answered(self, since: int) -> bool:
        end = self._observer.ends.get((self._topic, 0))
        return end is not None and end.asked_at >= since

    async def _notify(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    def _take(self, record: Any) -> None:
        self._taken = record.offset
        try:
            key, value = decoded(record.key, record.value, self._check)
        except ValueError as error:
            self._pass_over(record.offset, str(error))
            return
        if record.offset <= self._offsets.get(key, -1):
            return
        self._offsets[key] = record.offset
        self._read[key] = value
        # What we are just writing comes after whatever has been read, or is told apart in `put`.
        if not self._unsure.get(key):
            self._set(key, value)

    def _pass_over(self, offset: int, reason: str) -> None:
        """Leave a record out; of many the first are told, each time that the topic is read."""
        self._passed_over += 1
        if self._passed_over <= _MOST_TOLD:
            log("state_record_invalid", level=logging.ERROR, topic=self._topic, offset=offset,
                reason=reason[:_MOST_CHARS],
                next="see who else writes to the topic; what the key said before holds",
            )  # fmt: skip
