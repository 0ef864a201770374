"""A worker that runs profiles and sinks: one command, two processes, one life."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from cdp_stream.cli.main import cli
from cdp_stream.kafka.clients.probe import free_port
from cdp_stream.kafka.produce import publisher
from tests.sinks.running import DEFINITIONS, Running, partner, running
from tests.topologies.running import ended, eventually

AT = 1_700_000_000_000


def visit(mpid: int) -> tuple[bytes, bytes]:
    batch = {
        "mpid": mpid,
        "timestamp_unixtime_ms": AT,
        "user_identities": [{"identity_type": "email", "identity": f"{mpid}@example.com"}],
        "events": [{"event_type": "custom_event", "data": {"event_name": "Visit"}}],
    }
    return str(mpid).encode(), json.dumps(batch).encode()


async def publish(ran: Running, mpids: range) -> None:
    async with publisher(ran.settings) as to:
        await asyncio.gather(*await to.send(visit(mpid) for mpid in mpids))


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if stat.rpartition(")")[2].split()[1] == str(pid):
                found.append(int(entry.name))
    return found


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.kafka
@pytest.mark.slow
async def test_events_in_changes_out_and_the_sinks_are_looked_after(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    port = free_port()
    async with (
        partner() as there,
        running(kafka_broker, topic_prefix, tmp_path, there.url) as ran,
        httpx.AsyncClient() as client,
    ):
        worker = ran.start("--metrics-port", str(port), "--clock", "stream", only="profiles,sinks")

        async def has(mpids: range) -> bool:
            return there.members.get("a", set()) >= {str(mpid) for mpid in mpids}

        await publish(ran, range(1, 21))
        await eventually(lambda: has(range(1, 21)))
        told = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        assert 'cdp_output_sent_total{output="out"} 40.0' in told
        assert "cdp_input_records_total" in told
        assert "cdp_sinks_restarts_total 0.0" in told
        assert told.count("# TYPE process_cpu_seconds_total") == 1
        (shown,) = (await client.get(f"http://127.0.0.1:{port}/outputs")).json()["outputs"]
        assert shown == {"id": "out", "state": "running", "since": None, "connections": []}
        ready = await client.get(f"http://127.0.0.1:{port}/readyz")
        assert ready.json() == {"ready": True, "stopping": False, "broker": True, "sinks": True}
        # The sinks are killed: they come back, and the worker does not go.
        (child,) = children_of(worker.pid)
        os.kill(child, signal.SIGKILL)
        await publish(ran, range(21, 41))
        await eventually(lambda: has(range(1, 41)))
        assert worker.poll() is None
        told = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        assert "cdp_sinks_restarts_total 1.0" in told
        # The worker is told to stop: both end in good order.
        (child,) = children_of(worker.pid)
        worker.send_signal(signal.SIGTERM)
        assert await ended(worker, within=15) == 0
        assert not is_running(child)
        assert '"sinks_stopped", "reason": "signal"' in ran.log_of(worker)
        # The worker is killed: the sinks do not outlive it.
        second = ran.start("--clock", "stream", only="profiles,sinks")
        await publish(ran, range(41, 51))
        await eventually(lambda: has(range(1, 51)))
        (child,) = children_of(second.pid)
        second.kill()
        second.wait()

        async def has_ended() -> bool:
            return not is_running(child)

        await eventually(has_ended, within=60)
        assert "a-hook-secret" not in ran.log_of(worker) + ran.log_of(second)


@pytest.fixture
def definitions(tmp_path: Path) -> str:
    file = tmp_path / "definitions.yaml"
    text = DEFINITIONS.replace("URL", "https://example.com").replace("BATCH", "10")
    file.write_text(text.replace(", MORE", ""))
    return str(file)


@pytest.mark.parametrize("only", ["profiles,sinks", "sinks"])
def test_a_variable_that_is_not_set_ends_it_before_anything_starts(
    definitions: str, only: str
) -> None:
    result = CliRunner(env={"CDP_SECRET_HOOK": None}).invoke(
        cli, ["worker", "--definitions", definitions, "--only", only, "--broker", "127.0.0.1:1"]
    )
    assert result.exception is not None
    assert str(result.exception) == (
        "1 environment variable is not set: CDP_SECRET_HOOK (for output out); set them in the "
        "worker's environment, then restart it"
    )
    assert result.exception.exit_code == 2  # type: ignore[attr-defined]


def test_settings_that_do_not_fit_once_filled_in_are_reported_and_end_nothing(
    definitions: str, tmp_path: Path
) -> None:
    file = Path(definitions)
    text = file.read_text()
    file.write_text(text.replace('url: "https://example.com"', 'url: "${CDP_SECRET_URL}"'))
    env = {"CDP_SECRET_HOOK": "a-secret", "CDP_SECRET_URL": "ftp://not-shown"}
    flags = ["--definitions", definitions, "--broker", "127.0.0.1:1", "--data-dir", str(tmp_path)]
    result = CliRunner(env=env).invoke(cli, ["worker", *flags])
    assert "cdp: output out: its settings are invalid: url" in result.stderr
    assert "not-shown" not in result.stderr
    assert "127.0.0.1:1" in str(result.exception), "it went on, to where there is no broker"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--only", "sink"], "there is no topology `sink`; there are: profiles, sinks"),
        (["--output", "uot"], "there is no output `uot`; defined are: out"),
        (["--only", "profiles", "--output", "out"], "--only leaves the sinks out"),
    ],
)
def test_what_is_not_there_cannot_be_run(definitions: str, flags: list[str], says: str) -> None:
    result = CliRunner(env={"CDP_SECRET_HOOK": "a-secret"}).invoke(
        cli, ["worker", "--definitions", definitions, *flags]
    )
    assert says in str(result.exception)
    assert result.exception.exit_code == 2  # type: ignore[union-attr]
