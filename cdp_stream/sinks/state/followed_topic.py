"""A small compacted topic of one partition that every sinks process follows: what all must know.

`cdp.faults` has the outputs and connections that are stopped, `cdp.sink-state` what sinks remember.
Both are read from their beginning at start and followed from there, without a group. The last
record of a key counts, so what is written last holds everywhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaProducer

from cdp_stream.kafka.clients.topic_follower import TopicFollower
from cdp_stream.observability.log import log
from cdp_stream.sinks.state.records import Check, decoded

__all__ = ["FollowedTopic"]

_MOST_LOGGED: Final = 20
_MOST_CHARS: Final = 200

Value = dict[str, Any]


class FollowedTopic:
    """The present content of a topic.

    Args:
        client: Connection settings of the aiokafka client.
        topic: Its name; it has one partition.
        producer: A running one.
        check: Knows the form of its records; one of another form is passed over, with a fact.
        options: For the follower.

    Attributes:
        values: The latest value of each key that has one.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        producer: AIOKafkaProducer,
        *,
        check: Check = lambda _key, _value: None,
        **options: Any,
    ) -> None:
        self._topic = topic
        self._producer = producer
        self._check = check
        self._follower = TopicFollower(client, topic, self._take, **options)
        self._task: asyncio.Task[None] | None = None
        self._offsets: dict[str, int] = {}
        self._read: dict[str, Value | None] = {}
        self._unsure: dict[str, int] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._watchers: list[Callable[[BaseException], None]] = []
        self._invalid = 0
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
        self._task = asyncio.create_task(self._follower.follow(must_answer=True))
        self._task.add_done_callback(self._ended)
        await self.caught_up()

    async def stop(self) -> None:
        """Follow no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def caught_up(self) -> None:
        """Return when everything that was in the topic as this was called is among `values`."""
        await self._follower.caught_up()

    async def put(self, key: str, value: Value | None, *, first: Value | None = None) -> None:
        """Write a value, or remove it; it counts here at once, and is durable on return.

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
                # Not waited for: a record that reacts to it must not come before the value.
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
        else:  # a later write of another process was read already
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

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            for watcher in self._watchers:
                watcher(error)

    async def _take(self, records: list[Any]) -> None:
        for record in records:
            try:
                key, value = decoded(record.key, record.value, self._check)
            except ValueError as error:
                self._pass_over(record.offset, str(error))
                continue
            if record.offset <= self._offsets.get(key, -1):
                continue
            self._offsets[key] = record.offset
            self._read[key] = value
            # While `put` writes a value of the key, that value counts; `put` then compares the
            # offsets.
            if not self._unsure.get(key):
                self._set(key, value)

    def _pass_over(self, offset: int, reason: str) -> None:
        """Leave a record out; the first are logged, each time that the topic is read."""
        self._invalid += 1
        if self._invalid <= _MOST_LOGGED:
            log("state_record_invalid", level=logging.ERROR, topic=self._topic, offset=offset,
                reason=reason[:_MOST_CHARS],
                next="find out who else writes to the topic; the value before counts",
            )  # fmt: skip
