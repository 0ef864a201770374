"""``cdp init``: creates a starter folder."""

from __future__ import annotations

import re
import time
from importlib import resources
from pathlib import Path
from typing import Final

import click

from cdp_stream.cli.options import instant_text
from cdp_stream.core.model.durations import UNITS_MS
from cdp_stream.errors import DiskError, UsageError

_FILES: Final = ("README.md", "definitions.yaml", "events.ndjson", "tests/shop.yaml")
_TIME: Final = re.compile(r"<(?:now|(\d+)([dhm]) ago)>")


@click.command(epilog="Example: cdp init shop")
@click.argument(
    "directory", metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path), default=Path()
)
def command(directory: Path) -> None:
    """Create a starter folder: definitions, a test of them, sample events that end now, and a
    README with five commands. DIR is the current folder by default; no file is overwritten.
    """
    for path in write_folder(directory, time.time_ns() // 1_000_000):
        click.echo(f"wrote {path}")
    click.echo(f"next: read {directory / 'README.md'}")


def write_folder(directory: Path, now: int) -> list[Path]:
    """Write the files into a folder, which is created if missing.

    Args:
        directory: Where to.
        now: When the newest of the sample events happened, epoch ms; cut to the minute.

    Returns:
        What was written.

    Raises:
        UsageError: A file of the same name exists; nothing is written.
        DiskError: They cannot be written.
    """
    paths = [directory / name for name in _FILES]
    folders = dict.fromkeys(path.parent for path in paths)
    existing = [str(path) for path in paths if path.exists() or path.is_symlink()]
    existing += [str(folder) for folder in folders if folder.exists() and not folder.is_dir()]
    if existing:
        raise UsageError(
            f"{' and '.join(existing)} would be overwritten", "name another folder: cdp init DIR"
        )
    templates = resources.files("cdp_stream.cli") / "starter"
    try:
        for name, path in zip(_FILES, paths, strict=True):
            text = (templates / name).read_text(encoding="utf-8")
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(_with_times(text, now - now % UNITS_MS["m"]))
    except OSError as error:
        raise DiskError(
            f"{error.filename or directory} cannot be written: {error.strerror}",
            "name a folder that you may write to: cdp init DIR",
        ) from error
    return paths


def _with_times(text: str, now: int) -> str:
    """A template with its times: `<now>` as ISO 8601, `<5h ago>` as epoch ms."""

    def time_of(found: re.Match[str]) -> str:
        number, unit = found.groups()
        if unit is None:
            return instant_text(now).replace(".000Z", "Z")
        return str(now - int(number) * UNITS_MS[unit])

    return _TIME.sub(time_of, text)
