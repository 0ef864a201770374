"""Runs the programs that the documentation shows, as a reader would save and start them."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.docs.console import ROOT
from tests.node import packages

_SECTION = re.compile(r"^###? (.+)\n((?:(?!##).*\n?)*)", re.MULTILINE)
_PROGRAM = re.compile(r"^```(python|javascript)\n((?:(?!```).*\n)*)^```$", re.MULTILINE)


@dataclass(frozen=True)
class Program:
    """A program under a heading of its own."""

    title: str
    language: str
    text: str

    def at(self, broker: str, prefix: str) -> "Program":
        """The same program with another broker and another prefix of topics and groups."""
        text = self.text.replace("localhost:9092", broker).replace('"cdp.', f'"{prefix}.')
        return Program(self.title, self.language, text)

    def saved(self, folder: Path) -> tuple[list[str | Path], dict[str, str]]:
        """The command that starts it from a file in a folder, and the environment it needs."""
        if self.language == "javascript":
            file = folder / "program.js"
            file.write_text(self.text)
            return [packages.NODE, file], os.environ | {"NODE_PATH": str(packages.MODULES)}
        file = folder / "program.py"
        file.write_text(self.text)
        return [sys.executable, file], dict(os.environ)

    def run(self, folder: Path) -> str:
        """What it prints, started in a folder.

        Raises:
            CalledProcessError: It failed.
            TimeoutExpired: It did not end within a minute.
        """
        packages.install()
        command, environment = self.saved(folder)
        done = subprocess.run(
            command, cwd=folder, env=environment, text=True, check=True, timeout=60,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        return done.stdout


def programs_of(page: str) -> dict[str, Program]:
    """The programs that a page shows, by their headings; the first under each."""
    found = {}
    for title, text in _SECTION.findall((ROOT / page).read_text()):
        if (shown := _PROGRAM.search(text)) is not None:
            found[title] = Program(title, *shown.groups())
    return found
