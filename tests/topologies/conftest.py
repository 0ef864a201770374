"""A small disk and a clock that jumps, where this machine can give them."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.brokers.fixtures import leave_out

_LIBRARIES = ("faketime/libfaketimeMT.so.1", "libfaketimeMT.so.1")


def _faketime() -> Path | None:
    folders = [*Path("/usr/lib").glob("*-linux-gnu"), Path("/usr/lib"), Path("/usr/local/lib")]
    paths = (folder / name for folder in folders for name in _LIBRARIES)
    return next((path for path in paths if path.exists()), None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this machine cannot do; insist on it as on Kafka."""
    needs = {
        "small_disk": (os.geteuid() == 0, "mounting a small disk takes root", "run them as root"),
        "jumping_clock": (_faketime(), "libfaketime is not here", "install Debian's faketime"),
    }
    for fixture, (there, reason, advice) in needs.items():
        without = {item for item in items if fixture in getattr(item, "fixturenames", ())}
        if without and not there:
            leave_out(config, items, without, reason, advice)


class SmallDisk:
    """A file system of few bytes, which can be made larger."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def resize(self, size: str) -> None:
        options = f"remount,size={size}"
        subprocess.run(["mount", "-o", options, str(self.path)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    path = tmp_path / "small"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(path)]
    subprocess.run(command, check=True)
    try:
        yield SmallDisk(path)
    finally:
        # What a worker still holds open goes with it.
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@dataclass
class JumpingClock:
    """The wall clock of processes that are started with ``variables``; waits are not touched."""

    file: Path
    library: Path

    @property
    def variables(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, seconds: int) -> None:
        """Be so many seconds off from now on; at once and whole for whoever reads it."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self.file)


@pytest.fixture
def jumping_clock(tmp_path: Path) -> JumpingClock:
    library = _faketime()
    assert library is not None
    clock = JumpingClock(tmp_path / "faketime", library)
    clock.jump(0)
    return clock
