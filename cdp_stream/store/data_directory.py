"""The directory of a worker's files, locked against a second worker with the same directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdp_stream.errors import DiskError, UsageError

__all__ = ["hold_data_directory", "is_open_to_others", "make_private"]

_LOCK = "worker.lock"
_OTHERS = 0o007


def make_private(directory: Path) -> None:
    """Create a directory, and missing ones above it, with access for the owner alone: rows and
    events contain personal data. One that exists stays as it is.

    Raises:
        OSError: It cannot be created.
    """
    for one in reversed([directory, *directory.parents]):
        if not one.is_dir():
            one.mkdir(mode=0o700, exist_ok=True)


def is_open_to_others(directory: Path) -> bool:
    """Whether users outside the owner's group have any access to it."""
    return bool(directory.stat().st_mode & _OTHERS)


@contextmanager
def hold_data_directory(directory: Path) -> Iterator[None]:
    """Create the directory if needed, and lock it; the system unlocks it when the process ends.

    Raises:
        UsageError: Another worker has locked it.
        DiskError: It cannot be created or locked.
    """
    try:
        make_private(directory)
        lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(directory, error) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(lock, 20).decode("ascii", "replace").strip()
            raise UsageError(
                f"{directory} is the data directory of another worker"
                + (f" (process {holder})" if holder.isdecimal() else ""),
                "give each worker a --data-dir of its own, or use --store memory",
            ) from error
        except OSError as error:
            raise _unusable(directory, error) from error
        _note_holder(lock, directory)
        yield
    finally:
        os.close(lock)


def _note_holder(lock: int, directory: Path) -> None:
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    except OSError as error:
        raise _unusable(directory, error) from error


def _unusable(directory: Path, error: OSError) -> DiskError:
    return DiskError(f"{directory} cannot be used: {error.strerror}", "choose another --data-dir")
