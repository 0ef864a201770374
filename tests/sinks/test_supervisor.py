"""The sinks of a process as they come to their end, without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import LocalConnector
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.connectors.settings import ConnectionSettings, OutputSettings
from cdp_stream.core.model.connection import Output
from cdp_stream.errors import BrokerError
from cdp_stream.settings import Settings
from cdp_stream.sinks.http.cancellation import Cancellation
from cdp_stream.sinks.http.secrets import Redaction, Secrets
from cdp_stream.sinks.preparation import PreparedOutput
from cdp_stream.sinks.reporting.metrics import SinkMetrics
from cdp_stream.sinks.supervisor import SinkJob, Supervisor
from tests.sinks.connectors import change
from tests.sinks.without_kafka import Producer, state_topics


class Place(LocalConnector[OutputSettings, ConnectionSettings]):
    """Takes everything, and may not be closed."""

    name = "place"
    title = "Place"
    summary = "For tests."

    def __init__(self, output: str, failure: Exception | None = None) -> None:
        super().__init__(output, OutputSettings())
        self.failure = failure
        self.is_closed = False

    async def write(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> Outcome:
        return Outcome()

    async def close(self) -> None:
        self.is_closed = True
        if self.failure is not None:
            raise self.failure


class App:
    """A Faust app that runs until it is stopped; one that hangs does not come to its end."""

    def __init__(self, hangs: bool) -> None:
        self._hangs = hangs
        self._crashed = asyncio.Event()
        self.assignment = SimpleNamespace(
            failure=None, failed=asyncio.Event(), ready=True, stop=self._release
        )
        self.consumer = SimpleNamespace(commit=self._nothing)

    async def start(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        await self._nothing()

    async def _release(self) -> None:
        if self._hangs:
            raise TimeoutError

    async def _nothing(self) -> None:
        await asyncio.sleep(0)


async def started(tmp_path: Path, *places: Place, hanging: str = "") -> Supervisor:
    """Sinks of these places, each of which has been written to."""

    def create(_settings: Any, output: str, _host: Any, **_more: Any) -> Any:
        return App(output == hanging)

    faults, state = state_topics(Producer())
    job = SinkJob(Settings(data_dir=tmp_path), create, Secrets({}))
    sinks = Supervisor(job, faults, state, Producer(), SinkMetrics(of_process=False))  # type: ignore[arg-type]
    for place in places:
        output = Output(place.output, "place", {})
        await sinks.start(PreparedOutput(output, place, Redaction(["a-secret"])), 1)
        await sinks._running[place.output].destination.deliver([change(1)], Cancellation())
    return sinks


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (Fault("output", "a part was removed, a-secret"), "a part was removed, ***"),
        (RuntimeError("a-secret"), "RuntimeError"),
        (OSError("a-secret"), "OSError"),
    ],
)
async def test_one_that_cannot_be_closed_stops_nobody_else(
    tmp_path: Path, failure: Exception, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = Place("bad", failure), Place("good")
    sinks = await started(tmp_path, bad, good)
    await sinks.run([], [])
    assert bad.is_closed
    assert good.is_closed
    assert sinks.failure is None
    facts: list[Any] = [one for one in caplog.records if one.msg == "output_close_failed"]
    assert [fact.facts["output"] for fact in facts] == ["bad"]
    assert facts[0].facts["reason"] == says


async def test_at_the_end_all_are_stopped(tmp_path: Path) -> None:
    bad, good = Place("bad", Fault("output", "a part was removed")), Place("good")
    sinks = await started(tmp_path, bad, good)
    assert await sinks.stop()
    assert bad.is_closed
    assert good.is_closed


async def test_one_that_does_not_end_is_not_started_again_beside_itself(tmp_path: Path) -> None:
    place = Place("out")
    sinks = await started(tmp_path, place, hanging="out")
    changed = PreparedOutput(Output("out", "place", {"retry_for": "1m"}), place, Redaction([]))
    async with asyncio.timeout(5):
        await sinks.run([changed], [])
    assert sinks.failed.is_set()
    assert isinstance(sinks.failure, BrokerError)
    assert sinks.report() == []


async def test_sinks_end_with_the_topics_that_they_go_by(tmp_path: Path) -> None:
    sinks = await started(tmp_path)
    error = RuntimeError()
    for watcher in sinks._faults.topic._watchers:
        watcher(error)
    assert sinks.failure is error
    assert sinks.failed.is_set()
    assert not sinks.ready
