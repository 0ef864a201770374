"""Worker processes forked from one that has imported everything: what they do takes a second less.

A forked worker is a process like any other: its own environment, directory, log, signals and exit
code, and Python ends it as it ends every program. `/proc` shows another command line, and what
acts before Python starts does not act on it: tests that need one of these start the real command,
as the tests of the demo, of `tests/docs`, of `tests/sdks` and of `tests/chaos` do anyway.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
CDP = "cdp_stream.cli.main"
PRELOADED = (CDP, "cdp_stream.cli.worker", "cdp_stream.partition.processor",
             "tests.kafka.counting_worker", "topologies.profiles", "topologies.sinks")  # fmt: skip
_REQUEST_BYTES = 1 << 20


class ForkedWorker:
    """What `subprocess.Popen` is of a program, for the function `main` of a module.

    Attributes:
        returncode: As of `Popen`: None while it runs, and minus the signal that killed it.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[object],
        *,
        log: int,
        env: Mapping[str, str],
        cwd: Path,
        stdout: int | None = None,
    ) -> None:
        self.returncode: int | None = None
        self._status, theirs = os.pipe()
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            request = {"module": module, "arguments": [str(one) for one in arguments],
                       "env": dict(env), "cwd": str(cwd)}  # fmt: skip
            files = [theirs, nowhere.fileno() if stdout is None else stdout, log]
            socket.send_fds(_template(), [json.dumps(request).encode()], files)
        os.close(theirs)
        self.pid = int(os.read(self._status, 32))

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("a forked worker", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            self.returncode = int(os.read(self._status, 32))
            os.close(self._status)
        return self.returncode


async def run_cdp(
    arguments: Sequence[object], *, env: Mapping[str, str], cwd: Path
) -> tuple[int, str, str]:
    """Run a `cdp` command to its end; returns exit code, output and errors."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = ForkedWorker(
            CDP, arguments, stdout=out.fileno(), log=errors.fileno(), env=env, cwd=cwd
        )
        code = await asyncio.to_thread(process.wait)
        for file in (out, errors):
            file.seek(0)
        return code, out.read().decode(), errors.read().decode()


@cache
def _template() -> socket.socket:
    """A connection to the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.brokers.forked", str(theirs.fileno())],
            cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(requests: socket.socket) -> int:
    """Fork for each request; returns in a forked worker, with its exit code."""
    for module in PRELOADED:
        import_module(module)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "threads do not survive a fork"
    gc.collect()
    gc.freeze()
    # Nobody waits for those that watch.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, files, *_ = socket.recv_fds(requests, _REQUEST_BYTES, 3)
        if not request:
            return 0
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            return _watch(json.loads(request), *files)
        for file in files:
            os.close(file)


def _watch(request: dict, status: int, stdout: int, stderr: int) -> int:
    """Fork the worker and report its exit code; returns in the worker."""
    pid = os.fork()
    if pid:
        os.write(status, b"%d" % pid)
        os.close(stdout)
        os.close(stderr)
        _, ended = os.waitpid(pid, 0)
        os.write(status, b"%d" % os.waitstatus_to_exitcode(ended))
        os._exit(0)
    os.close(status)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.close(stdout)
    os.close(stderr)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv = ["cdp", *request["arguments"]]
    return import_module(request["module"]).main()


if __name__ == "__main__":
    sys.exit(_serve(socket.socket(fileno=int(sys.argv[1]))))
