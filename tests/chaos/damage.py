"""What may become of a worker's data directory while no worker is at it."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

_HARMLESS = ("LOG", "LOCK", "OPTIONS-")
"""Files of RocksDB from which no rows are read."""


def back_up(data: Path) -> None:
    """Keep a copy of what is there now, in place of the last one."""
    if data.exists():
        shutil.rmtree(_backup_of(data), ignore_errors=True)
        shutil.copytree(data, _backup_of(data))


def damage(data: Path, seed: int) -> str:
    """Delete or damage something below ``data``; returns what, for the record."""
    draw = random.Random(f"damage {seed}")
    how = draw.choice(["all", "partition", "missing", "cut", "cut", "flipped", "flipped", "old"])
    files = sorted(
        path
        for path in data.glob("*/*/*")
        if path.is_file() and path.stat().st_size and not path.name.startswith(_HARMLESS)
    )
    if not files:
        return "nothing is there to be damaged"
    victim = draw.choice(files)
    if how == "old":
        return _set_back(data, victim.parent)
    if how == "all":
        shutil.rmtree(data)
        return "all deleted"
    if how == "partition":
        shutil.rmtree(victim.parent)
        return f"{victim.parent.relative_to(data)} deleted"
    _FILE_DAMAGES[how](victim, draw)
    return f"{victim.relative_to(data)} {how}"


def _set_back(data: Path, directory: Path) -> str:
    """Put the last copy in the place of a directory, as a restored backup does."""
    name = directory.relative_to(data)
    shutil.rmtree(directory)
    if (_backup_of(data) / name).exists():
        shutil.copytree(_backup_of(data) / name, directory)
        return f"{name} set back"
    return f"{name} deleted, as there is no copy"


def _backup_of(data: Path) -> Path:
    return data.with_name(f"{data.name}-copy")


def _delete(file: Path, _draw: random.Random) -> None:
    file.unlink()


def _cut(file: Path, draw: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: draw.randrange(len(content))])


def _flip(file: Path, draw: random.Random) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(draw.choice([1, 20])):
        content[draw.randrange(len(content))] ^= draw.randint(1, 255)
    file.write_bytes(content)


_FILE_DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    "missing": _delete,
    "cut": _cut,
    "flipped": _flip,
}
