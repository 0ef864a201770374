"""Sinks in the test's own process, on Kafka, with connectors and definitions of the test's own."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiokafka.admin import NewPartitions, NewTopic

from cdp_stream.core.model.connection import Connection, Output
from cdp_stream.kafka.clients.admin import started_admin
from cdp_stream.settings import Settings
from cdp_stream.sinks.http.secrets import Secrets
from cdp_stream.sinks.process import serve_sinks
from cdp_stream.sinks.supervisor import SinkJob
from cdp_stream.wall_clock import wall_ms
from tests.sinks.connectors import Listed, Post, message
from tests.sinks.running import PARTITIONS, Running
from tests.topologies.running import eventually
from topologies.sinks import create_sink

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@dataclass
class Lists:
    """A partner that holds lists, and may refuse one of them."""

    url: str = ""
    lists: dict[str, str] = field(default_factory=dict)
    made: int = 0
    members: dict[str | None, set[str]] = field(default_factory=dict)
    taken: list[tuple[str, str]] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if request.path == "/lists":
            self.made += 1
            list_id = self.lists.setdefault(body["name"], f"list-{self.made}")
            return web.json_response({"id": list_id})
        if any(change["connection"] in self.gone for change in body):
            return web.Response(status=410, text="no such list")
        for change in body:
            self.taken.append((change["id"], change["connection"]))
            there = self.members.setdefault(change["list"], set())
            (there.add if change["action"] == "add" else there.discard)(change["mpid"])
        return web.Response()


@asynccontextmanager
async def lists() -> AsyncIterator[Lists]:
    held = Lists()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", held.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    held.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield held
    finally:
        await runner.cleanup()


class Changing:
    """Definitions that a test changes."""

    def __init__(self, *outputs: Output) -> None:
        self.changed: Callable[[], None] = lambda: None
        self.earlier: list[Connection] = []
        self.define(*outputs)

    def define(self, *outputs: Output, connections: Sequence[Connection] = ()) -> None:
        account = SimpleNamespace(outputs=outputs, connections=connections)
        self.latest: Any = SimpleNamespace(account=account, version="1")
        self.changed()

    def between(self, version: str | None, later: str) -> list[Any]:
        assert (version, later) == ("0", "1")
        return [SimpleNamespace(connections=self.earlier)]

    async def start(self, changed: Callable[[], None]) -> None:
        self.changed = changed

    async def stop(self) -> None:
        return None


@asynccontextmanager
async def serving(
    settings: Settings, definitions: Changing, kind: type[Post], directory: Path
) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    settings = Settings(
        broker=settings.broker, prefix=settings.prefix, data_dir=directory, session_timeout=6,
        rebalance_timeout=6,
    )  # fmt: skip
    job = SinkJob(
        settings,
        create_sink,
        Secrets({"CDP_SECRET_KEY": "a-secret-key"}),
        find=lambda _name: kind,
    )
    task = asyncio.create_task(serve_sinks(job, definitions, stopping))
    try:
        yield
    finally:
        stopping.set()
        assert await task == 0


def output(url: str, name: str = "out", **more: Any) -> Output:
    settings = {"url": url, "key": "${CDP_SECRET_KEY}", "allow_private": True, **more}
    return Output(name, "post", settings)


async def until_received(there: Lists, count: int) -> None:
    async def enough() -> bool:
        return len(set(there.taken)) >= count

    await eventually(enough)


async def test_one_list_is_made_for_a_connection_by_two_workers(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    ran = Running(Settings(broker=kafka_broker, prefix=topic_prefix), tmp_path)
    await ran.create_topics()
    async with lists() as there:
        both = [Changing(output(there.url)), Changing(output(there.url))]
        async with (
            serving(ran.settings, both[0], Listed, tmp_path / "0"),
            serving(ran.settings, both[1], Listed, tmp_path / "1"),
        ):
            await ran.produce(message(1, mpid=mpid) for mpid in range(1, 41))
            await until_received(there, 40)
        assert there.made == 1
        assert there.members == {"list-1": {str(mpid) for mpid in range(1, 41)}}
        # It is remembered.
        await ran.produce(message(2, mpid=mpid, action="delete") for mpid in range(1, 41))
        async with serving(ran.settings, both[0], Listed, tmp_path / "0"):
            await until_received(there, 80)
        assert there.made == 1
        assert there.members == {"list-1": set()}


async def test_a_fault_of_one_connection_leaves_the_others_going(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    ran = Running(Settings(broker=kafka_broker, prefix=topic_prefix), tmp_path)
    await ran.create_topics()
    async with lists() as there:
        there.gone = {"a@out"}
        definitions = Changing(output(there.url))
        await ran.produce(
            message(number, mpid=mpid, audience=audience)
            for number in (1, 2) for mpid in range(1, 21) for audience in "ab"
        )  # fmt: skip
        async with serving(ran.settings, definitions, Listed, tmp_path):
            await until_received(there, 40)
            assert {connection for _, connection in there.taken} == {"b@out"}
            await eventually(lambda: ran.state_is("a@out", "faulted"))
            assert await ran.fault_record("out") is None
            # What it leaves undone is counted, though the group's position is past it.
            await eventually(ran.all_committed)
            await eventually(lambda: _lag_is(ran, 40))
            shown = json.loads(await ran.cdp("outputs", "show", "out", "--json"))
            assert shown["oldest_unsent_ms"] > 0
            assert shown["status"] == "degraded"
            assert shown["connections"][0]["id"] == "a@out"
            assert "410 no such list" in shown["fault"]
            assert shown["next_step"] == "cdp outputs resume out --connection 'a@out'"
            # It goes on with another list, what waits too.
            there.gone = set()
            another = Connection("a@out", "a", "out", settings={"list_id": "another"})
            definitions.define(output(there.url), connections=[another])
            await ran.cdp("outputs", "resume", "out", "--connection", "a@out")
            await until_received(there, 80)
            await eventually(lambda: _lag_is(ran, 0))
        everybody = {str(mpid) for mpid in range(1, 21)}
        assert there.members == {there.lists["B"]: everybody, "another": everybody}
        # The list that was made for it at first, and is gone, is forgotten.
        state = {record.key: record.value for record in await ran.read("sink-state", 1)}
        assert (b"list:a@out" in state, state[b"list:a@out"]) == (True, None)
        assert max(Counter(there.taken).values()) == 1
        of_a = [i for i, connection in there.taken if connection == "a@out"]
        for mpid in range(1, 21):
            of_this = [i for i in of_a if i.split(":")[1] == str(mpid)]
            assert of_this == [f"a:{mpid}:1:0", f"a:{mpid}:2:0"]


async def test_a_forged_record_sends_nothing_to_a_place_of_its_own(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    ran = Running(Settings(broker=kafka_broker, prefix=topic_prefix), tmp_path)
    await ran.create_topics()
    async with lists() as there:
        mine = Connection("a@out", "a", "out", settings={"list_id": "mine"})
        definitions = Changing(output(there.url))
        changed = Connection("c@out", "c", "out", settings={"list_id": "new"})
        definitions.define(output(there.url), connections=[mine, changed])
        definitions.earlier = [Connection("c@out", "c", "out", settings={"list_id": "old"})]
        minute_ago = wall_ms() - 60_000
        async with serving(ran.settings, definitions, Listed, tmp_path):
            await ran.produce(
                [
                    message(1, mpid=1, settings={"list_id": "mine"}),
                    message(2, mpid=1, settings={"list_id": "${CDP_SECRET_KEY}"}),
                    message(3, mpid=1, audience="b"),
                    message(4, mpid=1, audience="c", settings={"list_id": "old"}),
                    message(1, mpid=1, action="audience_delete", settings={"list_id": "his"}),
                    message(1, mpid=1, audience="none", settings={"list_id": "his"}),
                ],
                at=minute_ago,
            )
            await eventually(lambda: ran.state_is("a@out", "faulted"))
            await until_received(there, 2)
            assert await ran.fault_record("out") is None
            await ran.cdp("outputs", "resume", "out", "--connection", "a@out")
            await until_received(there, 4)
            await eventually(lambda: _has_rejected(ran, PARTITIONS + 1))
            rejected = await ran.read("output.out.rejected")
        assert there.members == {"mine": {"1"}, there.lists["B"]: {"1"}, "old": {"1"}}
        reasons = [dict(record.headers)["reason"].decode() for record in rejected]
        assert sorted(set(reasons)) == [
            f"no definitions gave connection {name}@out the settings in its record"
            for name in ("a", "none")
        ]
        assert "a-secret-key" not in str(there)


async def _has_rejected(ran: Running, count: int) -> bool:
    return len(await ran.read("output.out.rejected")) >= count


async def _lag_is(ran: Running, lag: int) -> bool:
    (row,) = map(json.loads, (await ran.cdp("outputs", "list", "--json")).splitlines())
    return bool(row["lag"] == lag)


class Told(Post):
    """Is told of deletions."""

    on_audience_delete = "pass"


async def test_a_deletion_that_partitions_lack_goes_on_when_it_is_resumed(
    kafka_broker: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdp_stream.sinks.output.audience_deletions.PATIENCE_S", 0.5)
    monkeypatch.setattr("cdp_stream.sinks.output.output_sink._SAMPLE_S", 0.0)
    ran = Running(Settings(broker=kafka_broker, prefix=topic_prefix), tmp_path)
    await ran.create_topics()
    gone = message(50, mpid=0, action="audience_delete")
    await ran.produce(message(1, mpid=mpid) for mpid in range(1, 9))
    await ran.produce_to([(0, gone), (2, gone)])
    await ran.produce(message(60, mpid=mpid) for mpid in range(1, 9))
    async with lists() as there:
        async with serving(ran.settings, Changing(output(there.url)), Told, tmp_path):
            await eventually(lambda: ran.state_is("a@out", "faulted"))
            record = await ran.fault_record("a@out")
            assert record is not None
            assert "partitions 1, 3 of the output's topic did not get that" in record["message"]
            assert "a:0:50:0" not in {i for i, _ in there.taken}
            await ran.cdp("outputs", "resume", "out", "--connection", "a@out")
            await until_received(there, 17)
            await eventually(ran.all_committed)
        assert max(Counter(there.taken).values()) == 1


async def test_outputs_come_and_go_with_the_definitions(
    kafka_broker: str, topic_prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ran = Running(Settings(broker=kafka_broker, prefix=topic_prefix), tmp_path)
    await ran.create_topics("out", "other")
    async with lists() as there, lists() as elsewhere:
        definitions = Changing(output(there.url))
        async with serving(ran.settings, definitions, Post, tmp_path):
            await ran.produce([message(1, mpid=1)])
            await until_received(there, 1)
            definitions.define(output(there.url), output(there.url, "other"))
            await ran.produce([message(1, mpid=2, output="other")], "other")
            await until_received(there, 2)
            definitions.define(output(elsewhere.url))
            await ran.produce([message(1, mpid=3)])
            await until_received(elsewhere, 1)
            assert len(there.taken) == 2
            # One that cannot run has a fault; the others go on.
            broken = Output("other", "post", {"url": there.url, "key": "${CDP_SECRET_MISSING}"})
            definitions.define(output(elsewhere.url), broken)
            await eventually(lambda: ran.state_is("other", "faulted"))
            record = await ran.fault_record("other")
            assert record is not None
            assert "CDP_SECRET_MISSING" in record["message"]
            facts = [one.facts for one in caplog.records if one.msg == "output_fault"]
            assert {fact["output"] for fact in facts} == {"other"}
            rows = map(json.loads, (await ran.cdp("outputs", "list", "--json")).splitlines())
            assert {row["id"]: row["connector"] for row in rows}["other"] == "post"
            # Resumed as it is, it has its fault again.
            before = record["since"]
            await ran.cdp("outputs", "resume", "other")

            async def again() -> bool:
                record = await ran.fault_record("other")
                assert record is not None
                return bool(record["state"] == "faulted" and record["since"] > before)

            await eventually(again)
            await ran.produce([message(1, mpid=4)])
            await until_received(elsewhere, 2)


async def test_one_that_cannot_run_at_the_start_stops_nobody_else(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    ran = Running(Settings(broker=kafka_broker, prefix=topic_prefix), tmp_path)
    await ran.create_topics("out", "other", "third")
    async with lists() as there:
        unset = Output("other", "post", {"url": there.url, "key": "${CDP_SECRET_MISSING}"})
        wrong = Output("third", "post", {"url": there.url, "timeout": "${CDP_SECRET_KEY}"})
        definitions = Changing(output(there.url), unset, wrong)
        await ran.produce([message(1, mpid=1)])
        async with serving(ran.settings, definitions, Post, tmp_path):
            await until_received(there, 1)
            record = await ran.fault_record("third")
            assert record is not None
            assert record["state"] == "faulted"
            assert record["message"].startswith("output third: its settings are invalid: timeout")
            assert "a-secret-key" not in record["message"]
            assert await ran.state_is("other", "faulted")


async def test_one_whose_topic_somebody_else_made_stops_nobody_else(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    ran = Running(Settings(broker=kafka_broker, prefix=topic_prefix), tmp_path)
    await ran.create_topics("out")
    name = ran.settings.topic("output.other.rejected")
    admin = await started_admin(ran.settings)
    try:
        await admin.create_topics([NewTopic(name, 1, 1)])
        async with lists() as there:
            definitions = Changing(output(there.url), output(there.url, "other"))
            async with serving(ran.settings, definitions, Post, tmp_path):
                await ran.produce([message(1, mpid=1)])
                await until_received(there, 1)
                record = await ran.fault_record("other")
                assert record is not None
                assert f"kafka-topics --alter --topic {name}" in record["message"]
                # With the topic as it was told, it runs as it is resumed.
                await admin.create_partitions({name: NewPartitions(PARTITIONS)})
                await ran.cdp("outputs", "resume", "other")
                await ran.produce([message(1, mpid=2, output="other")], "other")
                await until_received(there, 2)
    finally:
        await admin.close()
