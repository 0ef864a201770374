"""One profile's state: everything that evaluation needs, and nothing that is not a function of the
profile's history.

A row is changed in place, by evaluation.py only. Its members are plain integers, texts, lists and
dicts, so that a row is encoded without a walk over it (formats/rows.py).
"""

from __future__ import annotations

import json
from struct import Struct
from typing import Any, Final

FOREVER: Final = 2**63 - 1
"""The due instant of what never changes by itself."""

NEVER: Final = -1
"""The clock of a profile that has no history."""

SIZE_LIMIT: Final = 512 * 1024
"""Bytes at which a row stops growing. Source: docs/events.md, `profile_too_large`."""

TIME_SIZE: Final = 14
"""Bytes that one more time takes in a row."""

SLOT_SIZE: Final = 26
"""Bytes that a criterion's first time takes in a row."""

ID_SIZE: Final = 16
"""Bytes that a remembered event or batch id takes in a row."""

_ROW_SIZE = 128
_REMEMBERED_IDS = 1_000
_ID = Struct("<qq")
_ARRIVAL = Struct("<q")
_REMEMBERED_MS = 86_400_000

State = int | list[int]
"""What a counting criterion keeps: the newest time, or times in ascending order; epoch ms."""


class Space:
    """What one workspace knows of a profile.

    Attributes:
        first_seen: the smallest instant of activity, epoch ms.
        last_seen: the greatest.
        attributes: user attributes as decoded JSON; null is a tag.
    """

    __slots__ = ("attributes", "first_seen", "last_seen")

    def __init__(self, first_seen: int, last_seen: int, attributes: dict[str, Any]) -> None:
        self.first_seen = first_seen
        self.last_seen = last_seen
        self.attributes = attributes


class Row:
    """The state of one profile.

    Attributes:
        mpid: the profile id.
        clock: the instant up to which it was evaluated, epoch ms; only moves forward; `NEVER`
            without history.
        ordinal: how many changes were emitted at `clock`.
        due: no criterion changes by itself before this instant, epoch ms; it may be early, never
            late.
        position: the offset of the newest input record applied, -1 for none (offline always).
        weight: at least the bytes that the row takes; see `measure`.
        identities: type -> value, account-wide.
        spaces: workspace id -> what it knows; only workspaces in which the profile is active.
        slots: criterion slot -> its `State`.
        members: audience id -> the instant since when, epoch ms; drafts too, which only others
            refer to.
        event_ids: digest and arrival, 8 bytes each, of recent events, oldest first.
        batch_ids: the same of recent batches.
    """

    __slots__ = (
        "batch_ids",
        "clock",
        "due",
        "event_ids",
        "identities",
        "members",
        "mpid",
        "ordinal",
        "position",
        "slots",
        "spaces",
        "weight",
    )

    def __init__(self, mpid: int) -> None:
        self.mpid = mpid
        self.position = -1
        self.clear()

    def clear(self) -> None:
        """Forget the profile, all but the position of its input."""
        self.clock = NEVER
        self.ordinal = 0
        self.due = FOREVER
        self.weight = _ROW_SIZE
        self.identities: dict[str, str] = {}
        self.spaces: dict[str, Space] = {}
        # Each criterion knows which of the two forms of `State` is its own.
        self.slots: dict[str, Any] = {}
        self.members: dict[str, int] = {}
        self.event_ids = bytearray()
        self.batch_ids = bytearray()

    def has_room(self, size: int) -> bool:
        """Whether `size` more bytes fit; the estimate is made exact before the answer is no."""
        if self.weight + size <= SIZE_LIMIT:
            return True
        self.weight = measure(self)
        return self.weight + size <= SIZE_LIMIT


def remember(ids: bytearray, digest: int, arrival: int) -> bool:
    """Note an id; False when it was there already.

    An id is forgotten once 1,000 newer ones were noted, or one that arrived more than 24 hours
    later.

    Source: docs/events.md, duplicates.
    """
    entry = _ID.pack(digest, arrival)
    if ids:
        horizon = arrival - _REMEMBERED_MS
        if _ARRIVAL.unpack_from(ids, 8)[0] < horizon:
            forgotten = ID_SIZE
            while forgotten < len(ids) and _ARRIVAL.unpack_from(ids, forgotten + 8)[0] < horizon:
                forgotten += ID_SIZE
            del ids[:forgotten]
        # A search of bytes is far cheaper than one of numbers. What it finds may also be an
        # arrival, or lie across two entries.
        found = ids.find(entry[:8])
        while found >= 0:
            if found % ID_SIZE == 0:
                return False
            found = ids.find(entry[:8], found + 1)
        if len(ids) >= _REMEMBERED_IDS * ID_SIZE:
            del ids[:ID_SIZE]
    ids += entry
    return True


def size_of(value: Any) -> int:
    """At least the bytes that decoded JSON takes when encoded again, escapes and the comma after it
    included.
    """
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")) + 1


def measure(row: Row) -> int:
    """At least the bytes that the row takes when encoded."""
    size = _ROW_SIZE + len(row.event_ids) + len(row.batch_ids)
    for state in row.slots.values():
        size += SLOT_SIZE if type(state) is int else SLOT_SIZE + TIME_SIZE * len(state)
    for kind, value in row.identities.items():
        size += size_of(kind) + size_of(value)
    for workspace, space in row.spaces.items():
        size += size_of(workspace) + 32
        size += sum(size_of(key) + size_of(value) for key, value in space.attributes.items())
    return size + sum(len(audience_id) + 18 for audience_id in row.members)
