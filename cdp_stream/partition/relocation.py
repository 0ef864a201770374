"""What moves when a topic gets more partitions, and what the partitions record of it.

A profile's row and memberships go where its events will go. An input position means something in
its own partition only, so a row that moves has none. All partitions then have one time, the
greatest: no profile's time moves back. Definitions must be the same in all of them, and no row left
to be migrated: then a row means the same anywhere. At last every partition records where the move
cut the log, for the reading of history (sources.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from cdp_stream.errors import OutsideError
from cdp_stream.formats.definitions_row import (
    DEFINITIONS_KEY,
    PartitionDefinitions,
    decode_definitions,
)
from cdp_stream.formats.moved_row import MOVED_KEY, Move, decode_moves
from cdp_stream.formats.rows import (
    PARTITION_KEY,
    REPARTITION_KEY,
    PartitionState,
    decode_partition,
    encode_partition,
)

__all__ = [
    "Marker",
    "begun",
    "check_ready",
    "connected_outputs",
    "is_marked",
    "is_own",
    "moves_after",
    "own_rows",
    "profile_of_membership",
    "time_of_all",
]

Own = Mapping[int, Mapping[bytes, bytes]]
"""The rows of partitions that are no profile's, by partition."""

_BACKFILL = b"~backfill"
BEGIN, COPY, REMOVE, FORWARD, SETTLE = "begin", "copy", "remove", "forward", "settle"


class Marker(NamedTuple):
    """The progress of a move; it is in every partition until the move is done.

    Attributes:
        before: How many partitions there were.
        after: How many there will be.
        phase: `BEGIN` until it is certain that no worker runs; `COPY` while rows are written to
            where they go; `REMOVE` once all are there, while they are removed from where they were;
            `FORWARD` while input that was published by the old number is published again; `SETTLE`
            once nothing is left but to remove the marker.
        time: that of all partitions at the move, epoch ms.
        ends: as in `Move`; empty in a move that was begun by a release that did not keep them.
        starts: as in `Move`; known from `FORWARD` on.
    """

    before: int
    after: int
    phase: str
    time: int = -1
    ends: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()

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
            marker = cls(**json.loads(value))
            return marker._replace(ends=tuple(marker.ends), starts=tuple(marker.starts))
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


def check_ready(own: Own) -> None:
    """Check that nothing is under way that a partition has to end by itself.

    Raises:
        OutsideError: history is being read, or definitions are not in force everywhere.
    """
    again = "let workers run until it is done, then stop them again"
    if any(key.startswith(_BACKFILL) for rows in own.values() for key in rows):
        raise OutsideError("a backfill is under way", again)
    found = _in_force(own)
    if any(state.swept != state.epoch for state in found):
        raise OutsideError("profiles are being brought under new definitions", again)
    if len({(state.version, state.catalog.slots) for state in found}) > 1:
        raise OutsideError("partitions are under different definitions", again)


def connected_outputs(own: Own) -> set[str]:
    """The outputs that changes go to under the definitions in force."""
    catalogs = [state.catalog for state in _in_force(own)]
    return {wired.output for catalog in catalogs for wired in catalog.connections.values()}


def _in_force(own: Own) -> list[PartitionDefinitions]:
    kept = [rows[DEFINITIONS_KEY] for rows in own.values() if DEFINITIONS_KEY in rows]
    return [decode_definitions(value) for value in kept]


def begun(own: Own) -> Marker | None:
    """The marker of a move that was interrupted, the furthest of them; None where none was."""
    marked = [number for number in sorted(own) if REPARTITION_KEY in own[number]]
    if not marked:
        return None
    # They are written, and removed, in the order of the partitions.
    return Marker.decode(own[marked[0]][REPARTITION_KEY])


def is_marked(own: Own, marker: Marker) -> bool:
    """Whether the marker of an interrupted move has kept all workers from running since. One that
    was not yet in every partition, or was written while a worker might have run, has not: the move
    begins anew.
    """
    if marker.phase != COPY:
        return marker.phase != BEGIN
    return all(REPARTITION_KEY in own[number] for number in range(marker.before))


def own_rows(own: Own, marker: Marker) -> dict[int, dict[bytes, bytes]]:
    """The rows of their own that partitions are given, so that all have theirs after the move.

    Args:
        own: those of the partitions that were there before.
        marker: from how many partitions to how many.
    """
    states = _states(own)
    time = time_of_all(own)
    shared: dict[bytes, bytes] = {}
    for number in sorted(own, reverse=True):
        shared |= own[number]
    made: dict[int, dict[bytes, bytes]] = {}
    for number in range(marker.after):
        position = states[number].position if number in states else -1
        has = {PARTITION_KEY, REPARTITION_KEY, MOVED_KEY, *own.get(number, ())}
        rows = {key: value for key, value in shared.items() if key not in has}
        if time >= 0:
            rows[PARTITION_KEY] = encode_partition(PartitionState(time, position))
        made[number] = rows
    return made


def time_of_all(own: Own) -> int:
    """The greatest time of partitions, epoch ms; -1 where none has any."""
    return max((state.time for state in _states(own).values()), default=-1)


def moves_after(own: Own, marker: Marker) -> tuple[Move, ...]:
    """The moves that all partitions record, this one the last.

    Args:
        own: the rows of partitions; some may have recorded this one already.
        marker: of this move.
    """
    before = max((decode_moves(rows.get(MOVED_KEY)) for rows in own.values()), key=len)
    move = Move(marker.time, marker.before, marker.after, marker.ends, marker.starts)
    if not marker.ends:
        move = Move(max(time_of_all(own), 0))
    return before if before[-1:] == (move,) else (*before, move)


def _states(own: Own) -> dict[int, PartitionState]:
    return {
        number: decode_partition(rows[PARTITION_KEY])
        for number, rows in own.items()
        if PARTITION_KEY in rows
    }
