"""One server process: how it starts and stops, and the end of its log for when it fails.

Invariant: after ``stop`` or ``kill`` nothing that ``start`` started is left running.
"""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cdp_stream.errors import BrokerError

__all__ = ["Child"]

_STOP_S = 15.0
_LOG_TAIL_BYTES = 4_000
_LOG_TAIL_LINES = 3


class Child:
    """One run of a server program.

    It gets a process group of its own: Ctrl-C in a terminal reaches us alone, and we stop the
    server when its clients have finished with it.
    """

    def __init__(self, name: str, command: Sequence[str], *, log: Path) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process id, or None when none was started."""
        return None if self._process is None else self._process.pid

    def start(self, env: Mapping[str, str]) -> None:
        """Start it, with this environment and nothing else.

        Raises:
            BrokerError: The program cannot be run on this machine.
        """
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=dict(env),
                    process_group=0,
                )
            except OSError as error:
                raise BrokerError(
                    f"{self.name} cannot be run: {self.command[0]}: {error.strerror}",
                    "check that it is there, executable, and made for this kind of machine",
                ) from error

    def stop(self) -> None:
        """Ask it to end, and end it when it does not; nothing happens when it has ended."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def log_tail(self) -> str:
        """The last lines of what it printed, as one line."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - _LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").split("\n")
        return " | ".join([line.strip() for line in lines if line.strip()][-_LOG_TAIL_LINES:])

    def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
