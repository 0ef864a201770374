"""What a sink stands on, as far as it can do without a broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import orjson

from cdp_stream.kafka.aiokafka_patches.fetch_observer import FetchObserver
from cdp_stream.sinks.state.faults import Faults
from cdp_stream.sinks.state.followed_topic import FollowedTopic
from cdp_stream.sinks.state.records import fault_problem, memory_problem
from cdp_stream.sinks.state.sink_state import SinkState


class Producer:
    """Writes to topics that are lists of (topic, key, value)."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str, Any]] = []

    async def send(
        self, topic: str, value: bytes | None, *, key: bytes, partition: int
    ) -> asyncio.Future[Any]:
        assert partition == 0
        sent = asyncio.get_running_loop().create_future()
        self.written.append((topic, key.decode(), None if value is None else orjson.loads(value)))
        sent.set_result(SimpleNamespace(offset=len(self.written)))
        return sent

    async def send_and_wait(
        self, topic: str, value: bytes | None, *, key: bytes, partition: int
    ) -> Any:
        sent = await self.send(topic, value, key=key, partition=partition)
        await asyncio.sleep(0)
        return await sent


class App:
    """An app whose consumer notes what is asked of it.

    Attributes:
        started: the positions of each time that partitions were to be read again.
        seeking: called each time before it is.
    """

    def __init__(self) -> None:
        self.consumer = self
        self.observer = FetchObserver()
        self.observer.lease_at = time.monotonic()
        self.started: list[dict[int, int]] = []
        self.positions: dict[int, int] = {}
        self.seeking: Callable[[], None] = lambda: None

    async def start_at(self, offsets: Any, epoch: int) -> None:
        self.seeking()
        await asyncio.sleep(0)
        self.started.append({tp.partition: offset for tp, offset in offsets.items()})

    def pause_partitions(self, tps: Any) -> None:
        return None

    def resume_partitions(self, tps: Any) -> None:
        return None

    def advance(self, tp: Any, offset: int) -> None:
        self.positions[tp.partition] = offset

    async def commit(self) -> None:
        await asyncio.sleep(0)


def state_topics(producer: Any) -> tuple[Faults, SinkState]:
    """Faults and state, both empty."""
    faults = FollowedTopic({}, "faults", producer, check=fault_problem)
    return Faults(faults), SinkState(
        FollowedTopic({}, "sink-state", producer, check=memory_problem)
    )


def sink_state(producer: Any = None) -> SinkState:
    """What sinks remember, nothing yet."""
    return state_topics(producer or Producer())[1]


async def until(wanted: Callable[[], bool]) -> None:
    """Let others go on until something holds."""
    async with asyncio.timeout(5):
        while not wanted():  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0)
