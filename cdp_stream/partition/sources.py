"""Where the history of a partition's profiles lies, and in which order it is read.

A profile's records are in the partition where it was when they were published. So the history of a
partition that profiles were moved to is a sequence of sources: for each stretch between two moves,
of each old partition whose profiles may be here now, the part of its log that was applied in that
stretch; then the partition's own log from the last move on. A profile is in one source of each
stretch, so its records come in their order; those of other profiles are passed over, and only
move time.

Joined end to end the sources are one log, with offsets of its own, which increase throughout: one
position covers all that has been read. A partition that nothing was moved to has one source, and
its offsets are those of the log.

Source: docs/backfill.md, after a move.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import gcd

from cdp_stream.formats.backfill_rows import OPEN, Source
from cdp_stream.formats.moved_row import Move

__all__ = ["JoinedLog", "reaches_over_unknown", "sources_of"]


def sources_of(moves: Sequence[Move], partition: int) -> tuple[Source, ...]:
    """Where the history of the profiles of a partition lies, in order, its own log the last.

    Args:
        moves: those of the partition, the oldest first. What was before one of which nothing is
            known is sought in the partitions where the next known one began, or in its own.
        partition: its number.
    """
    known: Sequence[Move] = moves
    for index, move in enumerate(moves):
        if not move.is_known:
            known = moves[index + 1 :]
    if not known:
        return (Source(partition, 0),)
    today = known[-1].after
    found: list[Source] = []
    begins: Sequence[int] = ()
    time = -1
    for move in known:
        for number, end in enumerate(move.ends):
            first = begins[number] if number < len(begins) else 0
            if first < end and _may_share(number, move.before, partition, today):
                found.append(Source(number, first, end, move.before, time))
        begins, time = move.starts, move.time
    first = begins[partition] if partition < len(begins) else 0
    return (*found, Source(partition, first, OPEN, today, time))


def reaches_over_unknown(moves: Sequence[Move], since: int | None) -> bool:
    """Whether profiles were moved here after an instant (None: ever) by a release that did not
    record where their earlier records are.
    """
    unknown = [move.time for move in moves if not move.is_known]
    return bool(unknown) and (since is None or since <= max(unknown))


def _may_share(one: int, of: int, other: int, of_those: int) -> bool:
    """Whether a profile can be in both partitions: its place is a number modulo their count."""
    return (one - other) % gcd(of, of_those) == 0


class JoinedLog:
    """Sources joined end to end.

    Args:
        sources: in order; the last is the partition's own log, and has no end.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)
        if len(sources) == 1:
            # Nothing comes before: its offsets are the log's, wherever it begins.
            self._begins = [sources[0].first]
        else:
            lengths = (source.end - source.first for source in sources[:-1])
            self._begins = list(accumulate(lengths, initial=0))

    @property
    def first(self) -> int:
        """Where it all begins."""
        return self._begins[0]

    def index(self, offset: int) -> int:
        """Which source an offset is of."""
        return max(0, bisect_right(self._begins, offset) - 1)

    def begin(self, index: int) -> int:
        """The offset at which a source begins."""
        return self._begins[index]

    def shift(self, index: int) -> int:
        """What is added to an offset of a source's own."""
        return self._begins[index] - self.sources[index].first

    def live(self, applied: int) -> int:
        """The offset of the partition's own log up to which live records are applied."""
        return max(applied + self.shift(-1), self._begins[-1] - 1)

    def time_before(self, offset: int, read: int, time: int) -> int:
        """The partition's time before a record.

        Args:
            offset: of the record.
            read: the offset of the last record that was read.
            time: the time after that one. It is not the one asked for where they are of two
                sources.
        """
        index = self.index(offset)
        return self.sources[index].time if self._begins[index] > read else time
