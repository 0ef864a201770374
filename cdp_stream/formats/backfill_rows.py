"""What a backfill keeps in its partition's changelog, beside the rows of profiles.

Each profile has a row of its own under `~backfill:<mpid>`, written as every row is (rows.py); how
far the backfill is, and of what, is under `~backfill`. No profile id is written so.
"""

from __future__ import annotations

from typing import Final

import msgspec

from cdp_stream.errors import OutsideError

BACKFILL_KEY: Final = b"~backfill"
"""The key of a backfill's state."""

_PREFIX: Final = b"~backfill:"
_VERSION: Final = 1


class BackfillState(msgspec.Struct, frozen=True, array_like=True):
    """How far a backfill is.

    Attributes:
        slots: whose history it reads, in order.
        scope: a digest of what else decides on that history: inputs, tiers, lifetimes.
        start: the offset at which it began.
        position: every record up to this offset is in its rows; `start - 1` at first.
        time: the greatest arrival among them, epoch ms; -1 before the first.
        log_is_shorter: whether the log does not reach back as far as the slots do.
        epoch: of the partition's definitions, once it has reached the live position and rows of
            earlier epochs are handed what it read; 0 before.
        events: how many events were read, for people.
    """

    slots: tuple[str, ...]
    scope: str
    start: int
    position: int
    time: int
    log_is_shorter: bool
    epoch: int = 0
    events: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, BackfillState]).decode


def backfill_key(mpid: int) -> bytes:
    """The key of a profile's row in a backfill."""
    return b"%b%d" % (_PREFIX, mpid)


def backfilled_mpid(key: bytes) -> int | None:
    """Whose row in a backfill a key is; None for any other key."""
    return int(key[len(_PREFIX) :]) if key.startswith(_PREFIX) else None


def encode_backfill(state: BackfillState) -> bytes:
    """The row under `BACKFILL_KEY`."""
    return _encode((_VERSION, state))


def decode_backfill(value: bytes) -> BackfillState:
    """The state back.

    Raises:
        OutsideError: the value is of another version, or damaged.
    """
    try:
        version, state = _decode(value)
    except msgspec.DecodeError as error:
        raise _unreadable("is damaged") from error
    if version != _VERSION:
        raise _unreadable(f"has version {version}, this release reads {_VERSION}")
    return state


def _unreadable(what: str) -> OutsideError:
    return OutsideError(
        f"the state of a backfill in the changelog {what}",
        "run the release that wrote it, or recreate the changelog topic and replay cdp.events",
    )
