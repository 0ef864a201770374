"""A profile's row as bytes, as the changelog and every store keep it.

The version, the due instant and the epoch come first, so that due instants are rebuilt, and rows of
earlier definitions found, without decoding rows; the rest is one MessagePack array, which is
smaller than JSON and takes half the time. Rows of version 1 had no epoch, and are read as of the
first; one of any other version is refused, never guessed at.

The partition's own row (`PARTITION_KEY`) holds its time and the position up to which every row is
complete.
"""

from __future__ import annotations

from collections.abc import Collection
from struct import Struct
from typing import Any, Final, NamedTuple

import msgspec

from cdp_stream.core.model.row import NEVER, Row, Space
from cdp_stream.errors import OutsideError

VERSION: Final = 2
PARTITION_KEY: Final = b"~partition"
"""The key of the partition's own row; no profile id is written so."""

OWN_ROW: Final = b"~"[0]
"""The first byte of the key of every row that is no profile's."""

INPUT_KEY: Final = b"~input"
"""The key of a row with the topic that the partition's rows were made from."""

REPARTITION_KEY: Final = b"~repartition"
"""The key of a row that marks a move of profiles to other partitions."""

_WITHOUT_EPOCH = 1
_HEADER = Struct(">BqI")
_FIRST_HEADER = Struct(">Bq")
_SIZES = {_WITHOUT_EPOCH: _FIRST_HEADER.size, VERSION: _HEADER.size}
_PARTITION = Struct(">Bqq")
_Seen = list[tuple[str, int, int]]
_Cold = tuple[
    dict[str, str],
    list[tuple[dict[str, Any], dict[str, Any]]],
    dict[str, int],
    dict[str, str],
    int,
    int,
    int,
    dict[int, dict[str, int]],
]
_FirstCold = tuple[
    dict[str, str],
    list[tuple[dict[str, Any], dict[str, Any]]],
    dict[str, int],
    dict[str, str],
    int,
]
_Body = tuple[int, int, int, int, _Seen, dict[str, Any], bytes, bytes, msgspec.Raw]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode
_decode_cold = msgspec.msgpack.Decoder(_Cold).decode
_decode_first_cold = msgspec.msgpack.Decoder(_FirstCold).decode
_skip_to_cold = msgspec.msgpack.Decoder(tuple[(msgspec.Raw,) * 9]).decode  # type: ignore[misc]
_decode_parts = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_NO_POSITION = msgspec.Raw(_encode(-1))
_POSITION_PART = 1
_skip_to_members = msgspec.msgpack.Decoder(
    tuple[
        msgspec.Raw,
        msgspec.Raw,
        dict[str, msgspec.Raw],
        msgspec.Raw,
        msgspec.Raw,
        msgspec.Raw,
        msgspec.Raw,
        msgspec.Raw,
    ]
).decode
_skip_to_first_members = msgspec.msgpack.Decoder(
    tuple[msgspec.Raw, msgspec.Raw, dict[str, msgspec.Raw], msgspec.Raw, msgspec.Raw]
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
    return _HEADER.pack(VERSION, row.due, row.epoch) + _encode(body)


def _encode_cold(row: Row) -> bytes:
    facts = [(space.attributes, space.facts) for space in row.spaces.values()]
    sent = {at: numbers for at, numbers in row.sent.items() if at >= row.clock}
    known = (
        row.identities, facts, row.members, row.variants, row.opt_out, row.emitted_at, row.emitted,
        sent,
    )  # fmt: skip
    return _encode(known)


def decode_row(mpid: int, value: bytes) -> Row:
    """The row that `encode_row` wrote.

    Raises:
        OutsideError: the value is of another version, or damaged.
    """
    row = Row(mpid)
    row.due = due_of(value)
    row.epoch = epoch_of(value)
    is_first = value[0] == _WITHOUT_EPOCH
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
        ) = _decode(memoryview(value)[_SIZES[value[0]] :])
        known = (*_decode_first_cold(cold), NEVER, 0, {}) if is_first else _decode_cold(cold)
        (
            row.identities,
            facts,
            row.members,
            row.variants,
            row.opt_out,
            row.emitted_at,
            row.emitted,
            row.sent,
        ) = known
    except msgspec.DecodeError as error:
        raise _damaged(str(mpid)) from error
    if len(facts) != len(seen):
        raise _damaged(str(mpid))
    row.event_ids += event_ids
    row.batch_ids += batch_ids
    row.cold = None if is_first else bytes(cold)
    for (workspace, first_seen, last_seen), (attributes, known) in zip(seen, facts, strict=True):
        row.spaces[workspace] = Space(first_seen, last_seen, attributes, known)
    return row


def due_of(value: bytes) -> int:
    """The due instant of an encoded row, without decoding the rest.

    Raises:
        OutsideError: the value is of another version, or damaged.
    """
    _check_header(value)
    return int(_FIRST_HEADER.unpack_from(value)[1])


def epoch_of(value: bytes) -> int:
    """The epoch of an encoded row, without decoding the rest.

    Raises:
        OutsideError: the value is of another version, or damaged.
    """
    _check_header(value)
    return 0 if value[0] == _WITHOUT_EPOCH else int(_HEADER.unpack_from(value)[2])


def is_same_but_epoch(value: bytes, other: bytes) -> bool:
    """Whether two encoded rows of this version differ in nothing but their epochs."""
    size = _FIRST_HEADER.size
    return value[:size] == other[:size] and value[_HEADER.size :] == other[_HEADER.size :]


def members_of(value: bytes) -> Collection[str]:
    """The ids of the audiences that an encoded row is a member of; the rest is skipped.

    Raises:
        OutsideError: the value is of another version, or damaged.
    """
    _check_header(value)
    try:
        cold = _skip_to_cold(memoryview(value)[_SIZES[value[0]] :])[8]
        if value[0] == _WITHOUT_EPOCH:
            return _skip_to_first_members(cold)[2]
        return _skip_to_members(cold)[2]
    except msgspec.DecodeError as error:
        raise _damaged("its memberships") from error


def as_moved(value: bytes) -> bytes:
    """An encoded row as another partition is to have it: no record of that one was applied to it,
    and epochs are counted by each partition for itself.

    Raises:
        OutsideError: the value is of another version, or damaged.
    """
    _check_header(value)
    size, kept = _SIZES[value[0]], _FIRST_HEADER.size
    try:
        parts = _decode_parts(memoryview(value)[size:])
    except msgspec.DecodeError as error:
        raise _damaged("a row that is to be moved") from error
    parts[_POSITION_PART] = _NO_POSITION
    return value[:kept] + bytes(size - kept) + _encode(parts)


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


def _check_header(value: bytes) -> None:
    _check_version(value[0] if value else VERSION)
    if len(value) < (_SIZES[value[0]] if value else 1):
        raise _damaged("too short for its header")


def _check_version(version: int) -> None:
    if version not in _SIZES:
        raise OutsideError(
            f"a row in the changelog has version {version}, this release reads up to {VERSION}",
            "run the release that wrote it, or start with an empty changelog topic and replay",
        )


def _damaged(which: str) -> OutsideError:
    return OutsideError(
        f"a row in the changelog is damaged: {which}",
        "recreate the changelog topic and replay cdp.events from its beginning",
    )
