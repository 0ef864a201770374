"""What RocksDB's errors mean for whoever runs a worker.

rocksdict raises plain exceptions with RocksDB's text. Two kinds are told apart: files that do not
hold what they should, which are thrown away and rebuilt, and a disk or a system that does not let
us, which no rebuilding mends.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdp_stream.errors import DiskError

__all__ = ["StoreDamagedError", "disk_error", "translated"]

_OUR_FILES_ARE_WELL = (
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
    """The files of a partition do not hold what they should.

    Attributes:
        partition: Whose rows are to be read from the changelog anew.
    """

    def __init__(self, partition: int, reason: str) -> None:
        super().__init__(reason)
        self.partition = partition


def disk_error(path: Path, reason: str) -> DiskError:
    """A disk that does not let us keep rows."""
    return DiskError(
        f"the local rows in {path} cannot be read or written: {reason}",
        "nothing is lost, Kafka has them: see to the disk (space, rights), or choose another "
        "--data-dir, then start the worker again",
    )


@contextmanager
def translated(path: Path, partition: int) -> Iterator[None]:
    """Raise what RocksDB raised as an error of ours.

    Raises:
        StoreDamagedError: The partition's files are not what they should be.
        DiskError: The disk or the system is in the way.
    """
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:  # rocksdict's own are of no other type
            raise
        reason = " ".join(str(error).split())[:300]
        if any(text in reason for text in _OUR_FILES_ARE_WELL):
            raise disk_error(path, reason) from error
        raise StoreDamagedError(partition, reason) from error
