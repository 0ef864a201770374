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
"""Bytes at which a row stops growing, unless the account has another limit. Source: docs/events.md,
`profile_too_large`.
"""

TIME_SIZE: Final = 14
"""Bytes that one more time needs in a row."""

SLOT_SIZE: Final = 26
"""Bytes that a criterion's first time needs in a row."""

ID_SIZE: Final = 16
"""Bytes that a remembered event or batch id needs in a row."""

SENT_SIZE: Final = 20
"""Bytes that the number of a connection's messages needs in a row."""

# Of CPython's objects, as measured with some room.
_ROW_MEMORY = 1_000
_SPACE_MEMORY = 200
_ENTRY_MEMORY = 80
_CONTAINER_MEMORY = 72
_TEXT_MEMORY = 56
_NUMBER_MEMORY = 32

_INT_SIZE = 9
_FEW = 16
_ROW_SIZE = 128
_REMEMBERED_IDS = 1_000
_ID = Struct("<qq")
_ARRIVAL = Struct("<q")
_REMEMBERED_MS = 86_400_000

DEVICES: Final = "devices"
CONSENT: Final = "consent"
LOCATION: Final = "location"
INSTALL: Final = "install"
UNINSTALL: Final = "uninstall"


class Space:
    """What one workspace knows of a profile.

    Attributes:
        first_seen: the smallest instant of activity, epoch ms.
        last_seen: the greatest.
        attributes: user attributes as decoded JSON; null is a tag.
        facts: what else batches had, only what is known:
            `DEVICES`: device id -> its newest `device_info`;
            `CONSENT`: `gdpr:PURPOSE` or `ccpa` -> `consented`;
            `LOCATION`: [epoch ms, the newest location];
            `INSTALL`, `UNINSTALL`: [epoch ms, {publisher, campaign} of the newest attribution].
    """

    __slots__ = ("attributes", "facts", "first_seen", "last_seen")

    def __init__(
        self,
        first_seen: int,
        last_seen: int,
        attributes: dict[str, Any],
        facts: dict[str, Any] | None = None,
    ) -> None:
        self.first_seen = first_seen
        self.last_seen = last_seen
        self.attributes = attributes
        self.facts: dict[str, Any] = {} if facts is None else facts


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
        weight: at least the bytes that the row needs; see `measure`.
        identities: type -> value, account-wide.
        spaces: workspace id -> what it knows; only workspaces in which the profile is active.
        slots: criterion slot -> its state: plain data that MessagePack can hold.
        cold: what of the row was not changed since it was encoded last, as formats/rows.py left it
            there; the code that changes it calls `warm`.
        members: audience id -> the instant since when, epoch ms; drafts too, which only others
            refer to.
        variants: audience id -> the variant with which the profile was added, of A/B tests only.
        opt_out: the newest opt-out event: twice its time, epoch ms, plus one when it opted out; 0
            for none.
        event_ids: digest and arrival, 8 bytes each, of recent events, oldest first.
        batch_ids: the same of recent batches.
        epoch: under which definitions of its partition it was settled last, a count.
        emitted_at: an instant later than the clock, epoch ms, at which changes were emitted already
            (by a change of definitions, which emits at its own instant); `NEVER` for none.
        emitted: how many changes were emitted at that instant.
        counted_bytes: bytes of memory that the owner of the row counts for it; 0 until counted.
        sized: the weight when it was counted.
        sent: instant -> connection -> how many messages of its own it had of the profile at that
            instant; of an instant before the clock that means nothing any more.
    """

    __slots__ = (
        "batch_ids", "clock", "cold", "counted_bytes", "due", "emitted", "emitted_at", "epoch",
        "event_ids", "identities", "members", "mpid", "opt_out", "ordinal", "position", "sent",
        "sized", "slots", "spaces", "variants", "weight",
    )  # fmt: skip

    def __init__(self, mpid: int, epoch: int = 0) -> None:
        self.mpid = mpid
        self.epoch = epoch
        self.position = -1
        self.counted_bytes = 0
        self.sized = 0
        self.clear()

    def clear(self) -> None:
        """Forget the profile, all but the position of its input."""
        self.clock = NEVER
        self.ordinal = 0
        self.emitted_at = NEVER
        self.emitted = 0
        self.due = FOREVER
        self.weight = _ROW_SIZE
        self.identities: dict[str, str] = {}
        self.spaces: dict[str, Space] = {}
        self.cold: bytes | None = None
        # Each memory knows the form of its own state.
        self.slots: dict[str, Any] = {}
        self.members: dict[str, int] = {}
        self.variants: dict[str, str] = {}
        self.opt_out = 0
        self.sent: dict[int, dict[str, int]] = {}
        self.event_ids = bytearray()
        self.batch_ids = bytearray()

    def warm(self) -> None:
        """Identities, attributes, facts, members, variants, the opt-out or `sent` are to change."""
        self.cold = None

    def ordinal_at(self, instant: int) -> int:
        """The ordinal of the next change at an instant that is not before the clock."""
        if instant == self.clock:
            return self.ordinal
        return self.emitted if instant == self.emitted_at else 0

    def has_room(self, size: int, most: int = SIZE_LIMIT) -> bool:
        """Whether `size` more bytes fit; the estimate is made exact before the answer is no."""
        if self.weight + size <= most:
            return True
        self.weight = measure(self)
        return self.weight + size <= most


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
    """At least the bytes that decoded JSON needs when encoded again, escapes and the comma after it
    included.
    """
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")) + 1


def measure(row: Row) -> int:
    """At least the bytes that the row needs when encoded."""
    size = (
        _ROW_SIZE + len(row.event_ids) + len(row.batch_ids) + sum(map(sent_size, row.sent.values()))
    )
    for state in row.slots.values():
        size += SLOT_SIZE + (0 if type(state) is int else state_size(state))
    for kind, value in row.identities.items():
        size += size_of(kind) + size_of(value)
    for workspace, space in row.spaces.items():
        size += size_of(workspace) + 32
        size += sum(size_of(key) + size_of(value) for key, value in space.attributes.items())
        size += size_of(space.facts)
    size += sum(size_of(audience_id) + size_of(name) for audience_id, name in row.variants.items())
    return size + sum(len(audience_id) + 18 for audience_id in row.members)


def memory_of(row: Row) -> int:
    """About the bytes of memory that a row needs; seldom less than it does.

    The keys of slots and memberships are of the definitions: all rows share them.
    """
    total = _ROW_MEMORY + len(row.event_ids) + len(row.batch_ids) + len(row.cold or b"")
    total += _ENTRY_MEMORY * (len(row.slots) + len(row.members) + len(row.variants))
    for state in row.slots.values():
        if type(state) is not int:
            total += _state_memory(state)
    for known in (row.identities, *row.sent.values()):
        if known:
            total += _value_memory(known)
    for space in row.spaces.values():
        total += _SPACE_MEMORY
        if space.attributes or space.facts:
            total += _value_memory(space.attributes) + _value_memory(space.facts)
    return total


def _state_memory(state: Any) -> int:
    """As `_value_memory`; a list that begins with a number is one of times."""
    if type(state) is list and (not state or type(state[0]) is int):
        return _CONTAINER_MEMORY + (_NUMBER_MEMORY + 8) * len(state)
    return _value_memory(state)


def _value_memory(value: Any) -> int:
    if type(value) is str:
        return _TEXT_MEMORY + len(value) * (1 if value.isascii() else 4)
    if type(value) is dict:
        inside = sum(map(_value_memory, value)) + sum(map(_value_memory, value.values()))
        return _CONTAINER_MEMORY + _ENTRY_MEMORY // 2 * len(value) + inside
    if type(value) is list or type(value) is tuple:
        if len(value) > _FEW and set(map(type, value)) == {str}:  # a quarter of the time
            each = (8 + _TEXT_MEMORY) * (len(value) - 1)
            return _CONTAINER_MEMORY + 8 + each + _value_memory("".join(value))
        return _CONTAINER_MEMORY + 8 * len(value) + sum(map(_value_memory, value))
    if type(value) is bytes or type(value) is bytearray:
        return _TEXT_MEMORY + len(value)
    return _NUMBER_MEMORY


def sent_size(sent: dict[str, int]) -> int:
    """At least the bytes that the numbers of messages of one instant take when encoded."""
    return _INT_SIZE + SENT_SIZE * (1 + len(sent))


def state_size(state: Any) -> int:
    """At least the bytes that a memory's state needs when encoded.

    A list of more than a few items is one of times: it is not walked, for a full row is measured
    at every batch.
    """
    if type(state) is bytes or type(state) is bytearray:
        return len(state) + 8
    if type(state) is str:
        return len(state.encode("utf-8", "surrogatepass")) + 8
    if type(state) is list:
        if len(state) > _FEW:
            return 8 + _INT_SIZE * len(state)
        return 8 + sum(map(state_size, state))
    if type(state) is dict:
        return 8 + sum(state_size(key) + state_size(value) for key, value in state.items())
    return _INT_SIZE
