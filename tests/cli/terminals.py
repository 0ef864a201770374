"""Commands on a terminal of so many columns."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path


def on_terminal(*words: str, columns: int, cwd: Path, **variables: str) -> tuple[int, str]:
    """The exit code of a command, and what it shows on its terminal: results and errors."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CDP_")}
    for name in ("NO_COLOR", "COLUMNS"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "cdp_stream", *words]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd,
        env=environment | {"TERM": "xterm-256color", **variables},
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # nobody holds the other end any more
                break
            if not piece:
                break
            shown += piece
        code = process.wait(60)
    os.close(ours)
    return code, shown.decode().replace("\r\n", "\n")
