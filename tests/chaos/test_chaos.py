"""The short form of `make chaos`: a few schedules, each with something the others lack."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.run import run_schedule
from tests.chaos.schedule import draw_schedule
from tests.topologies.running import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_is_killed_the_changes_are_those_of_replay(chaos_kafka, tmp_path, seed):
    outcome = await run_schedule(draw_schedule(seed), chaos_kafka, tmp_path)
    assert outcome.differences == [], str(outcome)


async def test_told_to_end_it_leaves_nothing_behind(tmp_path):
    process = begin(tmp_path)

    async def at_work():
        assert process.poll() is None, (tmp_path / "told").read_text()
        return any(tmp_path.glob("cdp-chaos-*/1/worker-*.log"))

    try:
        await eventually(at_work)
    finally:
        process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 60) == 128 + signal.SIGTERM
    assert [command for command in commands() if str(tmp_path) in command] == []
    assert list(tmp_path.glob("cdp-chaos-*")) == []


def begin(directory):
    environment = {**os.environ, "TMPDIR": str(directory)}
    with (directory / "told").open("wb") as told:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.chaos", "--schedules", "2"],
            stdout=told, stderr=told, env=environment, cwd=Path(__file__).parents[2],
        )  # fmt: skip


def commands():
    """The command lines of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.append(path.read_bytes().decode(errors="replace"))
    return found
