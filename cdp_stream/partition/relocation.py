"""What moves when a topic's partitions become more, and what the partitions then know.

A profile's row and memberships go where its events will go. An input position is worth something
in its own partition only, so a row that moves has none. All partitions then have one time, the
greatest: no profile's time moves back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from cdp_stream.errors import OutsideError
from cdp_stream.formats.rows import (
    PARTITION_KEY,
    REPARTITION_KEY,
    PartitionState,
    decode_partition,
    encode_partition,
)

__all__ = ["Marker", "is_own", "own_rows", "profile_of_membership"]

Own = Mapping[int, Mapping[bytes, bytes]]
"""The rows of partitions that are no profile's, by partition."""

COPY, REMOVE = "copy", "remove"


class Marker(NamedTuple):
    """How far a move has come; it is in every partition until the move is done.

    Attributes:
        before: How many partitions there were.
        after: How many there will be.
        phase: `COPY` while rows are written to where they go; `REMOVE` once all are there, and go
            from where they were.
    """

    before: int
    after: int
    phase: str

    def encode(self) -> bytes:
        """The value of the row."""
        return json.dumps(self._asdict()).encode()

    @classmethod
    def decode(cls, value: bytes) -> Marker:
        """The marker of a row.

        Raises:
            OutsideError: another release has written it.
        """
        try:
            return cls(**json.loads(value))
        except (TypeError, ValueError) as error:
            raise OutsideError(
                "a move of profiles to other partitions was begun by another release",
                "finish it with that release's cdp repartition",
            ) from error


def is_own(key: bytes) -> bool:
    """Whether a row of the changelog is the partition's own, and no profile's."""
    return key.startswith(b"~")


def profile_of_membership(key: bytes) -> bytes:
    """The profile id in a key of `cdp.membership-state`, which ends with it."""
    return key[key.rindex(b":") + 1 :]


def own_rows(own: Own, marker: Marker) -> dict[int, dict[bytes, bytes]]:
    """The rows of their own that all partitions have after the move.

    Args:
        own: those of the partitions that were there before.
        marker: from how many partitions to how many.

    Raises:
        OutsideError: something is under way that a partition must end first.
    """
    states = {
        number: decode_partition(rows[PARTITION_KEY])
        for number, rows in own.items()
        if PARTITION_KEY in rows
    }
    time = max((state.time for state in states.values()), default=-1)
    shared: dict[bytes, bytes] = {}
    for number in sorted(own, reverse=True):
        shared |= own[number]
    made: dict[int, dict[bytes, bytes]] = {}
    for number in range(marker.after):
        position = states[number].position if number in states else -1
        rows = {
            key: value
            for key, value in shared.items()
            if number >= marker.before and key not in (PARTITION_KEY, REPARTITION_KEY)
        }
        if time >= 0:
            rows[PARTITION_KEY] = encode_partition(PartitionState(time, position))
        made[number] = rows
    return made
