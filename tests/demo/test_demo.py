"""`cdp demo` as a user runs it: broker, worker, check, and nothing left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.embedded, pytest.mark.slow]


def demo(*flags: str) -> subprocess.Popen[str]:
    """Start it as shells without job control start a job in the background: SIGINT ignored."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CDP_")}
    command = [sys.executable, "-m", "cdp_stream", "demo", *flags]
    return subprocess.Popen(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
    )  # fmt: skip


def processes_with(text: str) -> list[tuple[int, str]]:
    """Process ids and command lines of what runs with this text in its command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        if text in line:
            found.append((int(entry.parent.name), line))
    return found


def broker_address(process: subprocess.Popen[str]) -> str:
    """The address of the demo's broker, once the worker has been started."""
    assert process.stderr is not None
    address = None
    for line in process.stderr:
        if found := re.match(r"embedded broker on (\S+)", line):
            address = found[1]
        if line.startswith("worker:"):
            break
    assert address is not None
    return address


def test_the_demo_checks_itself_against_the_replay() -> None:
    process = demo("--seconds", "0")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert re.search(
        r"checked: 32,437 membership changes of 2,357 profiles equal cdp replay, record for record",
        out,
    ), out
    assert re.search(r"Repeat customers +1,152 +1,152 +0", out), out
    assert re.search(r"First order +2,357 +2,357 +0 +█+", out), out
    assert "Traceback" not in err


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_stops_what_it_started(stop: signal.Signals) -> None:
    process = demo("--seconds", "60")
    address = broker_address(process)
    assert processes_with(address)
    process.send_signal(stop)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert processes_with(address) == []


def worker_of(address: str) -> int:
    """The process id of the demo's worker, as soon as it runs."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for pid, line in processes_with(address):
            if " worker " in line:
                return pid
    raise AssertionError("the demo has no worker")


def test_a_worker_that_ends_fails_the_demo_with_its_last_words() -> None:
    process = demo("--seconds", "60")
    address = broker_address(process)
    worker = worker_of(address)
    os.kill(worker, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert err.splitlines()[-1].startswith("cdp: the worker ended by itself (its log ends: ")
    assert "checked" not in out
    assert processes_with(address) == []
