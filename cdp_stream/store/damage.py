"""What RocksDB's errors mean for the operator of a worker.

rocksdict raises plain exceptions with RocksDB's text. There are two kinds: damaged files, which are
removed and rebuilt from the changelog, and a disk or a system that refuses, where rebuilding does
not help.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdp_stream.errors import DiskError

__all__ = ["StoreDamagedError", "disk_error", "translated"]

_FILES_ARE_INTACT = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "Read-only file system",
    "Permission denied",
    "Operation not permitted",
    "Too many open files",
    "Cannot allocate memory",
    "lock hold by current process",
    "Resource temporarily unavailable",
)


class StoreDamagedError(Exception):
    """The files of a partition are damaged.

    Attributes:
        partition: The one whose rows must be read from the changelog again.
    """

    def __init__(self, partition: int, reason: str) -> None:
        super().__init__(reason)
        self.partition = partition


def disk_error(path: Path, reason: str) -> DiskError:
    """The error of a disk that refuses to read or write rows."""
    return DiskError(
        f"the local rows in {path} cannot be read or written: {reason}",
        "nothing is lost, Kafka has them: see to the disk (space, rights), or choose another "
        "--data-dir, then restart the worker",
    )


@contextmanager
def translated(path: Path, partition: int) -> Iterator[None]:
    """Raise RocksDB's errors as errors of ours.

    Raises:
        StoreDamagedError: The partition's files are damaged.
        DiskError: The disk or the system refuses.
    """
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:  # rocksdict's own have exactly this type
            raise
        reason = " ".join(str(error).split())[:300]
        if any(text in reason for text in _FILES_ARE_INTACT):
            raise disk_error(path, reason) from error
        raise StoreDamagedError(partition, reason) from error
