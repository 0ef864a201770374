"""A profile's row as bytes, as the changelog and every store keep it.

A fixed header (so that due instants are rebuilt without decoding a row), the remembered ids as
packed integers, then one JSON array of what has no fixed size. The first byte is the version: a row
of another version is refused, never guessed at.

The partition's own row (`PARTITION_KEY`) holds its time and the position up to which every row is
complete.
"""

from __future__ import annotations

from array import array
from struct import Struct
from struct import error as StructError  # noqa: N812 - its own name says nothing
from typing import Final, NamedTuple

import orjson

from cdp_stream.core.row import Row, Space
from cdp_stream.errors import OutsideError

VERSION: Final = 1
PARTITION_KEY: Final = b"~partition"
"""The key of the partition's own row; no profile id is written so."""

_HEADER = Struct(">BqqqIIHH")
_GREATEST_WEIGHT = 2**32 - 1
_DUE = Struct(">Bq")
_PARTITION = Struct(">Bqq")


class PartitionState(NamedTuple):
    """What a partition knows besides its rows.

    Attributes:
        time: the partition's time, epoch ms; -1 before the first record.
        position: the offset up to which every record is in the rows; -1 for none.
    """

    time: int
    position: int


def encode_row(row: Row) -> bytes:
    """The row as bytes; `row.mpid` is the key and not repeated."""
    spaces = [
        (workspace, space.first_seen, space.last_seen, space.attributes)
        for workspace, space in row.spaces.items()
    ]
    header = _HEADER.pack(
        VERSION,
        row.due,
        row.clock,
        row.position,
        row.ordinal,
        min(row.weight, _GREATEST_WEIGHT),
        len(row.event_ids),
        len(row.batch_ids),
    )
    body = orjson.dumps((row.identities, spaces, row.slots, row.members))
    return b"".join((header, row.event_ids.tobytes(), row.batch_ids.tobytes(), body))


def decode_row(mpid: int, value: bytes) -> Row:
    """The row that `encode_row` wrote.

    Raises:
        OutsideError: the value is of another version, or damaged.
    """
    row = Row(mpid)
    try:
        _check_version(value[0] if value else VERSION)
        _, row.due, row.clock, row.position, row.ordinal, row.weight, events, batches = (
            _HEADER.unpack_from(value)
        )
        ids_at = _HEADER.size
        batches_at = ids_at + 8 * events
        body_at = batches_at + 8 * batches
        row.event_ids = array("q", value[ids_at:batches_at])
        row.batch_ids = array("q", value[batches_at:body_at])
        row.identities, spaces, row.slots, row.members = orjson.loads(value[body_at:])
        for workspace, first_seen, last_seen, attributes in spaces:
            row.spaces[workspace] = Space(first_seen, last_seen, attributes)
    except (ValueError, TypeError, StructError) as error:
        raise _damaged(str(mpid)) from error
    return row


def due_of(value: bytes) -> int:
    """The due instant of an encoded row, without decoding the rest.

    Raises:
        OutsideError: the value is of another version, or damaged.
    """
    _check_version(value[0] if value else VERSION)
    if len(value) < _DUE.size:
        raise _damaged("too short for its header")
    return int(_DUE.unpack_from(value)[1])


def encode_partition(state: PartitionState) -> bytes:
    """The partition's own row."""
    return _PARTITION.pack(VERSION, state.time, state.position)


def decode_partition(value: bytes) -> PartitionState:
    """The partition's own row back.

    Raises:
        OutsideError: the value is of another version, or damaged.
    """
    _check_version(value[0] if value else VERSION)
    if len(value) != _PARTITION.size:
        raise _damaged("the partition's own row")
    _version, time, position = _PARTITION.unpack(value)
    return PartitionState(time, position)


def _check_version(version: int) -> None:
    if version != VERSION:
        raise OutsideError(
            f"a row in the changelog has version {version}, this release reads {VERSION}",
            "run the release that wrote it, or start with an empty changelog topic and replay",
        )


def _damaged(which: str) -> OutsideError:
    return OutsideError(
        f"a row in the changelog is damaged: {which}",
        "recreate the changelog topic and replay cdp.events from its beginning",
    )
