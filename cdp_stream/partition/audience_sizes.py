"""How many members each audience has in one partition.

After a restore the sizes are not known, and counting them then would make every recovery longer. So
rows are counted later, a few at a time; a row that changes before it is counted is counted as it is
then. The sizes are known once the last row is counted.

A row counts as a member of the audiences for which that was announced. So definitions may change in
between: the changes that they make move the sizes as any other.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping

from cdp_stream.core.model.change import ADD, Change

__all__ = ["AudienceSizes"]


class AudienceSizes:
    """The sizes of the audiences in one partition.

    Args:
        audiences: ids of those that are counted: all that emit changes.
        announced: gives the audiences for which an encoded row's profile was announced as a
            member.
    """

    def __init__(
        self, audiences: Iterable[str], announced: Callable[[bytes], Iterable[str]]
    ) -> None:
        self._sizes = dict.fromkeys(audiences, 0)
        self._announced = announced
        self._mpids = array("q")
        self._counted = 0

    def begin(self, audiences: Iterable[str], mpids: Iterable[int]) -> None:
        """Begin anew with the rows of these profiles, all of which have yet to be counted."""
        self._sizes = dict.fromkeys(audiences, 0)
        # Sorted, eight bytes each: a set would take ten times the memory for a few minutes' use.
        self._mpids = array("q", sorted(mpids))
        self._counted = 0

    def include(self, audiences: Iterable[str]) -> None:
        """Count these too; they have no members yet."""
        for audience in audiences:
            self._sizes.setdefault(audience, 0)

    def keep(self, audiences: Iterable[str]) -> None:
        """Count these alone; the others have no members any more."""
        kept = set(audiences)
        for audience in [audience for audience in self._sizes if audience not in kept]:
            del self._sizes[audience]

    def change(self, changes: Iterable[Change]) -> None:
        """Count changes; those of rows that have yet to be counted are counted with the rows."""
        sizes = self._sizes
        for change in changes:
            if not self._mpids or not self._waits(change.mpid):
                sizes[change.audience_id] += 1 if change.action == ADD else -1

    def count(self, rows: Mapping[bytes, bytes], limit: int) -> Mapping[str, int] | None:
        """Count some more rows, if any have yet to be.

        Args:
            rows: the partition's rows as they are now.
            limit: how many rows at most.

        Returns:
            The sizes by audience id, live: later changes show; None while rows remain.
        """
        mpids, sizes = self._mpids, self._sizes
        if not mpids:
            return sizes
        first, self._counted = self._counted, min(len(mpids), self._counted + limit)
        for mpid in mpids[first : self._counted]:
            value = rows.get(b"%d" % mpid)
            if value is None:
                continue  # forgotten since
            for audience in self._announced(value):
                if audience in sizes:
                    sizes[audience] += 1
        if self._counted < len(mpids):
            return None
        self._mpids = array("q")
        return sizes

    def _waits(self, mpid: int) -> bool:
        place = bisect_left(self._mpids, mpid, self._counted)
        return place < len(self._mpids) and self._mpids[place] == mpid
