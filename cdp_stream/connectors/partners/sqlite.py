"""An SQLite database: a row for each member.

Source: docs/connectors/sqlite.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching, LocalConnector
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.connectors.in_thread import in_thread
from cdp_stream.connectors.members.membership_rows import (
    CHANGE_COLUMNS,
    COLUMNS,
    Key,
    MemberRow,
    applied,
    change_values,
    checked_table,
    pieces,
    row_of,
    row_values,
)
from cdp_stream.connectors.settings import ConnectionSettings, OutputSettings

__all__ = ["Sqlite", "SqliteSettings"]

_PASSING: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL}
)
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS {table} (
    connection TEXT NOT NULL, mpid TEXT NOT NULL, audience_id TEXT NOT NULL,
    audience_name TEXT NOT NULL, variant TEXT, since INTEGER NOT NULL, changed_at INTEGER NOT NULL,
    message_id TEXT NOT NULL, user_identities TEXT NOT NULL, user_attributes TEXT NOT NULL,
    PRIMARY KEY (connection, mpid)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {table}_changes (
    message_id TEXT NOT NULL, connection TEXT NOT NULL, action TEXT NOT NULL,
    audience_id TEXT NOT NULL, mpid TEXT NOT NULL, effective_at INTEGER NOT NULL,
    PRIMARY KEY (message_id, connection)
) WITHOUT ROWID;
"""


class SqliteSettings(OutputSettings):
    """A database file and its table."""

    path: str = Field(description="The database file; created if missing.")
    table: str = Field(
        "cdp_memberships", description="The table of members; `TABLE_changes` is beside it."
    )


class Sqlite(LocalConnector[SqliteSettings, ConnectionSettings]):
    """Keeps a table equal to the membership, a transaction for each batch."""

    name = "sqlite"
    title = "SQLite"
    summary = "Keeps a table of members in an SQLite database."
    output_settings = SqliteSettings
    takes_attributes = True
    on_audience_delete = "remove_rows"
    batching = Batching(count=5_000, interval_ms=500, per_connection=False)

    def __init__(self, output: str, settings: SqliteSettings) -> None:
        super().__init__(output, settings)
        self._table = checked_table(output, settings.table)
        self._database: sqlite3.Connection | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The database; SQLite puts its other files beside it."""
        return (Path(self.settings.path),)

    async def open(self, directory: Path) -> None:
        """Make the file and the tables, where they are not there."""
        await in_thread(self._reporting, self._open)

    async def write(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> Outcome:
        """In one transaction, on the disk when it returns."""
        await in_thread(self._reporting, self._write, changes)
        return Outcome()

    async def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            await in_thread(self._database.close)
            self._database = None

    def _reporting(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except (sqlite3.Error, PermissionError, NotADirectoryError, FileExistsError) as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code is not None and code & 0xFF in _PASSING:
                raise OSError(f"{self.settings.path}: {error}") from error
            raise Fault(
                "output",
                f"{self.settings.path} cannot be used: {error}; repair it or give the worker the "
                f"right to write there, then resume output {self.output}",
            ) from error

    def _open(self) -> None:
        if self._database is not None:
            return
        Path(self.settings.path).parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(
            self.settings.path, timeout=10, isolation_level=None, check_same_thread=False
        )
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            for statement in _TABLES.format(table=self._table).split(";\n")[:-1]:
                database.execute(statement)
        except sqlite3.Error:
            database.close()
            raise
        self._database = database

    def _write(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> None:
        self._open()
        database = self._database
        assert database is not None, "it has just been opened"
        database.execute("BEGIN IMMEDIATE")
        try:
            for members, deletion in pieces(changes):
                self._apply(database, members)
                if deletion is not None:
                    self._forget(database, deletion.connection)
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise

    def _apply(
        self, database: sqlite3.Connection, changes: Sequence[OutputChange[ConnectionSettings]]
    ) -> None:
        # The table's name was checked: letters, digits, `_` and a dot.
        marks = ", ".join("?" * len(CHANGE_COLUMNS))
        insert = f"INSERT OR IGNORE INTO {self._table}_changes VALUES ({marks})"
        new = [c for c in changes if database.execute(insert, change_values(c)).rowcount]
        rows = self._rows(database, {(change.connection, change.mpid) for change in new})
        after = applied(rows, new)
        values = [row_values(key, row) for key, row in after.items() if row is not None]
        marks = ", ".join("?" * len(COLUMNS))
        database.executemany(f"REPLACE INTO {self._table} VALUES ({marks})", values)
        deleted = [key for key, row in after.items() if row is None]
        self._delete(database, "connection = ? AND mpid = ?", deleted)

    def _rows(self, database: sqlite3.Connection, keys: set[Key]) -> dict[Key, MemberRow]:
        columns = ", ".join(COLUMNS)
        select = f"SELECT {columns} FROM {self._table} WHERE connection = ? AND mpid = ?"
        found = (database.execute(select, key).fetchone() for key in keys)
        return dict(row_of(values) for values in found if values is not None)

    def _delete(self, database: sqlite3.Connection, which: str, values: list[Any]) -> None:
        database.executemany(f"DELETE FROM {self._table} WHERE {which}", values)

    def _forget(self, database: sqlite3.Connection, connection: str) -> None:
        self._delete(database, "connection = ?", [(connection,)])
        database.execute(f"DELETE FROM {self._table}_changes WHERE connection = ?", (connection,))
