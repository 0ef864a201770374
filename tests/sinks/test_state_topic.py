"""What sinks share in a topic, and what happens when it cannot be read for a while."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.protocol.fetch import FetchRequest

from cdp_stream.sinks.state_topic import StateTopic
from tests.sinks.without_kafka import Producer, until

TOPIC = TopicPartition("faults", 0)


class Log:
    """The topic, as a broker has it.

    Attributes:
        records: offset -> key and value.
        troubles: what the next reads raise, one each.
        consumers: how many were made, and of these how many have stopped.
        asked: set by each read.
    """

    def __init__(self) -> None:
        self.records: list[tuple[str, Any]] = []
        self.troubles: list[BaseException] = []
        self.consumers = [0, 0]
        self.asked = asyncio.Event()

    def topic(self) -> StateTopic:
        return StateTopic(
            {}, "faults", Producer(), consume=lambda **_: Reading(self), pause_s=0.0  # type: ignore[arg-type, return-value]
        )  # fmt: skip


class Reading:
    """A consumer of it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._at = 0
        self._client = self
        log.consumers[0] += 1

    async def send(self, _node: int, _request: Any) -> Any:
        return SimpleNamespace(topics=[("faults", [(0, 0, len(self._log.records))])])

    async def close(self) -> None:
        await asyncio.sleep(0)

    async def start(self) -> None:
        await asyncio.sleep(0)

    def assign(self, partitions: list[TopicPartition]) -> None:
        assert partitions == [TOPIC]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._at = offset

    async def getmany(self, *, timeout_ms: int) -> Any:
        await asyncio.sleep(0)
        self._log.asked.set()
        if self._log.troubles:
            raise self._log.troubles.pop(0)
        await self._client.send(0, FetchRequest(1, 1, 1, 1, [("faults", [(0, self._at, 1)])]))
        new = self._log.records[self._at :]
        records = [
            SimpleNamespace(offset=self._at + n, key=key.encode(), value=orjson.dumps(value))
            for n, (key, value) in enumerate(new)
        ]
        self._at += len(new)
        return {TOPIC: records} if records else {}

    async def stop(self) -> None:
        self._log.consumers[1] += 1


async def test_it_is_followed_on_after_it_could_not_be_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "cdp")
    log = Log()
    log.records = [("a", {"n": 1})]
    topic = log.topic()
    await topic.start()
    assert topic.values == {"a": {"n": 1}}
    log.troubles = [TopicAuthorizationFailedError("faults"), KafkaError(), OSError()]
    log.records.append(("b", {"n": 2}))
    async with asyncio.timeout(5):
        await topic.caught_up()
    await until(lambda: topic.values == {"a": {"n": 1}, "b": {"n": 2}})
    await until(lambda: [r.msg for r in caplog.records].count("state_topic_followed") == 1)
    assert [r.msg for r in caplog.records].count("state_topic_not_followed") == 1
    await topic.stop()
    assert log.consumers == [4, 4]


async def test_one_that_cannot_be_read_at_the_start_is_told() -> None:
    log = Log()
    log.troubles = [TopicAuthorizationFailedError("faults")]
    topic = log.topic()
    async with asyncio.timeout(5):
        with pytest.raises(TopicAuthorizationFailedError):
            await topic.start()
    await topic.stop()
    assert log.consumers == [1, 1]


async def test_what_ends_it_ends_those_who_wait_for_it_too() -> None:
    log = Log()
    topic = log.topic()
    await topic.start()
    told: list[BaseException] = []
    topic.watch(told.append)
    waiting = asyncio.create_task(topic.caught_up())
    log.troubles = [ZeroDivisionError()]
    async with asyncio.timeout(5):
        await asyncio.gather(waiting, return_exceptions=True)
        with pytest.raises(ZeroDivisionError):
            await topic.caught_up()
    assert [type(error) for error in told] == [ZeroDivisionError]
    await topic.stop()


async def test_to_stop_it_is_told_to_nobody() -> None:
    topic = Log().topic()
    await topic.start()
    told: list[BaseException] = []
    topic.watch(told.append)
    await topic.stop()
    assert told == []
