"""Destinations that are no HTTP service: written one batch at a time, tried again, closed."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import LocalConnector
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.connectors.in_thread import in_thread
from cdp_stream.connectors.partners.file import File, FileSettings
from cdp_stream.connectors.partners.kafka_topic import KafkaConnector, KafkaSettings
from cdp_stream.connectors.partners.sqlite import Sqlite, SqliteSettings
from cdp_stream.connectors.settings import ConnectionSettings, OutputSettings
from cdp_stream.sinks.delivery.destination import LocalDestination, destination_of
from cdp_stream.sinks.http.cancellation import AbandonedError, Cancellation
from cdp_stream.sinks.http.secrets import Redaction
from cdp_stream.sinks.reporting.metrics import SinkMetrics
from tests.sinks.connectors import Post, PostSettings, change
from tests.sinks.without_kafka import until

UNWATCHED = SinkMetrics(of_process=False).of("out")


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
        assert directory.stat().st_mode & 0o777 == 0o700, "what is there is nobody else's"
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
    metrics: Any = SimpleNamespace(
        attempted=lambda _seconds: told.append("asked"), retried=lambda: told.append("retried")
    )
    return LocalDestination(place, tmp_path / "out", Redaction(["a-secret"]), metrics), told


async def test_it_is_opened_written_and_closed(tmp_path: Path) -> None:
    place = Place()
    to, told = destination(place, tmp_path)
    await to.idle()
    assert await to.deliver([change(1), change(2)], Cancellation()) == Outcome()
    await to.deliver([change(3)], Cancellation())
    await to.idle()
    await to.close()
    assert place.did == ["open", "a:7:1:0", "a:7:2:0", "a:7:3:0", "idle", "close"]
    assert told == ["asked", "asked"]


async def test_what_may_pass_is_tried_again(tmp_path: Path) -> None:
    place = Place(OSError("away"), TimeoutError())
    to, told = destination(place, tmp_path)
    assert await to.deliver([change(1)], Cancellation()) == Outcome()
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
    with pytest.raises(Fault, match=says) as raised:
        await to.deliver([change(1)], Cancellation())
    assert "a-secret" not in raised.value.message


async def idle_on(to: LocalDestination) -> None:
    async with asyncio.timeout(5):
        while True:
            await to.idle()


async def test_what_is_lost_between_deliveries_is_a_fault(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    made = File("out", FileSettings(directory=str(folder), rotate_after="1ms"))
    to = LocalDestination(made, tmp_path / "out", Redaction([str(tmp_path)]), UNWATCHED)
    await to.deliver([change(1)], Cancellation())
    next(folder.glob(".out-*.part")).unlink()
    with pytest.raises(Fault, match=r"\*\*\*/files/.* was removed while it was written"):
        await idle_on(to)
    await to.idle()
    await to.deliver([change(2)], Cancellation())
    next(folder.glob(".out-*.part")).unlink()
    with pytest.raises(Fault, match=r"\*\*\*/files/.* was removed while it was written"):
        await to.close()


async def test_told_to_stop_it_writes_nothing(tmp_path: Path) -> None:
    place = Place()
    to, _ = destination(place, tmp_path)
    cancellation = Cancellation()
    cancellation.set()
    with pytest.raises(AbandonedError):
        await to.deliver([change(1)], cancellation)
    assert place.did == []


class Threaded(Place):
    """Writes in a thread, which goes on when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()

    async def write(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> Outcome:
        await in_thread(self._write, changes)
        return Outcome()

    def _write(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> None:
        self.did.append("begun")
        assert self.may.wait(5)
        self.did.append(changes[0].message_id)


async def cancelled(to: LocalDestination, place: Threaded) -> None:
    """A delivery whose thread writes on."""
    first = asyncio.create_task(to.deliver([change(1)], Cancellation()))
    await until(lambda: "begun" in place.did)
    first.cancel()
    await asyncio.wait({first})
    assert place.did == ["open", "begun"]


async def test_nothing_is_done_beside_a_thread_that_a_cancelled_delivery_left_behind(
    tmp_path: Path,
) -> None:
    place = Threaded()
    to, _ = destination(place, tmp_path)
    await cancelled(to, place)
    await to.idle()
    second = asyncio.create_task(to.deliver([change(2)], Cancellation()))
    ending = asyncio.create_task(to.close())
    for _ in range(10):
        await asyncio.sleep(0)
    assert place.did == ["open", "begun"]
    place.may.set()
    await second
    await ending
    assert place.did == ["open", "begun", "a:7:1:0", "begun", "a:7:2:0", "close"]


async def test_one_that_takes_too_long_is_closed_when_its_thread_has_ended(tmp_path: Path) -> None:
    place = Threaded()
    to = LocalDestination(place, tmp_path / "out", Redaction([]), UNWATCHED, close_s=0.0)
    await cancelled(to, place)
    with pytest.raises(TimeoutError):
        await to.close()
    assert "close" not in place.did
    place.may.set()
    await until(lambda: "close" in place.did)
    assert place.did == ["open", "begun", "a:7:1:0", "close"]


async def test_one_that_waits_without_a_thread_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    class Waits(Place):
        async def write(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> Outcome:
            self.did.append("begun")
            await asyncio.Event().wait()
            return Outcome()

    place = Waits()
    to, _ = destination(place, tmp_path)
    first = asyncio.create_task(to.deliver([change(1)], Cancellation()))
    await until(lambda: "begun" in place.did)
    first.cancel()
    await to.close()
    assert place.did == ["open", "begun", "close"]


def local(connector: Any, tmp_path: Path) -> LocalDestination:
    return LocalDestination(connector, tmp_path / "out", Redaction([]), UNWATCHED)


async def test_a_database_that_was_locked_for_long_goes_on(tmp_path: Path) -> None:
    path, begun = tmp_path / "crm.db", threading.Event()
    connector = Sqlite("out", SqliteSettings(path=str(path)))
    to = local(connector, tmp_path)
    await to.deliver([change(0, mpid=6)], Cancellation())
    assert connector._database is not None
    connector._database.set_trace_callback(lambda _statement: begun.set())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        first = asyncio.create_task(to.deliver([change(1)], Cancellation()))
        await until(begun.is_set)
        first.cancel()
        await asyncio.wait({first})
        second = asyncio.create_task(to.deliver([change(1), change(2, mpid=8)], Cancellation()))
        await asyncio.sleep(0)
        other.execute("ROLLBACK")
        assert await second == Outcome()
        await to.close()
        rows = other.execute("SELECT mpid FROM cdp_memberships ORDER BY mpid").fetchall()
    assert rows == [("6",), ("7",), ("8",)]


async def test_a_file_that_takes_long_has_every_line_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, beside = threading.Event(), threading.Event()
    fdatasync = os.fdatasync

    def slowly(descriptor: int) -> None:
        if at_work.is_set():
            beside.set()
        at_work.set()
        beside.wait(0.05)
        fdatasync(descriptor)

    folder = tmp_path / "files"
    to = local(File("out", FileSettings(directory=str(folder))), tmp_path)
    await to.deliver([numbered(1)], Cancellation())
    monkeypatch.setattr(os, "fdatasync", slowly)
    first = asyncio.create_task(to.deliver([numbered(2)], Cancellation()))
    await until(at_work.is_set)
    first.cancel()
    await asyncio.wait({first})
    await to.deliver([numbered(2), numbered(3)], Cancellation())
    await to.deliver([numbered(4)], Cancellation())
    await to.close()
    (file,) = folder.iterdir()
    assert [json.loads(line)["n"] for line in file.read_text().splitlines()] == [1, 2, 3, 4]


def numbered(number: int) -> OutputChange[Any]:
    return change(number, n=number)


class Calling(Place):
    """Would call hosts."""

    def __init__(self, *hosts: str | None) -> None:
        super().__init__()
        self._hosts = hosts

    @property
    def hosts(self) -> tuple[str | None, ...]:
        return self._hosts


@pytest.mark.parametrize(
    ("hosts", "is_inside"),
    [
        (("93.184.216.34",), False),
        (("93.184.216.34", "10.0.0.1"), True),
        (("localhost",), True),
        (("169.254.169.254",), True),
        ((None,), True),
        ((), False),
    ],
)
async def test_operators_can_forbid_places_inside(
    tmp_path: Path, hosts: tuple[str | None, ...], is_inside: bool
) -> None:
    place = Calling(*hosts)
    to = LocalDestination(place, tmp_path, Redaction(), UNWATCHED, allow_private=False)
    if is_inside:
        with pytest.raises(Fault, match=r"which operators forbid \(allow_private\)"):
            await to.deliver([change(1)], Cancellation())
        assert place.did == []
    else:
        assert await to.deliver([change(1)], Cancellation()) == Outcome()
    allowed = Calling(*hosts)
    to = LocalDestination(allowed, tmp_path, Redaction(), UNWATCHED)
    assert await to.deliver([change(1)], Cancellation()) == Outcome()


async def test_operators_can_forbid_partners_inside_whatever_definitions_say() -> None:
    connector = Post("out", PostSettings(url="http://127.0.0.1:1", allow_private=True))
    to = destination_of(connector, Path(), Redaction(), UNWATCHED, allow_private=False)
    await to.open()
    with pytest.raises(Fault, match=r"operators forbid that \(allow_private\)"):
        await to.deliver([change(1)], Cancellation())
    await to.close()


@pytest.mark.parametrize(
    ("broker", "hosts"),
    [
        ("kafka-1:9092, kafka-2:9092", ("kafka-1", "kafka-2")),
        ("[::1]:9092", ("::1",)),
        ("kafka", ("kafka",)),
    ],
)
def test_the_hosts_of_brokers(broker: str, hosts: tuple[str, ...]) -> None:
    assert KafkaConnector("out", KafkaSettings(broker=broker, topic="t")).hosts == hosts
