"""The lines of an event file: plain, gzipped or standard input, in constant memory whatever is in
them.
"""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self

from cdp_stream.errors import DiskError, InputError

BLOCK: Final = 1 << 20
"""Bytes read at a time."""

LONGEST_LINE: Final = 1 << 20
"""Bytes of a line from which on it is cut, at a block's end; far more than a batch may have, so
that a longer line is `too_large` either way.
"""


class LineFile:
    """An open event file; iterate it for its lines without their ends, blank ones included.

    Attributes:
        size: bytes of the file as it lies on disk; None for standard input and pipes.
    """

    def __init__(self, path: str) -> None:
        """Open `path`; `-` is standard input, `.gz` is unpacked on the way.

        Raises:
            InputError: there is no such file, or it cannot be opened.
        """
        self.path = path
        self.size: int | None = None
        self._raw: BinaryIO
        if path == "-":
            self._raw = sys.stdin.buffer
        else:
            try:
                self._raw = Path(path).open("rb")  # noqa: SIM115 - closed when the LineFile is
                self.size = os.fstat(self._raw.fileno()).st_size or None
            except OSError as error:
                raise InputError(
                    f"{path}: {error.strerror}", "check the path given with --events"
                ) from error
        source = gzip.GzipFile(fileobj=self._raw) if path.endswith(".gz") else self._raw
        # `read1` gives what a slow pipe has by now; `read` would wait for the whole block.
        self._read: Callable[[int], bytes] = getattr(source, "read1", source.read)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.path != "-":
            self._raw.close()

    @property
    def bytes_read(self) -> int:
        """How far into the file as it lies on disk, for progress."""
        return self._raw.tell() if self.size is not None else 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines.

        Raises:
            DiskError: the file cannot be read on, or is not a gzip file although it is named so.
        """
        begun: list[bytes] = []
        size = 0
        try:
            while block := self._read(BLOCK):
                lines = block.split(b"\n")
                rest = lines.pop()
                if lines:
                    begun.append(lines[0])
                    lines[0] = b"".join(begun)
                    yield from lines
                    begun.clear()
                    size = 0
                if size < LONGEST_LINE:
                    begun.append(rest)
                    size += len(rest)
        except (OSError, EOFError, zlib.error) as error:
            raise DiskError(
                f"{self.path}: cannot be read on: {error}", "check that the file is whole"
            ) from error
        if size:
            yield b"".join(begun)
