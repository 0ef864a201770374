"""Following a topic of one partition: read from an offset to its end, and then what is added.

While a broker refuses, for example during a change of rights, the follower asks again until the
broker grants it. Who waits for the topic's contents waits as long.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from cdp_stream.kafka.aiokafka_patches.fetch_observer import FetchObserver
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.observability.log import log
from cdp_stream.wall_clock import wall_ms

__all__ = ["TopicFollower"]

_POLL_MS = 500
_FETCH_MS = 100
_PAUSE_S = 0.5


class TopicFollower:
    """Passes on the records of a topic, also future ones.

    Args:
        client: Connection settings of the aiokafka client.
        topic: Its name; it has one partition.
        take: Called with the records of each fetch, in order.
        consume: Creates a consumer.
        pause_s: How long after a failure the topic is asked for again.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        take: Callable[[list[Any]], Awaitable[None]],
        *,
        consume: Callable[..., AIOKafkaConsumer] = AIOKafkaConsumer,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._client = client
        self._topic = topic
        self._take = take
        self._consume = consume
        self._pause_s = pause_s
        self._observer = FetchObserver()
        self._moved = asyncio.Condition()
        self._failure: BaseException | None = None
        self._is_away = False
        self._position = 0

    async def follow(self, start: int = 0, *, must_answer: bool = False) -> None:
        """Read on, until cancelled.

        Args:
            start: Offset of the first record.
            must_answer: Whether a topic that cannot be read the first time is an error.

        Raises:
            KafkaError, OSError: It could not be read the first time.
        """
        self._position = start
        try:
            while True:
                try:
                    await self._read_on()
                except (KafkaError, OSError) as error:
                    if must_answer and not self._has_answered():
                        raise
                    if not self._is_away:
                        self._is_away = True
                        log("topic_not_followed", level=logging.ERROR, topic=self._topic,
                            reason=str(error) or type(error).__name__,
                            next="check that the topic may be read; it is tried again",
                            )  # fmt: skip
                await asyncio.sleep(self._pause_s)
        except BaseException as error:
            self._failure = error
            raise
        finally:
            await self._notify()

    async def caught_up(self) -> None:
        """Return when all records that the topic had at the call have been passed on.

        Raises:
            BaseException: What ended `follow`.
        """
        asked = wall_ms()

        def is_up() -> bool:
            if self._failure is not None:
                raise self._failure
            end = self._observer.ends.get((self._topic, 0))
            return end is not None and end.asked_at >= asked and self._position > end.after

        async with self._moved:
            await self._moved.wait_for(is_up)

    async def _read_on(self) -> None:
        consumer = self._consume(
            **self._client,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=_FETCH_MS,
        )
        self._observer.attach(consumer)
        partition, began = TopicPartition(self._topic, 0), wall_ms()
        try:
            await consumer.start()
            consumer.assign([partition])
            if self._position:
                consumer.seek(partition, self._position)
            while True:
                fetched = await consumer.getmany(timeout_ms=_POLL_MS)
                for records in fetched.values():  # no await before: see FetchObserver.handed_over
                    self._observer.handed_over((self._topic, 0), records[-1].offset)
                    await self._take(records)
                    self._position = records[-1].offset + 1
                if self._is_away and self._has_answered(since=began):
                    self._is_away = False
                    log("topic_followed", topic=self._topic)
                await self._notify()
        finally:
            await consumer.stop()

    def _has_answered(self, since: int = 0) -> bool:
        """Whether the topic has been read to its end since an instant, epoch ms."""
        end = self._observer.ends.get((self._topic, 0))
        return end is not None and end.asked_at >= since

    async def _notify(self) -> None:
        async with self._moved:
            self._moved.notify_all()
