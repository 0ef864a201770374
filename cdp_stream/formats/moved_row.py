"""The row of a partition with the moves of its profiles: the moves so far, with
how far the log was applied at each.

What was published before a move lies in the log where profiles were before. With the offsets at
which a move cut the log, all that a profile ever sent is found again, in its order. Releases that
did not keep those wrote an instant only, as text; of such a move nothing else is known.

Source: docs/backfill.md, after a move.
"""

from __future__ import annotations

from typing import Final

import msgspec

from cdp_stream.errors import OutsideError

MOVED_KEY: Final = b"~moved"
"""Its key; no profile id is written so."""

_VERSION: Final = 1


class Move(msgspec.Struct, frozen=True, array_like=True):
    """One change of the number of partitions.

    Attributes:
        time: that of all partitions at the move, epoch ms; -1 where none had any.
        before: how many partitions there were; 0 where that is not known.
        after: how many there were then; 0 where that is not known.
        ends: of each partition that was there, the offset behind the last record that was applied
            before the move; empty where that is not known.
        starts: of each of those, the offset of the first record that is applied after the move. The
            records between were published by the old number meanwhile, and again where they belong.
    """

    time: int
    before: int = 0
    after: int = 0
    ends: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether it is known where the log was cut."""
        return bool(self.ends)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, tuple[Move, ...]]).decode


def encode_moves(moves: tuple[Move, ...]) -> bytes:
    """The row under `MOVED_KEY`."""
    return _encode((_VERSION, moves))


def decode_moves(value: bytes | None) -> tuple[Move, ...]:
    """The moves so far, in order; none where there is no row.

    Raises:
        OutsideError: the row is of another version, or damaged.
    """
    if value is None:
        return ()
    if value.isdigit():
        return (Move(int(value)),)
    try:
        version, moves = _decode(value)
    except msgspec.DecodeError as error:
        raise _unreadable("is damaged") from error
    if version != _VERSION:
        raise _unreadable(f"has version {version}, this release reads {_VERSION}")
    return moves


def _unreadable(what: str) -> OutsideError:
    return OutsideError(
        f"the row of earlier moves to other partitions in the changelog {what}",
        "run the release that wrote it",
    )
