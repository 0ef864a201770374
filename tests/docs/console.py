"""Runs the commands that the documentation shows, as a reader would type them.

A block that begins with three backticks and ``console`` is a session: lines that begin with ``$ ``
are commands, the others are what they print.
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_DIGEST = re.compile(r'("definition":")[0-9a-f]+(")')


@dataclass(frozen=True)
class Session:
    """The commands of one block and what they print together."""

    page: str
    line: int
    commands: tuple[str, ...]
    printed: str


def sessions_of(page: str) -> list[Session]:
    """The sessions that a page of the repository shows."""
    text = (ROOT / page).read_text()
    found = []
    for block in _BLOCK.finditer(text):
        lines = block[1].splitlines()
        commands = tuple(line.removeprefix("$ ") for line in lines if line.startswith("$ "))
        printed = "".join(f"{line}\n" for line in lines if not line.startswith("$ "))
        found.append(Session(page, text.count("\n", 0, block.start()) + 1, commands, printed))
    return found


def run(session: Session, folder: Path) -> str:
    """What the session's commands print, in a folder that has `examples` and `cdp` in reach.

    Raises:
        CalledProcessError: A command failed.
    """
    (folder / "examples").symlink_to(ROOT / "examples")
    return shell("\n".join(session.commands), folder, folder)


def shell(script: str, folder: Path, binaries: Path) -> str:
    """What a script prints in a folder, on both outputs, with `cdp` in reach.

    Args:
        script: For bash; its first failure ends it.
        folder: Where it runs.
        binaries: Where a folder for `cdp` is made.

    Raises:
        CalledProcessError: A command failed.
    """
    done = subprocess.run(
        ["bash", "-c", f"set -eo pipefail\n{script}"],
        cwd=folder, env=with_cdp(binaries), text=True, check=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
    )  # fmt: skip
    return done.stdout


def with_cdp(folder: Path) -> dict[str, str]:
    """An environment without settings of ours, in which `cdp` is this checkout's; it is put into a
    folder `bin`.
    """
    cdp = folder / "bin" / "cdp"
    cdp.parent.mkdir(exist_ok=True)
    cdp.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cdp_stream "$@"\n')
    cdp.chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CDP_")}
    return environment | {
        "PATH": f"{cdp.parent}:{environment['PATH']}",
        "PYTHONPATH": str(ROOT),
    }


def without_digests(text: str) -> str:
    """The text with the definitions' digests blanked: nobody learns from them, and they change."""
    return _DIGEST.sub(r"\1…\2", text)
