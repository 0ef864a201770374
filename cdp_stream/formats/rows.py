"""A profile's row as bytes, as the changelog and every store keep it.

The version and the due instant come first, so that due instants are rebuilt without decoding rows;
the rest is one MessagePack array, which is smaller than JSON and takes half the time. A row of
another version is refused, never guessed at.

The partition's own row (`PARTITION_KEY`) holds its time and the position up to which every row is
complete.
"""

from __future__ import annotations

from collections.abc import Collection
from struct import Struct
from typing import Any, Final, NamedTuple

import msgspec

from cdp_stream.core.row import Row, Space
from cdp_stream.errors import OutsideError

VERSION: Final = 1
PARTITION_KEY: Final = b"~partition"
"""The key of the partition's own row; no profile id is written so."""

_HEADER = Struct(">Bq")
_PARTITION = Struct(">Bqq")
_Seen = list[tuple[str, int, int]]
_Cold = tuple[
    dict[str, str],
    list[tuple[dict[str, Any], dict[str, Any]]],
    dict[str, int],
    dict[str, str],
    int,
    int,
    dict[str, int],
]
_Body = tuple[int, int, int, int, _Seen, dict[str, Any], bytes, bytes, msgspec.Raw]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode
_decode_cold = msgspec.msgpack.Decoder(_Cold).decode
_skip_to_cold = msgspec.msgpack.Decoder(tuple[(msgspec.Raw,) * 9]).decode  # type: ignore[misc]
_skip_to_members = msgspec.msgpack.Decoder(
    tuple[
        msgspec.Raw,
        msgspec.Raw,
        dict[str, msgspec.Raw],
        msgspec.Raw,
        msgspec.Raw,
        msgspec.Raw,
        msgspec.Raw,
    ]
).decode


class PartitionState(NamedTuple):
    """What a partition knows besides its rows.

    Attributes:
        time: the partition's time, epoch ms; -1 before the first record.
        position: the offset up to which every record is in the rows; -1 for none.
    """

    time: int
    position: int


def encode_row(row: Row) -> bytes:
    """The row as bytes; `row.mpid` is the key and not repeated.

    What seldom changes is encoded when it has changed, and kept in `row.cold`.
    """
    cold = row.cold
    if cold is None:
        cold = row.cold = _encode_cold(row)
    body = (
        row.clock,
        row.position,
        row.ordinal,
        row.weight,
        [(workspace, space.first_seen, space.last_seen) for workspace, space in row.spaces.items()],
        row.slots,
        row.event_ids,
        row.batch_ids,
        msgspec.Raw(cold),
    )
    return _HEADER.pack(VERSION, row.due) + _encode(body)


def _encode_cold(row: Row) -> bytes:
    facts = [(space.attributes, space.facts) for space in row.spaces.values()]
    told = row.told if row.told_at == row.clock else {}
    return _encode(
        (row.identities, facts, row.members, row.variants, row.opt_out, row.told_at, told)
    )


def decode_row(mpid: int, value: bytes) -> Row:
    """The row that `encode_row` wrote.

    Raises:
        OutsideError: the value is of another version, or damaged.
    """
    row = Row(mpid)
    row.due = due_of(value)
    try:
        (
            row.clock,
            row.position,
            row.ordinal,
            row.weight,
            seen,
            row.slots,
            event_ids,
            batch_ids,
            cold,
        ) = _decode(memoryview(value)[_HEADER.size :])
        row.identities, facts, row.members, row.variants, row.opt_out, row.told_at, row.told = (
            _decode_cold(cold)
        )
    except msgspec.DecodeError as error:
        raise _damaged(str(mpid)) from error
    if len(facts) != len(seen):
        raise _damaged(str(mpid))
    row.event_ids += event_ids
    row.batch_ids += batch_ids
    row.cold = bytes(cold)
    for (workspace, first_seen, last_seen), (attributes, known) in zip(seen, facts, strict=True):
        row.spaces[workspace] = Space(first_seen, last_seen, attributes, known)
    return row


def due_of(value: bytes) -> int:
    """The due instant of an encoded row, without decoding the rest.

    Raises:
        OutsideError: the value is of another version, or damaged.
    """
    _check_version(value[0] if value else VERSION)
    if len(value) < _HEADER.size:
        raise _damaged("too short for its header")
    return int(_HEADER.unpack_from(value)[1])


def members_of(value: bytes) -> Collection[str]:
    """The ids of the audiences that an encoded row is a member of; the rest is passed over.

    Raises:
        OutsideError: the value is of another version, or damaged.
    """
    _check_version(value[0] if value else VERSION)
    try:
        cold = _skip_to_cold(memoryview(value)[_HEADER.size :])[8]
        return _skip_to_members(cold)[2]
    except msgspec.DecodeError as error:
        raise _damaged("its memberships") from error


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
