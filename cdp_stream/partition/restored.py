"""What a restore reads from the rows of a partition."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cdp_stream.core.model.row import FOREVER
from cdp_stream.errors import OutsideError
from cdp_stream.formats.backfill_rows import backfilled_mpid
from cdp_stream.formats.definitions_row import (
    DEFINITIONS_KEY,
    PartitionDefinitions,
    decode_definitions,
)
from cdp_stream.formats.rows import (
    OWN_ROW,
    PARTITION_KEY,
    REPARTITION_KEY,
    decode_partition,
    due_of,
)

__all__ = ["RestoredRows", "read_rows"]


@dataclass(slots=True)
class RestoredRows:
    """What was read.

    Attributes:
        time: the partition's, epoch ms; -1 before the first record.
        position: offset of the last record applied; -1 before the first.
        definitions: which are in force; None before the first.
        mpids: whose rows there are.
        backfilled: whose rows of a backfill.
    """

    time: int = -1
    position: int = -1
    definitions: PartitionDefinitions | None = None
    mpids: array[int] = field(default_factory=lambda: array("q"))
    backfilled: array[int] = field(default_factory=lambda: array("q"))


def read_rows(rows: Mapping[bytes, bytes], due_at: Callable[[int, int], None]) -> RestoredRows:
    """Read all rows once.

    Args:
        rows: the partition's.
        due_at: called with the due instant of each profile that has one, and its id.

    Raises:
        OutsideError: a row is damaged, or of another release's format, or profiles are being
            moved to other partitions.
    """
    found = RestoredRows()
    for key, value in rows.items():
        if key[0] == OWN_ROW:
            if key == PARTITION_KEY:
                found.time, found.position = decode_partition(value)
            elif key == DEFINITIONS_KEY:
                found.definitions = decode_definitions(value)
            elif (owner := backfilled_mpid(key)) is not None:
                found.backfilled.append(owner)
            elif key == REPARTITION_KEY:
                raise OutsideError(
                    "profiles are being moved to other partitions, and that is not finished",
                    "wait for cdp repartition, or run it again with the same --partitions: it "
                    "continues",
                )
            continue  # other own rows are read where they are written
        found.mpids.append(mpid := int(key))
        if (due := due_of(value)) < FOREVER:
            due_at(due, mpid)
    return found
