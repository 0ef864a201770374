"""How changes update the rows of a membership table: one row for each member of a connection.

Two tables hold it. In `TABLE` there is a row as long as the profile is a member; `TABLE_changes`
has every change that was applied. A change that is in there already is passed over, so repetition
does nothing, and an older change that comes again never undoes a newer one.

Source: docs/connectors/postgres.md, docs/connectors/sqlite.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cdp_stream.connectors.change import (
    ATTRIBUTE_UPDATE,
    AUDIENCE_DELETE,
    DELETE,
    OutputChange,
    json_bytes,
)
from cdp_stream.errors import UsageError

__all__ = [
    "CHANGE_COLUMNS", "COLUMNS", "Key", "MemberRow", "applied", "change_values", "checked_table",
    "pieces", "row_of", "row_values",
]  # fmt: skip

COLUMNS: Final = (
    "connection", "mpid", "audience_id", "audience_name", "variant", "since", "changed_at",
    "message_id", "user_identities", "user_attributes",
)  # fmt: skip
"""Of `TABLE`; the first two are its key. Instants are epoch ms, the last two JSON objects."""

CHANGE_COLUMNS: Final = (
    "message_id",
    "connection",
    "action",
    "audience_id",
    "mpid",
    "effective_at",
)
"""Of `TABLE_changes`; the first two are its key."""

Key = tuple[str, str]
"""(connection, mpid)."""

_TABLE = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,54}")


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member of a connection; `since` and `changed_at` are epoch ms."""

    audience_id: str
    audience_name: str
    variant: str | None
    since: int
    changed_at: int
    message_id: str
    identities: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


def checked_table(output: str, table: str) -> str:
    """The name of a table, if it can be one.

    Raises:
        UsageError: it cannot.
    """
    if not _TABLE.fullmatch(table):
        raise UsageError(
            f"output {output}: table: {table!r} is not a table name",
            "write letters, digits and `_`, at most 55; optionally with a schema and a dot "
            "before it",
        )
    return table


def pieces(
    changes: Sequence[OutputChange[Any]],
) -> Iterable[tuple[Sequence[OutputChange[Any]], OutputChange[Any] | None]]:
    """Changes of members, and the deletion of an audience that follows them, if one does."""
    start = 0
    for place, change in enumerate(changes):
        if change.action == AUDIENCE_DELETE:
            yield changes[start:place], change
            start = place + 1
    if start < len(changes):
        yield changes[start:], None


def applied(
    rows: Mapping[Key, MemberRow], changes: Iterable[OutputChange[Any]]
) -> dict[Key, MemberRow | None]:
    """What becomes of rows, given those that are there, by changes not applied before, in order;
    None is no row.
    """
    after: dict[Key, MemberRow | None] = {}
    for change in changes:
        key = change.connection, change.mpid
        after[key] = _next(after[key] if key in after else rows.get(key), change)
    return after


def _next(row: MemberRow | None, change: OutputChange[Any]) -> MemberRow | None:
    sent = dict(change.identities)
    at = change.effective_at
    if change.action == ATTRIBUTE_UPDATE:
        if row is None:
            return None
        attributes = change.attributes
        return replace(row, changed_at=at, message_id=change.message_id, attributes=attributes)
    if change.action == DELETE:
        if row is None or not change.of_identity:
            return None
        rest = {name: value for name, value in row.identities.items() if sent.get(name) != value}
        if not rest:
            return None
        return replace(row, changed_at=at, message_id=change.message_id, identities=rest)
    return MemberRow(
        change.audience_id,
        change.audience_name,
        change.variant,
        at if row is None else row.since,
        at,
        change.message_id,
        {**row.identities, **sent} if row is not None and change.of_identity else sent,
        change.attributes,
    )


def row_values(key: Key, row: MemberRow) -> tuple[Any, ...]:
    """In the order of `COLUMNS`."""
    return (
        *key,
        row.audience_id,
        row.audience_name,
        row.variant,
        row.since,
        row.changed_at,
        row.message_id,
        json_bytes(row.identities).decode(),
        json_bytes(row.attributes).decode(),
    )


def change_values(change: OutputChange[Any]) -> tuple[Any, ...]:
    """In the order of `CHANGE_COLUMNS`."""
    return (
        change.message_id,
        change.connection,
        change.action,
        change.audience_id,
        change.mpid,
        change.effective_at,
    )


def row_of(values: Sequence[Any]) -> tuple[Key, MemberRow]:
    """A row as it was read, in the order of `COLUMNS`; JSON as text."""
    fields = dict(zip(COLUMNS[2:-2], values[2:-2], strict=True))
    identities, attributes = map(json.loads, values[-2:])
    key = values[0], values[1]
    return key, MemberRow(**fields, identities=identities, attributes=attributes)
