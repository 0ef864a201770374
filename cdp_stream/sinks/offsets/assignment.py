"""The partitions of an output's topic that are held now: what is fetched of them, and whether what
is taken goes on.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection, Iterable
from typing import Any

from cdp_stream.kafka.faust_adapter.consumer import Chunk
from cdp_stream.kafka.topics.topic_partition import TopicPartition
from cdp_stream.sinks.offsets.assigned_partition import AssignedPartition
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.offsets.positions import SinkPlan

__all__ = ["Assignment"]


class Assignment:
    """What one output's sink holds; the parts of the sink decide by it.

    Args:
        app: The Faust app; its consumer is used once it runs.
        plan: Topics.

    Attributes:
        held: By number.
        is_open: Whether anything may be taken and committed.
        halted: Whether the whole output stands still.
        stopped: The connections that stand still.
        wake: Set when there may be something to take.
        confirmed: Set when there may be something to commit.
    """

    def __init__(self, app: Any, plan: SinkPlan) -> None:
        self._app = app
        self._plan = plan
        self._epochs = itertools.count(1)
        self.held: dict[int, AssignedPartition] = {}
        self.is_open = False
        self.halted = False
        self.stopped: set[str] = set()
        self.wake = asyncio.Event()
        self.confirmed = asyncio.Event()

    @property
    def consumer(self) -> Any:
        """The app's."""
        return self._app.consumer

    def tp(self, number: int) -> TopicPartition:
        """The topic's partition of a number."""
        return TopicPartition(self._plan.topic, number)

    def goes_on(self, connection: str) -> bool:
        """Whether changes of a connection may be delivered."""
        return self.is_open and not self.halted and connection not in self.stopped

    def accept(self, partition: int, chunk: Chunk) -> None:
        """Take a chunk over; one fetched before the last seek is dropped."""
        held = self.held.get(partition)
        if held is None:
            return
        if self.halted:
            if held.first_seen is None:
                held.first_seen = chunk.records[0].timestamp
            self.pause([partition])
            return
        if chunk.epoch != held.epoch:
            return
        held.add(chunk)
        if held.waiting_bytes > self._plan.waiting.share() and not held.paused:
            held.paused = True
            self.pause([partition])
        self.wake.set()

    def is_down(self, held: AssignedPartition) -> bool:
        """Whether a partition that is not fetched, as too much of it waits, is down to half."""
        return held.paused and held.waiting_bytes <= self._plan.waiting.share() // 2

    def confirm(self, items: Collection[InFlight]) -> None:
        """Note what the partner has taken, or never will."""
        for item in items:
            held = self.held.get(item.partition)
            if held is not None:
                held.progress.confirm(item.offset, item.change.connection)
                held.dated.pop(item.offset, None)
        self.confirmed.set()
        self.wake.set()

    # -- fetching ----------------------------------------------------------------------------------

    def rests(self, number: int) -> bool:
        """Whether a partition is not fetched for now: the output stands still, or the partner has
        yet to take enough of what waits.
        """
        held = self.held.get(number)
        return self.halted or (held is not None and held.paused)

    def pause(self, numbers: Iterable[int]) -> None:
        """Fetch nothing more of these."""
        if tps := {self.tp(number) for number in numbers}:
            self.consumer.pause_partitions(tps)

    def fetch(self, numbers: Iterable[int]) -> None:
        """Fetch these again."""
        self.consumer.resume_partitions({self.tp(number) for number in numbers})

    async def seek(self, partitions: dict[int, AssignedPartition]) -> None:
        """Read partitions from where their progress says."""
        if not partitions:
            return
        epoch = next(self._epochs)
        starts = {}
        for number, held in partitions.items():
            held.drop_waiting()
            # Before the seek: what is fetched behind it may be here before we go on.
            held.epoch = epoch
            starts[self.tp(number)] = held.progress.start
        await self.consumer.start_at(starts, epoch)

    async def read_again(self, partitions: dict[int, AssignedPartition]) -> None:
        """The same for partitions that may be paused."""
        if partitions:
            await self.seek(partitions)
            self.fetch(partitions)
