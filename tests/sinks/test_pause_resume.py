"""Stopping and going on, of an output whose requests take changes of several connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.sinks.delivery.pipeline import Pipeline
from cdp_stream.sinks.http.cancellation import Cancellation
from cdp_stream.sinks.offsets.assignment import Assignment
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.offsets.progress import Progress
from cdp_stream.sinks.output.audience_deletions import AudienceDeletions
from cdp_stream.sinks.output.committer import Committer
from cdp_stream.sinks.output.context import OutputContext
from cdp_stream.sinks.output.pause_resume import PauseResume
from cdp_stream.sinks.state.faults import Faults, paused, running
from tests.sinks.connectors import change
from tests.sinks.without_kafka import App, assignment, context, until

MIXED = Batching(count=2, interval_ms=1000, per_connection=False)


class Slow:
    """A partner that takes nothing until it is let; an attempt more is made only if wanted."""

    most = 4

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.asked: list[str] = []
        self.taken: list[str] = []
        self.lost: str | None = None

    async def open(self) -> None:
        return None

    async def deliver(
        self, changes: Sequence[OutputChange[Any]], cancellation: Cancellation
    ) -> Outcome:
        self.asked += [change.connection for change in changes]
        await cancellation.unless(self.may.wait())
        self.taken += [change.connection for change in changes]
        return Outcome()

    async def idle(self) -> None:
        if self.lost is not None:
            raise Fault("output", self.lost)

    async def close(self) -> None:
        return None


class Sink:
    """One partition of one output, its parts as `output_sink.py` puts them together."""

    partner: Slow
    context: OutputContext
    assignment: Assignment
    pipeline: Pipeline
    pause_resume: PauseResume

    @classmethod
    async def of(cls, partner: Slow) -> Sink:
        made = cls()
        made.partner = partner
        connector = SimpleNamespace(gathering=MIXED)
        made.context = of = context(partner, connector=connector)
        made.assignment = parts = await assignment(of, Progress(0, None, ()))
        made.pipeline = Pipeline(of, parts, None, made)
        deletions = AudienceDeletions(of.state, 1, send=made.pipeline.add_alone, over=_never)
        made.pause_resume = PauseResume(of, parts, made.pipeline, deletions, Committer(of, parts))
        of.faults.topic.listen(lambda _key: made.pause_resume.changed.set())
        return made

    def delivered(self, items: Collection[InFlight]) -> None:
        self.assignment.confirm(items)

    def delivery_failed(self, fault: Fault, change: OutputChange[Any]) -> None:
        self.pause_resume.fault(fault, change.connection)

    @property
    def app(self) -> App:
        app: App = self.context.app
        return app

    @property
    def faults(self) -> Faults:
        return self.context.faults

    @property
    def progress(self) -> Progress:
        return self.assignment.partitions[0].progress

    def take(self, offset: int, connection: str) -> None:
        assert self.progress.admit(offset, connection)
        item = InFlight(change(offset, connection=connection), 0, offset, b"7", b"{}")
        self.pipeline.add(item, 0.0)
        self.progress.read(offset + 1)


def _never(item: InFlight) -> None:
    raise AssertionError(item)


@asynccontextmanager
async def sink() -> AsyncIterator[Sink]:
    """A request with a change of `a@out` and one of `b@out` is on its way."""
    made = await Sink.of(Slow())
    task = asyncio.create_task(made.pause_resume.run())
    made.take(0, "a@out")
    made.take(1, "b@out")
    await until(lambda: made.partner.asked == ["a@out", "b@out"])
    try:
        yield made
    finally:
        task.cancel()
        await made.context.tasks.finish_writes(5)
        await asyncio.gather(task, return_exceptions=True)
        made.partner.may.set()
        await made.pipeline.drain(1)


async def stop_and_resume(made: Sink, connection: str) -> None:
    await made.faults.put(paused("out", connection, 1))
    await until(lambda: connection in made.assignment.stopped_connections)
    await made.faults.put(running("out", connection, 2))


async def test_a_connection_goes_on_when_its_request_has_ended() -> None:
    async with sink() as made:
        await stop_and_resume(made, "a@out")
        await until(lambda: not made.pause_resume.changed.is_set())
        assert made.assignment.stopped_connections == {"a@out"}
        made.partner.may.set()
        await until(lambda: not made.assignment.stopped_connections)
        assert made.partner.taken == ["a@out", "b@out"]
        assert made.progress.position_of("a@out") == made.progress.position == 2


async def test_one_that_waits_for_its_request_keeps_nothing_else_from_stopping() -> None:
    async with sink() as made:
        await stop_and_resume(made, "a@out")
        await made.faults.put(paused("out", "b@out", 3))
        await until(lambda: made.assignment.stopped_connections == {"a@out", "b@out"})
        assert not made.assignment.is_paused(0)
        await made.faults.put(paused("out", None, 4))
        await until(
            lambda: made.assignment.output_stopped and not made.pipeline.in_flight({"b@out"})
        )
        assert made.assignment.is_paused(0)
        assert made.partner.taken == []
        await made.faults.put(running("out", None, 5))
        await until(lambda: made.app.started == [{0: 0}])
        assert made.assignment.stopped_connections == {"b@out"}


async def test_one_that_waits_for_its_request_keeps_nobody_from_releasing() -> None:
    async with sink() as made:
        await stop_and_resume(made, "a@out")
        await until(lambda: not made.pause_resume.changed.is_set())
        made.assignment.close()
        async with asyncio.timeout(5), made.pause_resume.lock:
            await made.pause_resume.drain()
        made.pause_resume.changed.set()
        await until(lambda: not made.pause_resume.changed.is_set())
        assert made.assignment.stopped_connections == {"a@out"}


async def test_an_output_that_faults_while_a_connection_is_resumed_stays_stopped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with sink() as made:
        made.partner.may.set()
        await until(lambda: made.progress.position == 2)
        await made.faults.put(paused("out", "a@out", 1))
        await until(lambda: "a@out" in made.assignment.stopped_connections)
        assert not made.progress.admit(2, "a@out")
        made.progress.read(3)
        made.app.seeking = lambda: made.pause_resume.fault(Fault("output", "no more"), "b@out")
        await made.faults.put(running("out", "a@out", 2))
        await until(lambda: bool(made.app.started))
        await until(lambda: made.faults.record("out") is not None)
        await until(
            lambda: not made.pause_resume.changed.is_set() and not made.pause_resume.lock.locked()
        )
        assert made.assignment.output_stopped
        assert made.app.started == [{0: 2}]
        assert "output_resumed" not in [record.msg for record in caplog.records]


async def tended(made: Sink, lost: str | None) -> str | None:
    """What cdp.faults says of the output after a look at its destination."""
    made.partner.lost = lost
    await made.pause_resume.check_destination()
    await made.context.tasks.finish_writes(5)
    record = made.faults.record("out")
    return None if record is None else record["message"]


async def test_what_a_destination_lost_between_deliveries_is_a_fault_of_the_output() -> None:
    async with sink() as made:
        assert await tended(made, None) is None
        assert await tended(made, "a part was removed") == "a part was removed"
        assert made.assignment.output_stopped


async def test_a_loss_while_the_output_is_stopped_is_a_fault_as_it_resumes() -> None:
    async with sink() as made:
        assert await tended(made, "no rights") == "no rights"
        assert await tended(made, "no rights") == "no rights"
        await made.faults.put(running("out", None, 5))
        await until(lambda: not made.assignment.output_stopped)
        assert await tended(made, None) is None
        await made.faults.put(paused("out", None, 6))
        await until(lambda: made.assignment.output_stopped)
        assert await tended(made, "a part was removed") is None
        await made.faults.put(running("out", None, 7))
        await until(lambda: not made.assignment.output_stopped)
        assert await tended(made, None) == "a part was removed"
