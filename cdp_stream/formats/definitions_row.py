"""The row of a partition with the definitions that are in force in it.

It is written when they change, so it may be large and slow: MessagePack, then zlib. The catalogs of
earlier epochs that rows may still have are in it until the last of those rows is migrated; of them
only what differs from the newest is written.

Source: docs/changing-definitions.md, what a partition keeps.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from cdp_stream.core.engine.migration import Catalog, Wired
from cdp_stream.core.model.definition import AbTest
from cdp_stream.core.plan.plan import InForce
from cdp_stream.errors import OutsideError

DEFINITIONS_KEY: Final = b"~definitions"
"""Its key; no profile id is written so."""

VERSION: Final = 2


class PartitionDefinitions(NamedTuple):
    """Which definitions a partition is evaluated by.

    Attributes:
        version: that of the topic, a decimal number; or the digest of files.
        time: the instant at which their changes are emitted, epoch ms.
        at: the partition's time as they were switched on, epoch ms.
        epoch: how often the partition has switched.
        swept: every row of an earlier epoch counts as one of this epoch.
        catalog: what is in force.
        past: the catalogs of the epochs from `swept` on that are not the newest.
    """

    version: str
    time: int
    at: int
    epoch: int
    swept: int
    catalog: Catalog
    past: Mapping[int, Catalog]


_Entry = tuple[str, str, tuple[str, ...], bool, str, str, AbTest | None]
_Lifetimes = dict[str, int | None]
_Wire = tuple[str, str, str, str, str | None, str | None, str, tuple[tuple[str, ...], ...]]
_Past = tuple[int, list[str | _Entry], _Lifetimes, list[str], list[str | _Wire]]
_Stored = tuple[
    str, int, int, int, int, list[_Entry], _Lifetimes, list[str], list[_Wire], list[_Past]
]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


def encode_definitions(state: PartitionDefinitions) -> bytes:
    """The row as bytes; equal states are equal bytes."""
    now = state.catalog
    past = [
        (
            epoch,
            [
                entry.id if now.audiences.get(entry.id) == entry else tuple(entry)
                for entry in catalog.audiences.values()
            ],
            catalog.lifetimes,
            sorted(now.slots - catalog.slots),
            [
                wired.id if now.connections.get(wired.id) == wired else tuple(wired)
                for wired in catalog.connections.values()
            ],
        )
        for epoch, catalog in sorted(state.past.items())
    ]
    stored: Any = (
        *state[:5],
        [tuple(entry) for entry in now.audiences.values()],
        now.lifetimes,
        sorted(now.slots),
        [tuple(wired) for wired in now.connections.values()],
        past,
    )
    return bytes([VERSION]) + zlib.compress(_encode(stored))


def decode_definitions(value: bytes) -> PartitionDefinitions:
    """The row back.

    Raises:
        OutsideError: the value is of another version, or damaged.
    """
    version = value[0] if value else VERSION
    if version != VERSION:
        raise OutsideError(
            f"the row `~definitions` in the changelog has version {version}, this release reads "
            f"{VERSION}",
            "run the release that wrote it",
        )
    try:
        (
            version_in_force,
            time,
            at,
            epoch,
            swept,
            entries,
            lifetimes,
            slots,
            wires,
            stored,
        ) = _decode(zlib.decompress(value[1:]))
    except (zlib.error, msgspec.DecodeError) as error:
        raise OutsideError(
            "a row in the changelog is damaged: `~definitions`",
            "recreate the changelog topic and replay cdp.events from its beginning",
        ) from error
    now = Catalog(
        {entry[0]: InForce(*entry) for entry in entries},
        lifetimes,
        frozenset(slots),
        {wire[0]: Wired(*wire) for wire in wires},
    )
    past = {
        earlier: Catalog(
            {entry.id: entry for entry in (_entry(one, now) for one in audiences)},
            lived,
            now.slots - frozenset(lacking),
            {wired.id: wired for wired in (_wired(one, now) for one in connected)},
        )
        for earlier, audiences, lived, lacking, connected in stored
    }
    return PartitionDefinitions(version_in_force, time, at, epoch, swept, now, past)


def _entry(stored: str | _Entry, now: Catalog) -> InForce:
    return now.audiences[stored] if isinstance(stored, str) else InForce(*stored)


def _wired(stored: str | _Wire, now: Catalog) -> Wired:
    return now.connections[stored] if isinstance(stored, str) else Wired(*stored)
