"""Rows in RocksDB: a database for each partition, within a bound of memory that they share.

Each partition has a directory below that of its changelog. A database that cannot be trusted is
removed when it is opened: damaged, of another log, of another format of rows, or unused for so long
that the changelog may have lost the tombstones of rows that were deleted meanwhile.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, WriteBufferManager

from cdp_stream.errors import DiskError
from cdp_stream.store.damage import StoreDamagedError, disk_error
from cdp_stream.store.data_directory import make_private
from cdp_stream.store.rocks_partition import RocksPartition
from cdp_stream.store.rows import LogIdentity, Opened, Rows

__all__ = ["RocksRows"]

_FORMAT = 1
"""Of what is in the databases beside the rows."""
_HOUR_MS = 3_600_000
TRUSTED_MS = 12 * _HOUR_MS
"""Rows older than this are read anew. Compaction removes the mark of a deleted row 24 hours after
it (`delete.retention.ms`); a store that reads on from before would keep the row."""
KEPT_MS = _HOUR_MS
"""How long the rows of a partition stay that moved to another worker: it may come back."""
_STAMPED_MS = _HOUR_MS
_CLOCK_MS = 60_000
_MIB = 1024 * 1024
_WRITE_BUFFER = 16 * _MIB
_OPEN_FILES = 64


class RocksRows:
    """The rows of a worker's partitions, on its disk.

    Args:
        directory: Where the databases of this changelog go; created as needed.
        now_ms: The wall clock.
        memory: Bytes for blocks that were read, indexes and rows not yet on disk, of all
            partitions: 8 MiB at least.
        lease_ms: The newest moment at which the partitions were certainly this worker's, epoch ms.
            Rows count as written then, and not later: a worker that was cut off, or suspended, may
            notice it late.
    """

    def __init__(
        self,
        directory: Path,
        now_ms: Callable[[], int],
        memory: int = 128 * _MIB,
        lease_ms: Callable[[], int] | None = None,
    ) -> None:
        self._directory = directory
        self._now_ms = now_ms
        self._lease_ms = lease_ms or now_ms
        self._open: dict[int, RocksPartition] = {}
        self._cache = Cache(memory)
        self._buffers = WriteBufferManager.new_write_buffer_manager_with_cache(
            memory // 2, False, self._cache
        )

    def open(self, partition: int, log: LogIdentity) -> Opened:
        """Open a partition's database, or begin a new one.

        Raises:
            DiskError: The disk refuses.
        """
        self.let_go(partition)
        identity = _identity(log, partition)
        reason, path = "", self._path(partition)
        if path.exists() and not path.is_dir():
            reason = "damaged: no directory"
            self.drop(partition)
        elif path.exists():
            try:
                found = self._open_database(partition)
            except StoreDamagedError as error:
                reason = f"damaged: {error}"
            else:
                reason = self._why_not(found, identity)
                if not reason and found.identity:
                    self._open[partition] = found
                    return Opened(found.position)
                found.close(keep=False)
            self.drop(partition)
        found = self._open_database(partition)
        self._open[partition] = found
        found.begin(identity, self._now_ms())
        return Opened(0, reason)

    def load(self, partition: int, rows: Rows, position: int) -> None:
        """Set rows read from the changelog."""
        self._open[partition].put(rows, position, self._lease_ms())

    def loaded(self, partition: int) -> None:
        """Flush what was read, so that it survives a crash."""
        self._open[partition].flush()

    def rows(self, partition: int) -> Mapping[bytes, bytes]:
        """The live rows of a partition, which is open."""
        return self._open[partition]

    def write(self, partition: int, rows: Rows) -> None:
        """Set rows; they are visible at once."""
        self._open[partition].write(rows)

    def confirm(self, partition: int, writes: int, position: int) -> None:
        """Move the rows of the oldest writes into the database.

        Raises:
            DiskError: The disk refuses.
        """
        found = self._open.get(partition)
        if found is not None:
            try:
                found.confirm(writes, position, self._lease_ms())
            except StoreDamagedError as error:
                raise disk_error(found.path, str(error)) from error

    def let_go(self, partition: int) -> None:
        """Close a partition's database; it is used again if the partition comes back soon."""
        found = self._open.pop(partition, None)
        if found is not None:
            try:
                found.close()
            except (StoreDamagedError, DiskError):
                self.drop(partition)

    def drop(self, partition: int) -> None:
        """Close a partition's database and remove it.

        Raises:
            DiskError: It cannot be removed.
        """
        found = self._open.pop(partition, None)
        if found is not None:
            found.close(keep=False)
        self._remove(self._path(partition))

    def aging(self) -> dict[int, int]:
        """Partitions whose rows were last written an hour ago or more, and how far they reach."""
        now = self._now_ms()
        return {
            number: found.position
            for number, found in self._open.items()
            if not -_CLOCK_MS <= now - found.written_at < _STAMPED_MS
        }

    def refresh(self, partition: int, position: int, at: int) -> None:
        """Count rows that reach up to a position as written at a moment.

        Raises:
            DiskError: The disk refuses.
        """
        found = self._open.get(partition)
        if found is not None and found.position == position:
            try:
                found.put({}, -1, at)
            except StoreDamagedError as error:
                raise disk_error(found.path, str(error)) from error

    def tidy(self) -> None:
        """Flush rows, so that they survive a crash, and remove those of partitions long given up.

        Raises:
            DiskError: The disk refuses.
        """
        now = self._now_ms()
        for number, found in self._open.items():
            try:
                found.flush(wait=False)
            except StoreDamagedError as error:
                raise disk_error(self._path(number), str(error)) from error
        if self._directory.exists():
            for path in self._directory.iterdir():
                is_open = path.name.isdecimal() and int(path.name) in self._open
                if not is_open and now - _touched_at(path) > KEPT_MS:
                    self._remove(path)

    def close(self) -> None:
        """Close every database."""
        for partition in list(self._open):
            self.let_go(partition)

    def _why_not(self, found: RocksPartition, identity: bytes) -> str:
        """Why rows cannot be trusted; empty when they can."""
        if not found.identity:
            return ""
        if found.identity != identity:
            return _difference(found.identity, identity)
        age = self._now_ms() - found.written_at
        if not -_CLOCK_MS <= age <= TRUSTED_MS:
            return f"last written {age / _HOUR_MS:.1f} hours ago"
        return ""

    def _open_database(self, partition: int) -> RocksPartition:
        path = self._path(partition)
        try:
            make_private(path)
        except OSError as error:
            raise disk_error(path, error.strerror or str(error)) from error
        return RocksPartition(path, partition, self._options())

    def _path(self, partition: int) -> Path:
        return self._directory / str(partition)

    @staticmethod
    def _remove(path: Path) -> None:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(path, error.strerror or str(error)) from error

    def _options(self) -> Options:
        blocks = BlockBasedOptions()
        blocks.set_block_cache(self._cache)
        blocks.set_cache_index_and_filter_blocks(True)  # within the bounds too
        blocks.set_bloom_filter(10, False)  # a new profile is not searched for on disk
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_paranoid_checks(True)
        options.set_block_based_table_factory(blocks)
        options.set_write_buffer_manager(self._buffers)
        options.set_write_buffer_size(_WRITE_BUFFER)
        options.set_max_write_buffer_number(3)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_level_compaction_dynamic_level_bytes(True)
        options.set_max_background_jobs(2)
        options.set_max_open_files(_OPEN_FILES)
        options.set_keep_log_file_num(2)
        options.set_max_log_file_size(_MIB)
        options.set_stats_dump_period_sec(0)
        options.set_stats_persist_period_sec(0)
        return options


def _identity(log: LogIdentity, partition: int) -> bytes:
    """Whose rows a database holds, as it is written into it."""
    facts = {**asdict(log), "partition": partition, "format": _FORMAT}
    return json.dumps(facts, sort_keys=True).encode()


def _difference(found: bytes, wanted: bytes) -> str:
    try:
        theirs, ours = json.loads(found), json.loads(wanted)
        differing = [f"{name} {theirs.get(name)!r} instead of {ours[name]!r}" for name in ours
                     if theirs.get(name) != ours[name]]  # fmt: skip
    except (ValueError, AttributeError):
        differing = []
    return "foreign: " + (", ".join(differing) or "of another format")


def _touched_at(path: Path) -> int:
    """When something was last changed in a directory, epoch ms."""
    try:
        newest = max((entry.stat().st_mtime_ns for entry in path.iterdir()), default=0)
        return max(newest, path.stat().st_mtime_ns) // 1_000_000
    except NotADirectoryError:
        return path.stat().st_mtime_ns // 1_000_000
    except OSError as error:
        raise disk_error(path, error.strerror or str(error)) from error
