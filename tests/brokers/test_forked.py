"""A forked worker is like one that was started."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.brokers.forked import CDP, ROOT, ForkedWorker
from tests.topologies.running import eventually


def started(arguments, **how):
    return subprocess.Popen([sys.executable, "-m", "cdp_stream", *arguments],
                            stderr=how.pop("log"), **how)  # fmt: skip


def forked(arguments, **how):
    return ForkedWorker(CDP, arguments, **how)


@pytest.mark.parametrize(
    "arguments",
    [["config", "--json"], ["check", "none.yaml"], ["worker", "--only", "nothing"], ["--help"]],
)
def test_its_output_errors_and_exit_code_are_those_of_the_command(tmp_path, arguments):
    seen = []
    env = {**os.environ, "CDP_PREFIX": "its-own", "PYTHONPATH": str(ROOT)}
    for start in (started, forked):
        out, log = tmp_path / "out", tmp_path / "log"
        with out.open("wb") as stdout, log.open("wb") as stderr:
            process = start(
                arguments, log=stderr.fileno(), stdout=stdout.fileno(), env=env, cwd=tmp_path
            )
        code = process.wait(60)
        seen.append((code, out.read_text().replace("python -m cdp_stream", "cdp"), log.read_text()))
    assert seen[0] == seen[1]
    assert seen[0][1] + seen[0][2]


async def test_it_has_its_own_environment_and_ends_by_a_signal(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        worker = ForkedWorker(
            "tests.brokers.endless", [], log=log.fileno(), env={"NAME": "x"}, cwd=tmp_path
        )
    begun = tmp_path / "begun"

    async def is_at_work():
        assert worker.poll() is None
        return begun.exists()

    await eventually(is_at_work, within=30)
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(0.01)
    assert json.loads(begun.read_text()) == [worker.pid, {"NAME": "x"}]
    worker.kill()
    assert worker.wait(30) == -signal.SIGKILL
    assert worker.poll() == -signal.SIGKILL
    worker.send_signal(signal.SIGTERM)  # as of a `Popen` that has ended: nothing
