"""Destinations that are no HTTP service: written one batch at a time, tried again, closed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import LocalConnector
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.connectors.settings import ConnectionSettings, OutputSettings
from cdp_stream.sinks.destination import LocalDestination, Watch
from cdp_stream.sinks.environment import Redaction
from cdp_stream.sinks.stopping import AbandonedError, Stopping
from tests.sinks.connectors import change


class Place(LocalConnector[OutputSettings, ConnectionSettings]):
    """Writes to a list; fails as it is told first."""

    name = "place"
    title = "Place"
    summary = "For tests."

    def __init__(self, *failures: Exception, retry_for: str = "10m") -> None:
        super().__init__("out", OutputSettings(retry_for=retry_for))
        self.failures = list(failures)
        self.did: list[str] = []

    async def open(self, directory: Path) -> None:
        assert directory.is_dir()
        self.did.append("open")

    async def write(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> Outcome:
        if self.failures:
            raise self.failures.pop(0)
        self.did += [one.message_id for one in changes]
        return Outcome()

    async def idle(self) -> None:
        self.did.append("idle")
        raise OSError("full")

    async def close(self) -> None:
        self.did.append("close")


def destination(place: Place, tmp_path: Path) -> tuple[LocalDestination, list[str]]:
    told: list[str] = []
    watch = Watch(asked=lambda _s: told.append("asked"), retried=lambda: told.append("retried"))
    return LocalDestination(place, tmp_path / "out", Redaction(["a-secret"]), watch), told


async def test_it_is_opened_written_and_closed(tmp_path: Path) -> None:
    place = Place()
    to, told = destination(place, tmp_path)
    await to.idle()
    assert await to.deliver([change(1), change(2)], Stopping()) == Outcome()
    await to.deliver([change(3)], Stopping())
    await to.idle()
    await to.close()
    assert place.did == ["open", "a:7:1:0", "a:7:2:0", "a:7:3:0", "idle", "close"]
    assert told == ["asked", "asked"]


async def test_what_may_pass_is_tried_again(tmp_path: Path) -> None:
    place = Place(OSError("away"), TimeoutError())
    to, told = destination(place, tmp_path)
    assert await to.deliver([change(1)], Stopping()) == Outcome()
    assert told == ["asked", "retried", "asked", "retried", "asked"]


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (Fault("output", "no rights with a-secret"), "no rights with \\*\\*\\*"),
        (RuntimeError("a-secret"), "connector place failed \\(RuntimeError\\)"),
        (OSError("away with a-secret"), "nothing could be written for 0 s: away with \\*\\*\\*"),
    ],
)
async def test_what_does_not_pass_is_a_fault(tmp_path: Path, failure: Exception, says: str) -> None:
    to, _ = destination(Place(failure, failure, retry_for="1ms"), tmp_path)
    with pytest.raises(Fault, match=says) as told:
        await to.deliver([change(1)], Stopping())
    assert "a-secret" not in told.value.message


async def test_told_to_stop_it_writes_nothing(tmp_path: Path) -> None:
    place = Place()
    to, _ = destination(place, tmp_path)
    stopping = Stopping()
    stopping.set()
    with pytest.raises(AbandonedError):
        await to.deliver([change(1)], stopping)
    assert place.did == []
