"""Files of changes, NDJSON or CSV: complete ones appear under their name at once, by a rename.

Lines go to a part file (`.OUTPUT-....part`), which is finished when it is large or old enough, or
at the end. While it is written its owner holds a lock on it; a part without a lock is what a crash
left behind: its torn last line is cut off, and it is finished like any other. The ids in it, and in
the newest finished files, are remembered, so that changes which are delivered again after the crash
are not written again.

Source: docs/connectors/file.md.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import os
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import Field

from cdp_stream.connectors.change import OutputChange, json_bytes
from cdp_stream.connectors.connector import Batching, LocalConnector
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.connectors.in_thread import in_thread
from cdp_stream.connectors.settings import ConnectionSettings, Duration, OutputSettings
from cdp_stream.core.model.durations import duration_ms

__all__ = ["CSV_COLUMNS", "CsvFormulas", "File", "FileSettings", "csv_line", "csv_row"]

CSV_COLUMNS: Final = (
    "message_id", "action", "account_id", "audience_id", "audience_name", "mpid", "effective_at",
    "ordinal", "variant", "connection", "user_identities", "user_attributes",
)  # fmt: skip

CsvFormulas = Annotated[
    Literal["escape", "keep"],
    Field(
        description="How a text in CSV that a spreadsheet would read as a formula is written: "
        "`escape` puts a `'` before it, `keep` does not change it."
    ),
]
_FORMULA: Final = re.compile(r"[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|'")
"""How a formula begins, also in full width; and the `'` of one that was made harmless."""
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")

_REMEMBERED: Final = 50_000
"""Ids: many times what is under way when a process dies."""

_LASTING: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
)
Ids = tuple[str, str]


class FileSettings(OutputSettings):
    """Where files go, and when they are finished."""

    directory: str = Field(description="The folder of the files; created if missing.")
    format: Literal["ndjson", "csv"] = Field("ndjson", description="`ndjson` or `csv`.")
    rotate_bytes: int = Field(134_217_728, ge=1, description="Maximum size of a file in bytes.")
    rotate_after: Duration = Field(
        "1m",
        description="Maximum time from a file's first change to its completion, as a duration.",
    )
    csv_formulas: CsvFormulas = "escape"


@dataclass(slots=True)
class _Part:
    """The file that is being written; `size` is up to the end of the last whole line."""

    path: Path
    descriptor: int
    size: int
    began: float


class File(LocalConnector[FileSettings, ConnectionSettings]):
    """Appends changes to files, each written to the disk before it counts as delivered."""

    name = "file"
    title = "Files"
    summary = "Writes changes to NDJSON or CSV files, which appear when they are complete."
    output_settings = FileSettings
    takes_attributes = True
    pattern = "stream"
    on_audience_delete = "pass"
    batching = Batching(count=10_000, interval_ms=1_000, per_connection=False)

    def __init__(self, output: str, settings: FileSettings) -> None:
        super().__init__(output, settings)
        self._oldest = (duration_ms(settings.rotate_after) or 0) / 1000
        self._folder = Path(settings.directory)
        # Names sort in the order in which files were begun.
        self._own_name = re.compile(re.escape(output) + r"-\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}")
        self._head = csv_line(CSV_COLUMNS) if settings.format == "csv" else b""
        self._part: _Part | None = None
        self._known: dict[Ids, None] = {}

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where files appear."""
        return (self._folder,)

    async def open(self, directory: Path) -> None:
        """Finish what a crash left behind, and remember what is in the newest files."""
        await in_thread(self._reporting, self._open)

    async def write(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> Outcome:
        """On the disk when it returns."""
        await in_thread(self._reporting, self._write, changes)
        return Outcome()

    async def idle(self) -> None:
        """Finish the file when it is old enough."""
        part = self._part
        if part is not None and time.monotonic() - part.began >= self._oldest:
            await in_thread(self._reporting, self._finish)

    async def close(self) -> None:
        """Finish the file."""
        await in_thread(self._reporting, self._finish)

    def _reporting(self, work: Any, *arguments: Any) -> None:  # noqa: ANN401 - any of the above
        try:
            work(*arguments)
        except OSError as error:
            if error.errno in _LASTING:
                raise Fault(
                    "output",
                    f"{self._folder} cannot be written: {error.strerror}; give the worker the "
                    f"right to write there, then resume output {self.output}",
                ) from error
            raise

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._own(".", ".part"):
            self._adopt(left)
        self._remember(self._newest_ids())

    def _own(self, before: str, behind: str) -> list[Path]:
        """This output's files of a kind, oldest first."""
        paths = sorted(self._folder.glob(f"{before}{self.output}-*{behind}"))
        return [
            path
            for path in paths
            if self._own_name.fullmatch(path.name.removeprefix(before).removesuffix(behind))
        ]

    def _adopt(self, left: Path) -> None:
        """Finish a part that nobody writes."""
        try:
            descriptor = os.open(left, os.O_RDWR)
        except FileNotFoundError:
            return  # another process has just finished it
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return
        data = left.read_bytes()
        whole = data.rfind(b"\n") + 1
        os.ftruncate(descriptor, whole)
        self._part = _Part(left, descriptor, whole, time.monotonic())
        self._finish()

    def _newest_ids(self) -> list[Ids]:
        found: list[Ids] = []
        for file in reversed(self._own("", f".{self.settings.format}")):
            found[:0] = _ids_in(file, self.settings.format)
            if len(found) >= _REMEMBERED:
                break
        return found

    def _remember(self, ids: Iterable[Ids]) -> None:
        for one in ids:
            self._known[one] = None
        for one in list(self._known)[: max(len(self._known) - _REMEMBERED, 0)]:
            del self._known[one]

    def _write(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> None:
        fresh: dict[Ids, OutputChange[ConnectionSettings]] = {}
        for change in changes:
            ids = change.message_id, change.connection
            if ids not in self._known:
                fresh.setdefault(ids, change)
        written: list[Ids] = []
        lines = bytearray()
        for ids, change in fresh.items():
            line = self._line(change)
            if lines and self._size() + len(lines) + len(line) > self.settings.rotate_bytes:
                self._add(bytes(lines), written)
                lines, written = bytearray(), []
            lines += line
            written.append(ids)
        if lines:
            self._add(bytes(lines), written)

    def _size(self) -> int:
        return len(self._head) if self._part is None else self._part.size

    def _add(self, lines: bytes, written: list[Ids]) -> None:
        """Put lines where there is room for them."""
        part = self._part
        if part is not None and part.size + len(lines) > self.settings.rotate_bytes:
            self._finish()
            part = None
        part = part or self._begin()
        self._append(part, lines)
        self._remember(written)
        if part.size >= self.settings.rotate_bytes:
            self._finish()

    def _begin(self) -> _Part:
        while True:
            now = datetime.now(UTC)
            stem = f"{self.output}-{now:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}"
            path = self._folder / f".{stem}.part"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.exists():
                break
            os.close(descriptor)  # another process finished it before we had its lock
        self._part = part = _Part(path, descriptor, 0, time.monotonic())
        self._append(part, self._head)
        return part

    def _append(self, part: _Part, lines: bytes) -> None:
        """Write all of the lines, or none: those that a full disk accepted are cut off again."""
        rest = memoryview(lines)
        try:
            os.lseek(part.descriptor, part.size, os.SEEK_SET)
            while rest:
                rest = rest[os.write(part.descriptor, rest) :]
            os.fdatasync(part.descriptor)
        except OSError:
            os.ftruncate(part.descriptor, part.size)
            raise
        part.size += len(lines)

    def _finish(self) -> None:
        """Give the part its name, or remove it when it is empty."""
        part = self._part
        if part is None:
            return
        try:
            if part.size > len(self._head):
                name = part.path.name.removeprefix(".").removesuffix(".part")
                part.path.rename(self._folder / f"{name}.{self.settings.format}")
            else:
                part.path.unlink()
        except FileNotFoundError:
            self._part = None
            os.close(part.descriptor)
            raise Fault(
                "output",
                f"{part.path} was removed while it was written, and the changes in it with it; "
                f"leave files that begin with a dot alone, then resume output {self.output}",
                "lost",
            ) from None
        self._part = None
        os.close(part.descriptor)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _line(self, change: OutputChange[ConnectionSettings]) -> bytes:
        if self.settings.format == "ndjson":
            return change.json() + b"\n"
        return csv_row(change.message, self.settings.csv_formulas)


def _cell(message: Mapping[str, Any], column: str) -> str:
    value = message.get(column)
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json_bytes(value).decode()
    return str(value)


def csv_row(message: Mapping[str, Any], formulas: CsvFormulas = "escape") -> bytes:
    """A change as a line under `CSV_COLUMNS`."""
    cells = [_cell(message, column) for column in CSV_COLUMNS]
    return csv_line(cells if formulas == "keep" else map(_harmless, cells))


def _harmless(cell: str) -> str:
    """A text that no spreadsheet reads as a formula; a reader removes one `'`.

    A number with its sign is none: phone numbers and mpids stay as they are.
    """
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def csv_line(cells: Iterable[str]) -> bytes:
    """One line of the file, whatever is in the cells: a line end within one would look like the
    end of a change.
    """
    text = io.StringIO()
    flat = (cell.replace("\r", " ").replace("\n", " ") for cell in cells)
    csv.writer(text, lineterminator="\n").writerow(flat)
    return text.getvalue().encode()


def _ids_in(file: Path, written: str) -> list[Ids]:
    """The ids in a finished file; none when a reader of the files removed or changed it."""
    try:
        text = file.read_text(encoding="utf-8")
        if written == "csv":
            rows: Iterable[Mapping[str, str]] = csv.DictReader(io.StringIO(text, newline=""))
        else:
            rows = map(orjson.loads, text.split("\n")[:-1])
        return [(row["message_id"], row["connection"]) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return []
