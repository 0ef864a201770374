"""What a sink stands on, as far as it can do without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import orjson

from cdp_stream.connectors.connector import Batching
from cdp_stream.kafka.aiokafka_patches.fetch_observer import FetchObserver
from cdp_stream.settings import Settings
from cdp_stream.sinks.offsets.assignment import AssignedPartition, Assignment
from cdp_stream.sinks.offsets.progress import Progress
from cdp_stream.sinks.output.context import OutputContext
from cdp_stream.sinks.reporting.metrics import SinkMetrics
from cdp_stream.sinks.state.faults import Faults
from cdp_stream.sinks.state.followed_topic import FollowedTopic
from cdp_stream.sinks.state.records import fault_problem, state_problem
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
        holds_lease: whether nobody else can own its partitions.
        started: the positions of each time that partitions were to be read again.
        seeking: called each time before it is.
        paused: the partitions that are not fetched.
    """

    def __init__(self) -> None:
        self.consumer = self
        self.observer = FetchObserver()
        self.holds_lease = True
        self.paused: set[Any] = set()
        self.started: list[dict[int, int]] = []
        self.positions: dict[int, int] = {}
        self.seeking: Callable[[], None] = lambda: None

    async def start_at(self, offsets: Any, epoch: int) -> None:
        self.seeking()
        await asyncio.sleep(0)
        self.started.append({tp.partition: offset for tp, offset in offsets.items()})

    def fetch_at_most(self, size: int, partitions: int) -> None:
        """Nothing is fetched here."""

    def pause_partitions(self, tps: Any) -> None:
        self.paused |= tps

    def resume_partitions(self, tps: Any) -> None:
        self.paused -= tps

    def advance(self, tp: Any, offset: int) -> None:
        self.positions[tp.partition] = offset

    async def commit(self) -> None:
        await asyncio.sleep(0)


def state_topics(producer: Any) -> tuple[Faults, SinkState]:
    """Faults and state, both empty."""
    faults = FollowedTopic({}, "faults", producer, check=fault_problem)
    return Faults(faults), SinkState(FollowedTopic({}, "sink-state", producer, check=state_problem))


def sink_state(producer: Any = None) -> SinkState:
    """What sinks remember, nothing yet."""
    return state_topics(producer or Producer())[1]


def context(destination: Any = None, **more: Any) -> OutputContext:
    """One output, `out`, whose sink has an app of the test's own."""
    faults, state = state_topics(producer := Producer())
    made: dict[str, Any] = {
        "app": App(), "settings": Settings(), "output": "out", "partitions": 1,
        "connector": SimpleNamespace(gathering=Batching()), "reader": None,
        "destination": destination,
        "faults": faults, "state": state, "producer": producer,
        "metrics": SinkMetrics(of_process=False).of("out"),
    }  # fmt: skip
    return OutputContext(**{**made, **more})


async def assignment(
    of: OutputContext, *progress: Progress, saved: dict[str, Any] | None = None
) -> Assignment:
    """Partitions that have been delivered so far, and may be read."""
    made = Assignment(of)
    await made.assign({})
    made.partitions = {
        number: AssignedPartition(number, one, saved, of.waiting)
        for number, one in enumerate(progress)
    }
    made.open()
    return made


async def until(wanted: Callable[[], bool]) -> None:
    """Let others go on until something holds."""
    async with asyncio.timeout(5):
        while not wanted():  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0)
