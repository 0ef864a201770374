"""The rows of one partition in a RocksDB database of its own.

RocksDB's own log is off. Rows, and the changelog position they reach up to, go into memory tables
in one write, and from there to files in the order of the writes; so whatever a crash leaves is the
state after some write, whole, with the position to read on from. A log would save reading
the last minute again, cost a third more for each row, and, were its files lost or mixed up, could
leave rows missing before the position.
"""

import contextlib
from collections import deque
from collections.abc import ItemsView, Iterator, Mapping
from pathlib import Path
from struct import Struct
from typing import Any

from rocksdict import Options, Rdict, ReadOptions, WriteBatch, WriteOptions

from cdp_stream.store.damage import StoreDamagedError, check_logs, disk_error, translated
from cdp_stream.store.rows import Rows

__all__ = ["RocksPartition"]

_IDENTITY = b"\x00identity"
_POSITION = b"\x00position"
_OWN = frozenset({_IDENTITY, _POSITION})
_STATE = Struct(">qq")
_READAHEAD = 1024 * 1024
_PAGE = 1_000
"""Keys looked at together where rows may be written in between: a ms."""
_REWRITTEN = {"periodic_compaction_seconds": "86400"}
"""Every file is written anew once a day, so that what was deleted is off the disk by then."""


class RocksPartition(Mapping[bytes, bytes]):
    """One partition, open.

    As a mapping it shows the live rows: what was written shows at once, though it reaches the
    database only as it is confirmed.

    Attributes:
        path: Its directory.
        position: The changelog offset up to which the database reaches.
        written_at: Wall clock of the newest write, epoch ms.
    """

    def __init__(self, path: Path, number: int, options: Options) -> None:
        """Open or create the database.

        Raises:
            StoreDamagedError: It cannot be opened, or parts of it are missing.
            DiskError: The disk refuses.
        """
        self.path = path
        self._number = number
        self._pending: deque[Rows] = deque()
        self._unflushed = False
        self._no_log = WriteOptions()
        self._no_log.disable_wal = True  # type: ignore[method-assign, assignment]
        try:
            check_logs(path, number)
        except OSError as error:
            raise disk_error(path, error.strerror or str(error)) from error
        with translated(path, number):
            self._db = Rdict(str(path), options)
            self._db.set_options(_REWRITTEN)
        try:
            self.identity, self.position, self.written_at = self._read_state()
        except BaseException:
            self._close_database()
            raise

    def begin(self, identity: bytes, now: int) -> None:
        """Write into an empty database whose rows it is for."""
        with translated(self.path, self._number):
            batch = WriteBatch(raw_mode=True)
            batch.put(_IDENTITY, identity)
            self.identity = identity
            self._put_state(batch, 0, now)
            self._db.flush()

    def put(self, rows: Rows, position: int, now: int) -> None:
        """Set rows in the database and move its position, in one write.

        Args:
            rows: What to set; ``None`` deletes.
            position: Where the changelog continues after them; -1 keeps the position: rows that are
                read twice do no harm.
            now: The wall clock, epoch ms.
        """
        with translated(self.path, self._number):
            batch = WriteBatch(raw_mode=True)
            put, delete = batch.put, batch.delete
            for key, value in rows.items():
                if value is None:
                    delete(key)
                else:
                    put(key, value)
            self._put_state(batch, max(position, self.position), now)

    def write(self, rows: Rows) -> None:
        """Set rows that are visible at once, and not in the database yet."""
        self._pending.append(rows)

    def confirm(self, writes: int, position: int, now: int) -> None:
        """Move the oldest writes into the database."""
        pending = self._pending
        if writes == 1:
            rows: Rows = pending[0]
        else:
            merged: dict[bytes, bytes | None] = {}
            for number in range(writes):
                merged.update(pending[number])
            rows = merged
        self.put(rows, position, now)
        for _ in range(writes):
            pending.popleft()

    def flush(self, *, wait: bool = True) -> None:
        """Flush what was put, so that it survives a crash."""
        if self._unflushed:
            with translated(self.path, self._number):
                self._db.flush(wait)
            self._unflushed = False

    def close(self, *, keep: bool = True) -> None:
        """Close the database; writes that were not confirmed are lost.

        Args:
            keep: Whether what was put is to be found at the next opening.
        """
        try:
            if keep:
                self.flush()
        finally:
            self._pending.clear()
            self._close_database()

    def _close_database(self) -> None:
        # On a full disk closing fails too; the files are whole all the same.
        with contextlib.suppress(Exception):
            self._db.close()

    # -- as a mapping --------------------------------------------------------------------------

    def get(self, key: bytes, default: Any = None) -> Any:  # noqa: ANN401 - as Mapping has it
        """The newest value of a row, ``default`` when there is none.

        Raises:
            StoreDamagedError: A checksum is wrong.
        """
        for rows in reversed(self._pending):
            if key in rows:
                value = rows[key]
                return default if value is None else value
        try:  # to enter and leave `translated` costs more than a read from memory
            value = self._db.get(key)
        except Exception:
            with translated(self.path, self._number):
                raise
        return default if value is None else value

    def __getitem__(self, key: bytes) -> bytes:
        """The newest value of a row."""
        value: bytes | None = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[bytes]:
        """The keys of all rows. Rows may be written meanwhile: a key that stays comes once.

        Raises:
            StoreDamagedError: A checksum is wrong.
        """
        last: bytes | None = None
        while True:
            keys, last = self._page_behind(last)
            yield from keys
            if last is None:
                return

    def __len__(self) -> int:
        """How many rows there are, by counting them."""
        return sum(1 for _ in self._scan())

    def items(self) -> ItemsView[bytes, bytes]:
        """All rows. Each block is checked against its checksum, as everywhere."""
        return _Items(self)

    def _page_behind(self, last: bytes | None) -> tuple[list[bytes], bytes | None]:
        """The next keys in their order, and the last that was looked at; ``None`` at the end.

        No iterator of the database stays open in between: it would keep files that are not needed
        any more, and a closed database open.
        """
        pending = self._pending_rows()
        found: list[bytes] = []
        options = ReadOptions()
        options.fill_cache(False)  # type: ignore[call-arg]
        iterator = self._db.iter(options)
        try:
            if last is None:
                iterator.seek_to_first()
            else:
                iterator.seek(last)
            while iterator.valid() and len(found) < _PAGE:
                if (key := iterator.key()) != last:
                    found.append(key)
                iterator.next()
            is_end = not iterator.valid()
            with translated(self.path, self._number):
                iterator.status()
        finally:
            del iterator
        end = None if is_end else found[-1]
        hidden = _OWN | pending.keys()
        keys = [key for key in found if key not in hidden]
        keys += [
            key
            for key, value in pending.items()
            if value is not None and (last is None or key > last) and (end is None or key <= end)
        ]
        return keys, end

    def _pending_rows(self) -> dict[bytes, bytes | None]:
        pending: dict[bytes, bytes | None] = {}
        for rows in self._pending:
            pending.update(rows)
        return pending

    def _scan(self) -> Iterator[tuple[bytes, bytes]]:
        pending = self._pending_rows()
        hidden = _OWN | pending.keys()
        options = ReadOptions()
        options.set_readahead_size(_READAHEAD)
        options.fill_cache(False)  # type: ignore[call-arg]
        # rocksdict's own `items` ends silently at a damaged block; this iterator reports it.
        iterator = self._db.iter(options)
        try:
            iterator.seek_to_first()
            while iterator.valid():
                key = iterator.key()
                if key not in hidden:
                    yield key, iterator.value()
                iterator.next()
            with translated(self.path, self._number):
                iterator.status()
        finally:
            del iterator  # a traceback would keep the database open
        for key, value in pending.items():
            if value is not None:
                yield key, value

    # -- its own records ------------------------------------------------------------------------

    def _read_state(self) -> tuple[bytes, int, int]:
        with translated(self.path, self._number):
            identity, state = self._db.get(_IDENTITY), self._db.get(_POSITION)
            if identity is None and state is None:
                if any(True for _ in self._scan()):
                    raise StoreDamagedError(self._number, "rows without a position")
                return b"", 0, 0
            if identity is None or state is None or len(state) != _STATE.size:
                raise StoreDamagedError(self._number, "its position is damaged")
            position, written_at = _STATE.unpack(state)
            return identity, position, written_at

    def _put_state(self, batch: WriteBatch, position: int, now: int) -> None:
        batch.put(_POSITION, _STATE.pack(position, now))
        self._db.write(batch, self._no_log)
        self.position, self.written_at = position, now
        self._unflushed = True


class _Items(ItemsView[bytes, bytes]):
    """All rows in one pass; the view of a mapping would look up each key."""

    def __init__(self, rows: RocksPartition) -> None:
        super().__init__(rows)
        self._rows = rows

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self._rows._scan()
