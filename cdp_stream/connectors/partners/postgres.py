"""A PostgreSQL database: a row for each member.

Source: docs/connectors/postgres.md.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching, LocalConnector
from cdp_stream.connectors.exchange import Fault, Outcome
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
from cdp_stream.connectors.settings import ConnectionSettings, OutputSettings, SecretStr

if TYPE_CHECKING:
    import psycopg
    from psycopg import AsyncConnection
    from psycopg.sql import Composed, Identifier

__all__ = ["Postgres", "PostgresSettings"]

_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS {table} (
    connection text NOT NULL, mpid text NOT NULL, audience_id text NOT NULL,
    audience_name text NOT NULL, variant text, since bigint NOT NULL, changed_at bigint NOT NULL,
    message_id text NOT NULL, user_identities jsonb NOT NULL, user_attributes jsonb NOT NULL,
    PRIMARY KEY (connection, mpid))""",
    """CREATE TABLE IF NOT EXISTS {changes} (
    message_id text NOT NULL, connection text NOT NULL, action text NOT NULL,
    audience_id text NOT NULL, mpid text NOT NULL, effective_at bigint NOT NULL,
    PRIMARY KEY (message_id, connection))""",
)
_NOTE: Final = """INSERT INTO {changes} ({change_columns}) SELECT * FROM
    unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])
    ON CONFLICT DO NOTHING RETURNING message_id, connection"""
_READ: Final = """SELECT connection, mpid, audience_id, audience_name, variant, since, changed_at,
    message_id, user_identities::text, user_attributes::text FROM {table} AS kept
    JOIN unnest(%s::text[], %s::text[]) AS wanted(connection, mpid) USING (connection, mpid)
    FOR UPDATE OF kept"""
_PUT: Final = """INSERT INTO {table} ({columns})
    SELECT c, m, a, n, v, s, t, i, u::jsonb, p::jsonb FROM
    unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
    %s::text[], %s::text[], %s::text[]) AS new(c, m, a, n, v, s, t, i, u, p)
    ON CONFLICT (connection, mpid) DO UPDATE SET ({columns}) = ({new_columns})"""
_DROP: Final = """DELETE FROM {table} AS kept USING unnest(%s::text[], %s::text[]) AS gone(c, m)
    WHERE kept.connection = gone.c AND kept.mpid = gone.m"""
_FORGET: Final = (
    "DELETE FROM {table} WHERE connection = %s",
    "DELETE FROM {changes} WHERE connection = %s",
)
_ODD = re.compile(r"(\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|\\u0000|\\u[dD][89a-fA-F]..")
"""In JSON as text; the group is what only looks like it."""

_FILES: Final = frozenset({"sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir", "passfile"})
_PLACES: Final = ("host", "hostaddr", "service")
_SYSTEM: Final = "system"
"""In place of a file: the authorities that the system trusts."""
_KNOWS_SYSTEM: Final = 160_000
"""The version of libpq since which it is."""
_LASTING_WORDS: Final = (
    "authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist",
    "permission denied", "certificate", "does not support SSL",
)  # fmt: skip
_PASSING: Final = ("08", "40", "53", "55", "57", "58")
"""Classes of errors that may pass: connections, conflicts, room, locks, restarts, the machine."""


class PostgresSettings(OutputSettings):
    """A database and its table."""

    url: SecretStr = Field(
        description="`postgresql://user:password@host:5432/database`, with other parameters of "
        "libpq after a `?`; the default of `sslmode` is `verify-full`."
    )
    table: str = Field(
        "cdp_memberships",
        description="The table of members, with `schema.` if necessary; `TABLE_changes` is "
        "beside it.",
    )


class Postgres(LocalConnector[PostgresSettings, ConnectionSettings]):
    """Keeps a table equal to the membership, a transaction for each batch."""

    name = "postgres"
    title = "PostgreSQL"
    summary = "Keeps a table of members in a PostgreSQL database."
    output_settings = PostgresSettings
    takes_attributes = True
    on_audience_delete = "remove_rows"
    batching = Batching(count=5_000, interval_ms=500, per_connection=False)
    extra = "postgres"

    def __init__(self, output: str, settings: PostgresSettings) -> None:
        super().__init__(output, settings)
        self._names = checked_table(output, settings.table).split(".")
        self._database: AsyncConnection[Any] | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of certificates, passwords and services that the url names."""
        named = (str(value) for key, value in self._parameters().items() if key in _FILES)
        return tuple(Path(one) for one in named if one != _SYSTEM)

    @property
    def hosts(self) -> tuple[str | None, ...]:
        """Where the url leads; None for a socket of this machine."""
        parameters = self._parameters()
        return _hosts(parameters.get("hostaddr") or parameters.get("host"))

    async def open(self, directory: Path) -> None:
        """Connect, and make the tables where they are not there."""
        async with self._reporting():
            await self._connected()

    async def write(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> Outcome:
        """In one transaction."""
        async with self._reporting():
            database = await self._connected()
            async with database.transaction():
                for members, deletion in pieces(changes):
                    if members:
                        await self._apply(database, members)
                    if deletion is not None:
                        for text in _FORGET:
                            await database.execute(self._sql(text), (deletion.connection,))
        return Outcome()

    async def close(self) -> None:
        """Leave the database."""
        if self._database is not None:
            await self._database.close()
            self._database = None

    @asynccontextmanager
    async def _reporting(self) -> AsyncIterator[None]:
        """An error of the database, as one that may pass, or as a fault."""
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            message = " ".join(str(error).split()) or type(error).__name__
            await self.close()
            if _may_pass(error):
                raise OSError(f"PostgreSQL: {message}") from error
            raise Fault(
                "output",
                f"PostgreSQL refused: {message}; repair it, then resume output {self.output}",
            ) from error

    async def _connected(self) -> AsyncConnection[Any]:
        import psycopg

        if self._database is not None and not self._database.closed:
            return self._database
        database = await psycopg.AsyncConnection.connect(
            self.settings.url.get_secret_value(), **self.security(), autocommit=True,
            connect_timeout=10, application_name=f"cdp-stream {self.output}",
        )  # fmt: skip
        self._database = database
        await self._make_tables(database)
        return database

    def _parameters(self) -> dict[str, Any]:
        """The settings of the url; of places also those of the environment."""
        import psycopg

        try:
            written = psycopg.conninfo.conninfo_to_dict(self.settings.url.get_secret_value())
        except psycopg.Error:  # its message repeats parts of the url
            raise Fault(
                "output",
                f"the url of output {self.output} is none that PostgreSQL knows; write "
                "postgresql://user:password@host:5432/database, with % codes for odd characters",
            ) from None
        usual = {one.keyword.decode(): one.val for one in psycopg.pq.Conninfo.get_defaults()}
        places = {key: value.decode() for key in _PLACES if (value := usual.get(key))}
        return {**places, **written}

    def security(self) -> dict[str, Any]:
        """How far the server has to prove who it is: wholly, unless the url has another
        mode or every name of it is on this machine.
        """
        import psycopg

        parameters = self._parameters()
        hosts = [*_hosts(parameters.get("host")), *_hosts(parameters.get("hostaddr"))]
        is_local = "service" not in parameters and all(map(_is_local, hosts))
        if is_local or "sslmode" in parameters:
            return {}
        security: dict[str, Any] = {"sslmode": "verify-full"}
        if "sslrootcert" not in parameters and psycopg.pq.version() >= _KNOWS_SYSTEM:
            security["sslrootcert"] = _SYSTEM
        return security

    async def _make_tables(self, database: AsyncConnection[Any]) -> None:
        names = [self._named(suffix).as_string(None) for suffix in ("", "_changes")]
        found = await database.execute("SELECT to_regclass(%s), to_regclass(%s)", names)
        if None not in (await found.fetchone() or ()):
            return  # perhaps made by another user, whose rights we lack
        async with database.transaction():
            # Two workers that make the same table at once would fail each other.
            await database.execute("SELECT pg_advisory_xact_lock(hashtext('cdp-stream'))")
            for text in _TABLES:
                await database.execute(self._sql(text))

    async def _apply(
        self, database: AsyncConnection[Any], changes: Sequence[OutputChange[ConnectionSettings]]
    ) -> None:
        values = map(change_values, changes)
        noted = await database.execute(self._sql(_NOTE), _columns(values, len(CHANGE_COLUMNS)))
        new = set(await noted.fetchall())
        fresh = []
        for change in changes:
            ids = change.message_id, change.connection
            if ids in new:
                new.discard(ids)
                fresh.append(change)
        keys = {(change.connection, change.mpid) for change in fresh}
        found = await database.execute(self._sql(_READ), _columns(sorted(keys), 2))
        rows: dict[Key, MemberRow] = dict(map(row_of, await found.fetchall()))
        after = applied(rows, fresh)
        put = [row_values(key, row) for key, row in after.items() if row is not None]
        deleted = [key for key, row in after.items() if row is None]
        if put:
            await database.execute(self._sql(_PUT), _columns(map(_storable, put), len(COLUMNS)))
        if deleted:
            await database.execute(self._sql(_DROP), _columns(deleted, 2))

    def _sql(self, text: str) -> Composed:
        from psycopg import sql

        def listed(columns: Sequence[str]) -> Composed:
            return sql.SQL(", ").join(map(sql.Identifier, columns))

        return sql.SQL(text).format(
            table=self._named(""),
            changes=self._named("_changes"),
            columns=listed(COLUMNS),
            change_columns=listed(CHANGE_COLUMNS),
            new_columns=sql.SQL(", ").join(sql.Identifier("excluded", one) for one in COLUMNS),
        )

    def _named(self, suffix: str) -> Identifier:
        from psycopg import sql

        return sql.Identifier(*self._names[:-1], self._names[-1] + suffix)


def _hosts(named: object) -> tuple[str | None, ...]:
    return tuple(
        None if not one or one.startswith(("/", "@")) else one
        for one in str(named or "").split(",")
    )


def _is_local(host: str | None) -> bool:
    if host is None or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _columns(rows: Iterable[Sequence[Any]], count: int) -> list[list[Any]]:
    """Rows as a list for each column, as `unnest` reads them."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(count)]


def _storable(values: Sequence[Any]) -> list[Any]:
    """What PostgreSQL cannot hold in a text, a character zero or half of one, becomes U+FFFD."""
    return [
        _ODD.sub(lambda found: found[1] or "\\ufffd", value) if isinstance(value, str) else value
        for value in values
    ]


def _may_pass(error: psycopg.Error) -> bool:
    if error.sqlstate is not None:
        return error.sqlstate.startswith(_PASSING)
    # Of a connection that is not made only the words come.
    message = str(error)
    return not any(words in message for words in _LASTING_WORDS)
