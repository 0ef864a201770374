"""What RocksDB's errors mean for the operator of a worker.

rocksdict raises plain exceptions with RocksDB's text. There are two kinds: damaged files, which are
removed and rebuilt from the changelog, and a disk or a system that refuses, where rebuilding does
not help.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from struct import Struct

from cdp_stream.errors import DiskError

__all__ = ["StoreDamagedError", "check_logs", "disk_error", "translated"]

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


_BLOCK = 32 * 1024
_HEADER = Struct("<IHB")
"""Checksum, length and type of a record in RocksDB's logs; no record crosses the end of a block."""
_LAST_TYPE = 4


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
    """Raise an error of this project for each error of RocksDB.

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


def check_logs(path: Path, partition: int) -> None:
    """Check that RocksDB can read its own logs, the MANIFEST above all, to their end.

    RocksDB never returns from opening, and cannot be interrupted, where a damaged header has the
    type of a recycled log (5 to 8). The logs here are never recycled. RocksDB checks the checksums.

    Raises:
        StoreDamagedError: A record has a type that these logs do not have.
        OSError: A log cannot be read.
    """
    for log in sorted(chain(path.glob("MANIFEST-*"), path.glob("*.log"))):
        if log.is_file() and not _has_known_types(log.read_bytes()):
            raise StoreDamagedError(partition, f"{log.name} is damaged: a record of unknown type")


def _has_known_types(content: bytes) -> bool:
    for block in range(0, len(content), _BLOCK):
        place, end = block, min(block + _BLOCK, len(content))
        while place + _HEADER.size <= end:
            _checksum, length, kind = _HEADER.unpack_from(content, place)
            if kind > _LAST_TYPE:
                return False
            place += _HEADER.size + length
    return True
