"""Which outputs `cdp outputs` knows while no worker runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click
import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner, Result

from cdp_stream.cli.main import cli
from cdp_stream.errors import UsageError
from cdp_stream.kafka.clients.admin import partition_counts, started_admin
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings
from tests.cli.terminals import on_terminal

pytestmark = pytest.mark.embedded

DEFINITIONS = """
version: 1
account: shop
workspaces:
  - {id: main, inputs: [{id: web, kind: platform}]}
audiences:
  - {id: a, criteria: {event: Visit}}
outputs:
  - {id: seen, connector: log}
"""
MORE = "  - {id: kept, connector: file, settings: {directory: kept}}\n"


CONNECTED = (
    DEFINITIONS.replace("outputs:", "  - {id: buyers, criteria: {event: Buy}}\noutputs:")
    + "connections:\n  - {audience: a, output: seen}\n  - {audience: buyers, output: seen}\n"
)


async def write(settings: Settings, topic: str, *records: tuple[bytes | None, bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.brokers) as producer:
        for key, value in records:
            await producer.send_and_wait(settings.topic(topic), value, key=key, partition=0)


async def topics_of(settings: Settings) -> list[str]:
    admin = await started_admin(settings)
    try:
        return [name for name in await partition_counts(admin) if name.startswith(settings.prefix)]
    finally:
        await admin.close()


def test_they_are_those_that_were_applied_and_not_removed(
    embedded_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "definitions.yaml"

    def cdp(*words: str) -> Result:
        flags = ("--broker", embedded_broker, "--prefix", topic_prefix)
        result = CliRunner().invoke(cli, [*words, *flags], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result

    def listed() -> dict[str, str]:
        lines = cdp("outputs", "list", "--json").stdout.splitlines()
        return {row["id"]: row["connector"] for row in map(json.loads, lines)}

    file.write_text(DEFINITIONS + MORE)
    cdp("apply", str(file), "--yes")
    assert listed() == {"kept": "file", "seen": "log"}
    settings = Settings(broker=embedded_broker, prefix=topic_prefix)
    asyncio.run(ensure_topics(settings, ["kept", "seen"], sinks=True))
    file.write_text(DEFINITIONS)
    cdp("apply", str(file), "--yes")
    assert listed() == {"seen": "log"}
    elsewhere = ("--broker", embedded_broker, "--prefix", f"{topic_prefix}-not")
    for words in (("list",), ("pause", "seen"), ("show", "seen")):
        refused = CliRunner().invoke(cli, ["outputs", *words, *elsewhere])
        assert str(refused.exception).startswith(
            f"there is no system with the prefix `{topic_prefix}-not` on {embedded_broker}; "
        )
    assert not asyncio.run(
        topics_of(Settings(broker=embedded_broker, prefix=f"{topic_prefix}-not"))
    )
    cdp("outputs", "pause", "kept")
    assert set(listed()) == {"kept", "seen"}, "what stands still is never hidden"


def test_what_is_not_there_is_refused_with_what_is(
    embedded_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    flags = ("--broker", embedded_broker, "--prefix", topic_prefix)
    file = tmp_path / "definitions.yaml"
    file.write_text(CONNECTED)
    done = CliRunner().invoke(cli, ["apply", str(file), "--yes", *flags], catch_exceptions=False)
    assert done.exit_code == 0, done.output

    def refusal(*words: str) -> str:
        result = CliRunner().invoke(cli, ["outputs", *words, *flags])
        assert isinstance(result.exception, UsageError), result.output
        return str(result.exception)

    for verb in ("show", "pause", "resume"):
        assert refusal(verb, "sen") == "there is no output `sen`; did you mean `seen`?"
    for verb in ("pause", "resume"):
        assert refusal(verb, "seen", "--connection", "buyer@seen") == (
            "output `seen` has no connection `buyer@seen`; did you mean `buyers@seen`? "
            "it has: a@seen, buyers@seen"
        )
        assert refusal(verb, "seen", "--connection", "nothing") == (
            "output `seen` has no connection `nothing`; it has: a@seen, buyers@seen"
        )
    right = ["outputs", "pause", "seen", "--connection", "buyers@seen", *flags]
    assert "connection buyers@seen is paused" in CliRunner().invoke(cli, right).output


def test_without_definitions_the_connections_are_those_that_sinks_recorded(
    embedded_broker: str, topic_prefix: str
) -> None:
    settings = Settings(broker=embedded_broker, prefix=topic_prefix)
    asyncio.run(ensure_topics(settings, ["seen", "new"], sinks=True))
    told = b'{"connector": "log", "connections": ["a@seen"]}'
    asyncio.run(write(settings, "sink-state", (b"output:seen", told)))

    def pause(output: str, connection: str) -> str:
        words = ["outputs", "pause", output, "--connection", connection]
        flags = ("--broker", embedded_broker, "--prefix", topic_prefix)
        result = CliRunner().invoke(cli, [*words, *flags])
        return str(result.exception or result.stdout)

    assert pause("seen", "b@seen").startswith("output `seen` has no connection `b@seen`; ")
    assert pause("seen", "a@seen").startswith("connection a@seen is paused")
    # Of this one nobody has told anything yet.
    assert pause("new", "b@seen") == (
        "connection `b@seen` does not belong to output new; write it as <audience>@new"
    )
    assert pause("new", "b@new").startswith("connection b@new is paused")


def test_an_output_that_no_worker_runs_is_not_running_whatever_is_in_topics(
    embedded_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    flags = ("--broker", embedded_broker, "--prefix", topic_prefix)
    settings = Settings(broker=embedded_broker, prefix=topic_prefix)
    file = tmp_path / "definitions.yaml"
    file.write_text(CONNECTED)

    def cdp(*words: str) -> str:
        result = CliRunner().invoke(cli, [*words, *flags], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    cdp("apply", str(file), "--yes")
    asyncio.run(ensure_topics(settings, ["seen"], sinks=True))
    garbage: list[tuple[bytes | None, bytes]] = [
        (b"seen", b"{"), (b"\xff\xfe", b"{}"), (None, b"x"), (b"seen", b'{"state": ["paused"]}'),
        (b"output:seen", b'{"connector": {}}'), (b"acme", b'{"format": 1, "more": 2}'),
    ]  # fmt: skip
    for topic in ("faults", "sink-state", "definitions"):
        asyncio.run(write(settings, topic, *garbage))
    (row,) = map(json.loads, cdp("outputs", "list", "--json").splitlines())
    assert (row["id"], row["connector"], row["status"]) == ("seen", "log", "no_worker")
    assert "seen (log): no worker" in cdp("outputs", "show", "seen")
    assert "Nothing to change." in cdp("plan", str(file))
    cdp("outputs", "pause", "seen")
    (row,) = map(json.loads, cdp("outputs", "list", "--json").splitlines())
    assert row["status"] == "paused"
    _, lines = on_terminal("outputs", "list", *flags, columns=60, cwd=tmp_path)
    heading, listed = click.unstyle(lines).splitlines()[-2:]
    assert max(len(heading), len(listed)) <= 60
    assert heading.split()[:4] == ["output", "connector", "status", "lag"]
    assert listed.split()[:3] == ["seen", "log", "paused"]
    cdp("outputs", "resume", "seen")
