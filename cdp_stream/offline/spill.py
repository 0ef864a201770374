"""Sorting more than fits into memory: runs on disk, merged."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterator
from struct import Struct
from typing import IO, Final, NamedTuple, Self

from cdp_stream.errors import DiskError

RUN_BYTES: Final = 128 * 1024 * 1024
"""Bytes of records kept in memory before a run is written."""

_OVERHEAD = 150
_HEAD = Struct(">qqII")


class Sorted(NamedTuple):
    """A record with its place: by instant, then profile id as a number, then ordinal."""

    effective_at: int
    mpid: int
    ordinal: int
    value: bytes


class SpillingSorter:
    """Accepts records in any order and returns them sorted; use as a context manager.

    Disk is used from `run_bytes` on, in the system's directory for temporary files.
    """

    def __init__(self, run_bytes: int = RUN_BYTES) -> None:
        self._run_bytes = run_bytes
        self._records: list[Sorted] = []
        self._bytes = 0
        self._runs: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for run in self._runs:
            run.close()

    def add(self, record: Sorted) -> None:
        """Take one more record.

        Raises:
            DiskError: no room for temporary files.
        """
        self._records.append(record)
        self._bytes += len(record.value) + _OVERHEAD
        if self._bytes >= self._run_bytes:
            self._spill()

    def __iter__(self) -> Iterator[Sorted]:
        self._records.sort()
        return heapq.merge(*map(_read_run, self._runs), self._records)

    def _spill(self) -> None:
        self._records.sort()
        try:
            run = tempfile.TemporaryFile(prefix="cdp-sort-")  # noqa: SIM115 - closed when the sorter is
            self._runs.append(run)
            for record in self._records:
                run.write(
                    _HEAD.pack(record.effective_at, record.mpid, record.ordinal, len(record.value))
                )
                run.write(record.value)
            run.seek(0)
        except OSError as error:
            raise DiskError(
                f"cannot write temporary files for sorting: {error.strerror}",
                f"free some space in {tempfile.gettempdir()}, or set TMPDIR to a larger disk",
            ) from error
        self._records = []
        self._bytes = 0


def _read_run(run: IO[bytes]) -> Iterator[Sorted]:
    while head := run.read(_HEAD.size):
        effective_at, mpid, ordinal, size = _HEAD.unpack(head)
        yield Sorted(effective_at, mpid, ordinal, run.read(size))
