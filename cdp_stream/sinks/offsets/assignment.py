"""The assigned partitions of an output's topic: what was fetched, what may be delivered, and from
where they are read.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from aiokafka.errors import KafkaError

from cdp_stream.kafka.clients.chunk import FETCHES_WAITING, Chunk
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.kafka.recovery.restore import find_lost_positions
from cdp_stream.kafka.runtime.record_queue import RecordQueue
from cdp_stream.observability.log import log
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.offsets.progress import Progress
from cdp_stream.sinks.output.context import OutputContext

__all__ = ["SLICE", "AssignedPartition", "Assignment"]

SLICE: Final = 500
"""Records read at a time: a few ms of blocked loop."""


class AssignedPartition(RecordQueue):
    """One partition: the records that wait, and how far it has been delivered.

    Attributes:
        saved: What `cdp.sink-state` has of its progress, as far as is known here.
        saved_at: When that was written, on a steady clock, seconds.
        last: Offset of the last record read since the last seek; -1 when none was.
        first_seen: When the first record that waits was written, epoch ms, while none is read.
    """

    def __init__(
        self, number: int, progress: Progress, saved: Mapping[str, Any] | None, budget: MemoryBudget
    ) -> None:
        super().__init__(budget)
        self.number = number
        self.progress = progress
        self.saved = saved
        self.saved_at = 0.0
        self.last = -1
        self.first_seen: int | None = None
        self._undefined: tuple[int, float] | None = None

    def take_slice(self) -> list[Any]:
        """Remove and return the next records that wait."""
        records = self.take(SLICE)
        if records:
            self.first_seen = None
        return records

    def note_read(self, last: int) -> None:
        """Note that the records up to an offset have been given to the pipeline or passed over."""
        self.last = last
        self.progress.read(last + 1)

    def undefined_for_s(self, offset: int) -> float:
        """For how many seconds a record has waited here for definitions that explain it."""
        now = time.monotonic()
        if self._undefined is None or self._undefined[0] != offset:
            self._undefined = offset, now
        return now - self._undefined[1]

    def clear(self) -> None:
        """Forget the records that wait; they will be fetched again."""
        super().clear()
        self.last = -1

    def step_back(self) -> None:
        """Forget everything that was not confirmed; it will be read again."""
        self.first_seen = self.oldest
        self.clear()
        self.progress.step_back()

    @property
    def oldest(self) -> int | None:
        """When the oldest change that runs was written, of those not confirmed; epoch ms."""
        oldest = self.progress.oldest
        return self.first_seen if oldest is None else oldest

    @property
    def oldest_unsent(self) -> int | None:
        """The same, stopped connections included."""
        known = (at for at in (self.oldest, self.progress.owed_since) if at is not None)
        return min(known, default=None)


class Assignment:
    """The partitions of one output that this worker is assigned.

    Attributes:
        partitions: By number.
        output_stopped: Whether the whole output is paused or has a fault.
        stopped_connections: Those that are paused or have a fault by themselves.
        readable: Set when there may be something to read.
        confirmed: Set when there may be something to commit.
    """

    def __init__(self, context: OutputContext) -> None:
        self._context = context
        self._epochs = itertools.count(1)
        self._is_open = False
        self.partitions: dict[int, AssignedPartition] = {}
        self.output_stopped = False
        self.stopped_connections: set[str] = set()
        self.readable = asyncio.Event()
        self.confirmed = asyncio.Event()

    @property
    def consumer(self) -> Any:
        """The app's."""
        return self._context.app.consumer

    def tp(self, number: int) -> TopicPartition:
        """The topic's partition of a number."""
        return TopicPartition(self._context.topic, number)

    # -- whether changes are delivered -------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether partitions are assigned, so that anything may be read and committed."""
        return self._is_open and self._context.tasks.failure is None

    @property
    def is_running(self) -> bool:
        """Whether anything may be delivered."""
        return self.is_open and not self.output_stopped

    def delivers(self, connection: str) -> bool:
        """Whether changes of a connection may be delivered."""
        return self.is_running and connection not in self.stopped_connections

    def open(self) -> None:
        """Let changes be read and delivered."""
        self._is_open = True
        self.notify()

    def close(self) -> None:
        """Let nothing more be read."""
        self._is_open = False

    def notify(self) -> None:
        """Wake both loops: something may be read, or committed."""
        self.readable.set()
        self.confirmed.set()

    def stop_output(self) -> None:
        """Deliver nothing more."""
        self.output_stopped = True

    async def resume_output(self) -> None:
        """Deliver again; everything is read again from where it was confirmed."""
        self.output_stopped = False
        await self._read_again(self.partitions.values())

    def stop_connection(self, connection: str) -> None:
        """Deliver nothing more of a connection."""
        self.stopped_connections.add(connection)
        for partition in self.partitions.values():
            partition.progress.stop(connection)
        self.confirmed.set()

    async def resume_connections(self, connections: Collection[str]) -> None:
        """Deliver connections again, each from where it was; nothing of them may be in flight."""
        self.stopped_connections.difference_update(connections)
        behind = [
            partition
            for partition in self.partitions.values()
            if sum([partition.progress.resume(connection) for connection in connections])
        ]
        await self._read_again(behind)

    async def unblock(self, deletions: Iterable[InFlight]) -> None:
        """Deliver connections again that were blocked behind the deletion of their audience."""
        behind = {}
        for item in deletions:
            partition = self.partitions.get(item.partition)
            if partition is not None and partition.progress.unblock(item.change.connection):
                behind[item.partition] = partition
        await self._read_again(behind.values())

    def step_back(self) -> None:
        """Forget everything that was not confirmed; it will be read again."""
        # One of which nothing has been seen is fetched until it is known since when it waits.
        if self.output_stopped:
            self._pause(n for n, one in self.partitions.items() if one.oldest is not None)
        for partition in self.partitions.values():
            partition.step_back()

    # -- records -----------------------------------------------------------------------------------

    def accept(self, number: int, chunk: Chunk) -> None:
        """Append a chunk to its partition; one fetched before the last seek is dropped."""
        partition = self.partitions.get(number)
        if partition is None:
            return
        if self.output_stopped:
            if partition.first_seen is None:
                partition.first_seen = chunk.records[0].timestamp
            self._pause([number])
        elif chunk.epoch == partition.epoch:
            if partition.add(chunk):
                self._pause([number])
            self.readable.set()

    def confirm(self, items: Collection[InFlight]) -> None:
        """Note what the partner has accepted, or never will."""
        self.confirm_offsets(
            (item.partition, item.offset, item.change.connection) for item in items
        )

    def confirm_offsets(self, confirmed: Iterable[tuple[int, int, str]]) -> None:
        """The same, by partition, offset and connection."""
        for number, offset, connection in confirmed:
            partition = self.partitions.get(number)
            if partition is not None:
                partition.progress.confirm(offset, connection)
        self.notify()

    def resume_drained(self, partition: AssignedPartition) -> None:
        """Fetch a partition again that was paused, if enough of it has been read."""
        if partition.drained():
            self._resume([partition])

    def is_paused(self, number: int) -> bool:
        """Whether a partition is not fetched for now: the output is stopped, or too much waits."""
        partition = self.partitions.get(number)
        return self.output_stopped or (partition is not None and partition.paused)

    # -- positions ---------------------------------------------------------------------------------

    async def starting_positions(self, numbers: Collection[int]) -> dict[int, int]:
        """The group's committed position of each partition; its beginning where there is none."""
        tps = {number: self.tp(number) for number in numbers}
        committed = await self.consumer.committed(list(tps.values()))
        known = {n: at for n, tp in tps.items() if (at := committed.get(tp)) is not None and at > 0}
        context = self._context
        client = client_settings(context.settings)
        for number in await find_lost_positions(client, context.topic, known):
            log("output_topic_replaced", level=logging.ERROR, output=context.output,
                partition=number, position=known.pop(number),
                next="find out who deleted the topic; it is sent from its beginning")  # fmt: skip
            await context.state.keep(context.output, number, None)
        fresh = [tp for number, tp in tps.items() if number not in known]
        starts = dict(await self.consumer.earliest_offsets(*fresh)) if fresh else {}
        return {n: known[n] if n in known else starts.get(tp, 0) for n, tp in tps.items()}

    async def assign(self, positions: Mapping[int, int]) -> None:
        """Have exactly these partitions, each read from where it was confirmed."""
        context = self._context
        self.stopped_connections = set(context.faults.stopped_connections(context.output))
        self.output_stopped = context.faults.record(context.output) is not None
        self.partitions = {}
        for number, position in positions.items():
            saved = context.state.kept(context.output, number)
            progress = Progress(position, saved, self.stopped_connections)
            self.partitions[number] = AssignedPartition(number, progress, saved, context.waiting)
        self.consumer.fetch_at_most(context.waiting.share() // FETCHES_WAITING, len(positions))
        await self._seek(self.partitions.values())

    async def waiting(self) -> tuple[int, int | None] | None:
        """How many records wait, and when the oldest was written, epoch ms; None while Kafka cannot
        be asked.
        """
        tps = {self.tp(number): partition for number, partition in self.partitions.items()}
        with contextlib.suppress(KafkaError):
            ends = await self.consumer.highwaters(*tps) if tps else {}
            lag, dates = 0, []
            for tp, partition in tps.items():
                progress = partition.progress
                behind = max(0, (ends.get(tp) or 0) - progress.position) + progress.owed
                lag += behind
                if behind and (at := partition.oldest_unsent) is not None:
                    dates.append(at)
            return lag, min(dates, default=None)
        return None

    async def reached(
        self, connection: str, numbers: Collection[int]
    ) -> Mapping[int, tuple[int, int]]:
        """How far a connection has been delivered in partitions of any worker, and where these end;
        empty while Kafka cannot be asked.
        """
        tps = {self.tp(number): number for number in numbers}
        found: dict[int, tuple[int, int]] = {}
        with contextlib.suppress(KafkaError):
            ends = await self.consumer.highwaters(*tps)
            committed = await self.consumer.committed(list(tps))
            for tp, number in tps.items():
                saved = self._context.state.kept(self._context.output, number) or {}
                own = saved.get("connections", {}).get(connection, {})
                at = committed.get(tp) or 0
                found[number] = min(at, own.get("offset", at)), ends[tp]
        return found

    # -- fetching ----------------------------------------------------------------------------------

    def _pause(self, numbers: Iterable[int]) -> None:
        if tps := {self.tp(number) for number in numbers}:
            self.consumer.pause_partitions(tps)

    def _resume(self, partitions: Iterable[AssignedPartition]) -> None:
        self.consumer.resume_partitions({self.tp(partition.number) for partition in partitions})

    async def _seek(self, partitions: Collection[AssignedPartition]) -> None:
        """Read partitions from where their progress begins."""
        if not partitions:
            return
        epoch = next(self._epochs)
        starts = {}
        for partition in partitions:
            partition.clear()
            # Before the seek: what is fetched behind it may be here before we go on.
            partition.epoch = epoch
            starts[self.tp(partition.number)] = partition.progress.start
        await self.consumer.start_at(starts, epoch)

    async def _read_again(self, partitions: Collection[AssignedPartition]) -> None:
        """The same for partitions that may be paused; a stopped output does so as it is resumed."""
        if partitions and not self.output_stopped:
            await self._seek(partitions)
            self._resume(partitions)
