"""What a backfill keeps in its partition's changelog, beside the rows of profiles.

Each profile has a row of its own under `~backfill:<mpid>`, written as every row is (rows.py); how
far the backfill is, and of what, is under `~backfill`. No profile id is written so.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from cdp_stream.errors import OutsideError

BACKFILL_KEY: Final = b"~backfill"
"""The key of a backfill's state."""

OPEN: Final = -1
"""The end of a source that continues."""

_PREFIX: Final = b"~backfill:"
_OF_ONE_LOG: Final = 1
_OF_SEVERAL: Final = 2


class Source(NamedTuple):
    """A part of the log that has history of a partition's profiles (partition/sources.py).

    Attributes:
        partition: of the input.
        first: the offset of its first record.
        end: the offset after its last; `OPEN` if it continues.
        partitions: how many there were as it was written; 0 where nothing was ever moved.
        time: the partition's time as it began, epoch ms; -1 where it had none.
    """

    partition: int
    first: int
    end: int = OPEN
    partitions: int = 0
    time: int = -1


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
        sources: what it reads, in order, where that is more than the partition's own log; `start`
            and `position` are offsets in them joined end to end. Empty: those of its own log.
    """

    slots: tuple[str, ...]
    scope: str
    start: int
    position: int
    time: int
    log_is_shorter: bool
    epoch: int = 0
    events: int = 0
    sources: tuple[Source, ...] = ()


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
    return _encode((_OF_SEVERAL if state.sources else _OF_ONE_LOG, state))


def decode_backfill(value: bytes) -> BackfillState:
    """The state back.

    Raises:
        OutsideError: the value is of another version, or damaged.
    """
    try:
        version, state = _decode(value)
    except msgspec.DecodeError as error:
        raise _unreadable("is damaged") from error
    if version not in (_OF_ONE_LOG, _OF_SEVERAL):
        raise _unreadable(f"has version {version}, this release reads up to {_OF_SEVERAL}")
    return state


def _unreadable(what: str) -> OutsideError:
    return OutsideError(
        f"the state of a backfill in the changelog {what}",
        "run the release that wrote it, or recreate the changelog topic and replay cdp.events",
    )
