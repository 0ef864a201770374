"""What is taken of what was fetched, in which turn, and what stops it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.core.model.connection import Connection
from cdp_stream.kafka.clients.chunk import Chunk
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.sinks.delivery.delivery_settings import DeliverySettings
from cdp_stream.sinks.delivery.pipeline import Pipeline
from cdp_stream.sinks.delivery.record_reader import RecordReader
from cdp_stream.sinks.http.cancellation import Cancellation
from cdp_stream.sinks.http.secrets import Redaction, Secrets
from cdp_stream.sinks.offsets.assignment import SLICE, Assignment
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.offsets.progress import Progress
from cdp_stream.sinks.output.audience_deletions import AudienceDeletions
from cdp_stream.sinks.output.intake import Intake
from cdp_stream.wall_clock import wall_ms
from tests.sinks.connectors import Post, PostSettings, message
from tests.sinks.without_kafka import assignment, context, sink_state, until


class Quick(Post):
    """Batches a hundred changes, for a millisecond."""

    batching = Batching(count=100, interval_ms=1)


class Place:
    """A destination that keeps what it is given."""

    most = 1

    def __init__(self) -> None:
        self.taken: list[OutputChange[Any]] = []
        self.added = asyncio.Event()

    async def open(self) -> None:
        return None

    async def deliver(
        self, changes: Sequence[OutputChange[Any]], cancellation: Cancellation
    ) -> Outcome:
        cancellation.check()
        self.taken += changes
        self.added.set()
        return Outcome()

    async def idle(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def has(self, count: int) -> None:
        while len(self.taken) < count:
            self.added.clear()
            await asyncio.wait_for(self.added.wait(), 10)


class Producer:
    """Takes every record."""

    def __init__(self) -> None:
        self.written: list[tuple[str, int, bytes, list[tuple[str, bytes]]]] = []

    async def send(
        self,
        topic: str,
        value: bytes,
        *,
        partition: int,
        headers: list[tuple[str, bytes]],
        key: Any,
    ) -> asyncio.Future[None]:
        self.written.append((topic, partition, value, headers))
        sent = asyncio.get_running_loop().create_future()
        sent.set_result(None)
        return sent


class Sink:
    """One output's intake and pipeline, of partitions that a test fills."""

    budget: MemoryBudget
    producer: Producer
    place: Place
    assignment: Assignment
    delivery_settings: DeliverySettings
    intake: Intake

    @classmethod
    async def of(cls, *progress: Progress) -> Sink:
        made = cls()
        made.budget, made.place = MemoryBudget(), Place()
        made.faults: list[tuple[Fault, Mapping[str, Any]]] = []
        connector = Quick("out", PostSettings(url="https://partner.example"))
        made.producer = Producer()
        state = sink_state()
        made.delivery_settings = DeliverySettings(state)
        reader = RecordReader(connector, Secrets({}), Redaction(()), made.delivery_settings, state)
        of = context(
            made.place, connector=connector, waiting=made.budget, producer=made.producer,
            reader=reader, state=state,
        )  # fmt: skip
        made.app, made.assignment = of.app, await assignment(of, *progress)
        for partition in made.assignment.partitions.values():
            partition.epoch = 1
        pipeline = Pipeline(of, made.assignment, None, made)
        deletions = AudienceDeletions(
            state, len(progress), send=pipeline.add_alone, over=made.confirm
        )
        made.intake = Intake(of, made.assignment, pipeline, deletions, made)
        return made

    def delivered(self, items: Collection[InFlight]) -> None:
        self.assignment.confirm(items)

    def delivery_failed(self, fault: Fault, change: OutputChange[Any]) -> None:
        raise AssertionError(fault)

    def confirm(self, item: InFlight) -> None:
        raise AssertionError(item)

    def fault(self, fault: Fault, connection: str, message: Mapping[str, Any]) -> None:
        self.faults.append((fault, message))
        self.assignment.stop_connection(connection)

    def fill(self, number: int, first: int, values: Sequence[bytes], at: int = 1) -> None:
        records = [
            SimpleNamespace(offset=first + place, value=value, key=b"", timestamp=at, headers=())
            for place, value in enumerate(values)
        ]
        self.assignment.accept(number, Chunk(records, 1))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Place]:
        task = asyncio.create_task(self.intake.run())
        try:
            yield self.place
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_partition_is_not_fetched_while_more_than_its_share_waits() -> None:
    sink = await Sink.of(Progress(0, None, ()), Progress(0, None, ()))
    partition = sink.assignment.partitions[0]
    sink.fill(0, 1, [b"x" * 250])
    sink.budget.size = 4 * partition.size
    for offset in (2, 3, 4):
        sink.fill(0, offset, [b"x" * 250])
        assert sink.app.paused == ({sink.assignment.tp(0)} if offset > 2 else set())
    resumed = []
    while partition.count:
        partition.take(1)
        sink.assignment.resume_drained(partition)
        resumed.append(not sink.app.paused)
    assert resumed == [False, False, True, True]


async def test_partitions_are_served_in_turn_while_there_is_little_room() -> None:
    sink = await Sink.of(*(Progress(0, None, ()) for _ in range(8)))
    for number in range(8):
        sink.fill(number, 0, [message(n, mpid=number) for n in range(2 * SLICE)])
    async with sink.running() as place:
        await place.has(8 * SLICE)
        assert {change.mpid for change in place.taken[: 8 * SLICE]} == set("01234567")
        await place.has(16 * SLICE)


async def test_a_partition_is_not_fetched_while_what_waits_takes_more_than_its_share() -> None:
    sink = await Sink.of(Progress(0, None, ()))
    sink.budget.size = 100_000
    sink.fill(0, 0, [message(n, mpid=1) for n in range(100)])
    assert not sink.app.paused
    sink.fill(0, 100, [message(n, mpid=1) for n in range(100, SLICE)])
    assert sink.assignment.is_paused(0)
    assert len(sink.app.paused) == 1
    async with sink.running() as place:
        await place.has(SLICE)
    assert not sink.assignment.is_paused(0)
    assert not sink.app.paused


async def test_a_record_that_is_no_change_is_rejected_and_then_confirmed() -> None:
    sink = await Sink.of(Progress(0, None, ()), Progress(0, None, ()))
    sink.fill(1, 7, [b"no change"])
    progress = sink.assignment.partitions[1].progress
    async with sink.running():
        await until(lambda: progress.position == 8)
    ((topic, partition, value, headers),) = sink.producer.written
    assert (topic, partition, value) == ("cdp.output.out.rejected", 1, b"no change")
    assert headers == [("reason", b"it is not JSON"), ("output", b"out"), ("offset", b"7")]


UNSET = {"list_id": "${CDP_SECRET_NOT_SET}"}
UNSET_OF_A = Connection("a@out", "a", "out", settings=UNSET)


async def test_what_was_delivered_before_is_no_fault_when_it_is_read_again() -> None:
    # b catches up; a is past the record with settings that could not be used now.
    sink = await Sink.of(Progress(3, {"connections": {"b@out": {"offset": 0}}}, ()))
    await sink.delivery_settings.define([UNSET_OF_A])
    sink.fill(0, 0, [
        message(1, mpid=1, settings=UNSET), message(2, mpid=1, audience="b"), message(3, mpid=1),
        message(4, mpid=1),
    ])  # fmt: skip
    async with sink.running() as place:
        await place.has(2)
    assert [change.effective_at for change in place.taken] == [2, 4]
    assert sink.faults == []


async def test_a_connection_stops_at_the_record_that_it_cannot_go_on_at() -> None:
    sink = await Sink.of(Progress(0, {"confirmed": [[1, 1]]}, ()))
    await sink.delivery_settings.define([UNSET_OF_A])
    sink.fill(0, 0, [
        message(1, mpid=1, audience="b"), message(2, mpid=1), message(3, mpid=1, settings=UNSET),
        message(4, mpid=1), message(5, mpid=1, audience="b"),
    ])  # fmt: skip
    progress = sink.assignment.partitions[0].progress
    async with sink.running() as place:
        await place.has(2)
    assert [change.effective_at for change in place.taken] == [1, 5]
    ((fault, about),) = sink.faults
    assert "CDP_SECRET_NOT_SET is not set" in fault.message
    assert about["effective_at"] == 3
    assert (progress.owed, progress.owed_since) == (2, 1)
    assert progress.resume("a@out")
    assert progress.start == 2


NEW = {"list_id": "new"}


@pytest.mark.parametrize("place_of_it", [0, 3, SLICE + 2])
async def test_a_record_of_definitions_that_are_not_here_yet_waits_for_them(
    place_of_it: int,
) -> None:
    sink = await Sink.of(*(Progress(0, None, ()) for _ in range(2)))
    sink.fill(0, 0, [
        message(n, mpid=1, settings=NEW if n == place_of_it else None) for n in range(SLICE + 5)
    ], at=wall_ms())  # fmt: skip
    sink.fill(0, SLICE + 5, [message(SLICE + 5, mpid=1)])
    sink.fill(1, 0, [message(1, mpid=3)])
    async with sink.running() as place:
        await place.has(place_of_it + 1)
        await until(sink.delivery_settings.has_read_earlier)
        assert [one.effective_at for one in place.taken if one.mpid == "1"] == [*range(place_of_it)]
        assert "3" in {one.mpid for one in place.taken}, "the other partition goes on"
        await sink.delivery_settings.define([Connection("a@out", "a", "out", settings=NEW)])
        sink.assignment.readable.set()
        await place.has(SLICE + 7)
    assert [one.effective_at for one in place.taken if one.mpid == "1"] == [*range(SLICE + 6)]
    assert sink.faults == []
    assert sink.assignment.partitions[0].progress.position == SLICE + 6


async def test_settings_that_no_definitions_gave_stop_their_connection_alone() -> None:
    sink = await Sink.of(Progress(0, None, ()))
    await sink.delivery_settings.define([Connection("a@out", "a", "out")])
    sink.fill(0, 0, [
        message(1, mpid=1, audience="b"), message(2, mpid=1, settings=NEW),
        message(3, mpid=1, settings=NEW), message(4, mpid=1, audience="b"),
    ])  # fmt: skip
    async with sink.running() as place:
        await place.has(1)
        await until(sink.delivery_settings.has_read_earlier)
        sink.assignment.readable.set()
        await place.has(2)
    assert [change.effective_at for change in place.taken] == [1, 4]
    ((fault, about),) = sink.faults
    assert "no definitions gave connection a@out" in fault.message
    assert about["effective_at"] == 2
    progress = sink.assignment.partitions[0].progress
    assert progress.resume("a@out")
    assert progress.start == 1
