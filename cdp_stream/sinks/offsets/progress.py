"""How far one partition of an output's topic has been delivered; pure.

Three kinds of positions. The *group's* is Kafka's own: everything below it has been confirmed by
the partner. A connection that is stopped, or catches up after it was, has a position *of its own*,
which may lie far below the group's: the others went on without it. And where several requests run
at a time, some changes above a position are *confirmed already*.

The last two are kept in `cdp.sink-state` (:meth:`Progress.kept`), written before the group's
position passes the changes that they are about. So after a crash at any instant each change is
either below a position, or known as confirmed, or delivered (again).

A connection that has caught up goes with the others again. If it is then *ahead* of them, because
some of their changes still wait, its position is remembered until they reach it: what it has
delivered, such as the deletion of its audience, is never delivered again.

When a connection resumes, the partition is read again from the connection's own position; the
others' changes that are read twice are passed over.

A connection may also be *blocked* behind one record, in this partition alone, as behind the
deletion of its audience: what follows is passed over until it is unblocked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Progress", "has_other_positions"]

_PRUNED_ABOVE = 2_000


@dataclass(slots=True)
class _Course:
    """What one reader of the partition (the others together, or one connection) has done.

    Attributes:
        next_offset: records from this offset on are new to it.
        waiting: offsets admitted and not confirmed, in order; with their connection, and when the
            record was written, epoch ms.
        confirmed: offsets confirmed above one that waits, with their connection.
        seen: of a connection of its own: the offset below which its records have been counted.
        owed: how many of these are not confirmed.
        since: when the first of them was written, epoch ms.
    """

    next_offset: int
    waiting: OrderedDict[int, tuple[str, int]] = field(default_factory=OrderedDict)
    confirmed: dict[int, str] = field(default_factory=dict)
    seen: int = 0
    owed: int = 0
    since: int | None = None

    @property
    def position(self) -> int:
        """Everything below it is confirmed."""
        return next(iter(self.waiting), self.next_offset)

    def count(self, offset: int, dated: int) -> None:
        """Count one of its records that is read, if it has not been before."""
        if offset >= self.seen:
            if not self.owed:
                self.since = dated
            self.owed += 1

    def confirm(self, offset: int) -> None:
        entry = self.waiting.pop(offset, None)
        if entry is None:
            return
        self.owed -= 1
        if self.owed <= 0:
            self.owed, self.since = 0, None
        if self.waiting and next(iter(self.waiting)) < offset:
            self.confirmed[offset] = entry[0]
        if len(self.confirmed) > _PRUNED_ABOVE:
            self.prune()

    def prune(self) -> None:
        """Forget what lies below the position and will not be delivered again."""
        if self.confirmed:
            least = min(self.position, self.next_offset)
            self.confirmed = {o: c for o, c in self.confirmed.items() if o >= least}

    def step_back(self) -> None:
        """Forget everything that was admitted and not confirmed."""
        self.prune()
        self.next_offset = self.position
        self.waiting.clear()


class Progress:
    """One partition's progress.

    Args:
        position: The group's committed position.
        kept: What :meth:`kept` returned last, if anything.
        stopped: The connections that are stopped now.
    """

    # `_before` are offsets confirmed before this one began, whose connections are not known.
    # `_ahead`: of those that went with the others again before these were as far, how far they
    # were.
    # `_implied` are stopped connections of which nothing has been passed over yet: there is nothing
    # to be kept of them.

    def __init__(
        self, position: int, kept: Mapping[str, Any] | None, stopped: Collection[str]
    ) -> None:
        kept = kept or {}
        self._others = _Course(position)
        self._before = _offsets(kept.get("confirmed", ()), 0)
        self._ahead: dict[str, int] = {}
        self._own: dict[str, _Course] = {}
        self._stopped = set(stopped)
        for connection, entry in kept.get("connections", {}).items():
            offset = int(entry["offset"])
            course = _Course(offset, confirmed=_offsets(entry.get("confirmed", ()), offset))
            # What was kept without a count is counted anew.
            course.seen = int(entry.get("seen", offset))
            course.owed, course.since = int(entry.get("owed", 0)), entry.get("since")
            self._own[connection] = course
        for connection in self._stopped:
            self._own.setdefault(connection, _Course(position, seen=position))
        self._implied = {c for c in self._stopped if c not in kept.get("connections", {})}
        self._blocked: set[str] = set()

    # -- reading -----------------------------------------------------------------------------------

    @property
    def start(self) -> int:
        """Where to begin to read."""
        own = (
            course.seen if name in self._stopped else course.next_offset
            for name, course in self._own.items()
        )  # fmt: skip
        return min([self._others.next_offset, *own])

    def admit(self, offset: int, connection: str, dated: int = 0) -> bool:
        """Admit a record if it is to be delivered now: it then waits for :meth:`confirm`.

        Args:
            dated: When it was written, epoch ms.
        """
        if self._before and offset in self._before:
            return False
        course = self._own.get(connection) if self._own else None
        if course is None:
            course = self._others
            if self._ahead and offset < self._ahead.get(connection, 0):
                return False
        elif connection in self._stopped:
            if offset in course.confirmed:
                return False
            self._implied.discard(connection)
            if not course.owed and offset >= course.seen:
                course.next_offset = max(course.next_offset, offset)  # the first that it misses
            course.count(offset, dated)
            return False
        if offset < course.next_offset or (course.confirmed and offset in course.confirmed):
            return False
        course.waiting[offset] = connection, dated
        if course is not self._others:
            course.count(offset, dated)
        return True

    def read(self, end: int) -> None:
        """Note that every record below `end` has been read."""
        for name, course in self._own.items():
            course.seen = max(course.seen, end)
            if name not in self._stopped and course.next_offset < end:
                course.next_offset = end
        self._others.next_offset = max(self._others.next_offset, end)

    # -- delivering --------------------------------------------------------------------------------

    def confirm(self, offset: int, connection: str) -> None:
        """Note that the partner has accepted a record, or never will."""
        course = self._own.get(connection) if self._own else None
        (course or self._others).confirm(offset)

    @property
    def position(self) -> int:
        """What the group's position may be, once :meth:`kept` is written."""
        return self._others.position

    @property
    def oldest(self) -> int | None:
        """When the oldest record was written that the others admitted and have not confirmed."""
        return next((dated for _, dated in self._others.waiting.values()), None)

    @property
    def owed(self) -> int:
        """How many records of connections with a position of their own are not confirmed."""
        return sum(course.owed for course in self._own.values())

    @property
    def owed_since(self) -> int | None:
        """When the oldest of them was written, epoch ms, as far as is known."""
        known = (course.since for course in self._own.values() if course.since)
        return min(known, default=None)

    def position_of(self, connection: str) -> int:
        """Everything of a connection below it is confirmed."""
        course = self._own.get(connection)
        if course is not None:
            return course.position
        waiting = (o for o, (name, _) in self._others.waiting.items() if name == connection)
        return next(waiting, self._others.next_offset)

    # -- stopping and going on ---------------------------------------------------------------------

    def stop(self, connection: str) -> None:
        """Deliver nothing more of a connection; what is in flight may still be confirmed."""
        self._blocked.discard(connection)
        if connection in self._stopped:
            return
        self._stopped.add(connection)
        if connection in self._own:
            return
        self._others.prune()
        next_offset = max(self._others.next_offset, self._ahead.pop(connection, 0))
        course = _Course(next_offset, seen=next_offset)
        waiting, confirmed = self._others.waiting, self._others.confirmed
        for offset in [o for o, (name, _) in waiting.items() if name == connection]:
            course.waiting[offset] = waiting.pop(offset)
        for offset in [o for o, name in confirmed.items() if name == connection]:
            course.confirmed[offset] = confirmed.pop(offset)
        self._own[connection] = course
        course.owed = len(course.waiting)
        if course.waiting:
            course.since = next(iter(course.waiting.values()))[1]
        if not (course.waiting or course.confirmed):
            self._implied.add(connection)

    def resume(self, connection: str) -> bool:
        """Deliver a connection again; nothing of it may be in flight.

        Returns:
            Whether the partition has to be read again, from :attr:`start`.
        """
        if connection not in self._stopped:
            return False
        self._stopped.discard(connection)
        self._blocked.discard(connection)
        course = self._own[connection]
        if not course.owed and course.seen >= self._others.next_offset:
            # Nothing of it was passed over, so it has missed nothing.
            course.next_offset = max(course.next_offset, self._others.next_offset)
        self._implied.discard(connection)
        course.step_back()
        return course.next_offset < self._others.next_offset

    def block(self, connection: str, offset: int) -> None:
        """Deliver nothing of a running connection behind the record at `offset`."""
        self.read(offset + 1)
        self.stop(connection)
        self._blocked.add(connection)

    def unblock(self, connection: str) -> bool:
        """Deliver a blocked connection again, as :meth:`resume`; not if something else stopped it.

        Returns:
            Whether the partition has to be read again, from :attr:`start`.
        """
        return connection in self._blocked and self.resume(connection)

    def step_back(self) -> None:
        """Forget everything that is not confirmed: it will be read again, and whatever blocked a
        connection will block it again.
        """
        self._stopped -= self._blocked
        self._blocked.clear()
        for course in (self._others, *self._own.values()):
            course.step_back()

    def settle(self) -> None:
        """Let connections that have caught up go with the others again."""
        for name in [n for n in self._own if n not in self._stopped]:
            course = self._own[name]
            if (
                course.next_offset < self._others.next_offset
                or course.position < self._others.position
            ):
                continue
            del self._own[name]
            self._ahead[name] = course.position
            if course.waiting:
                together = {**self._others.waiting, **course.waiting}
                self._others.waiting = OrderedDict(sorted(together.items()))
            self._others.confirmed.update(course.confirmed)
        position = self._others.position
        self._ahead = {name: at for name, at in self._ahead.items() if at > position}
        if self._before:
            least = min([position, *(course.position for course in self._own.values())])
            if least > next(reversed(self._before)):
                self._before = {}

    # -- what is kept ------------------------------------------------------------------------------

    def kept(self, *, all_confirmed: bool = False) -> dict[str, Any] | None:
        """What must be durable before the group's position is moved, once things are settled; None
        when nothing must.

        Args:
            all_confirmed: with what the others have confirmed above their position, too; as they
                are about to be stopped.
        """
        connections: dict[str, Any] = {}
        for name, course in sorted(self._own.items()):
            if name in self._implied:
                continue
            course.prune()
            connections[name] = {"offset": course.position, "seen": course.seen}
            if course.owed:
                connections[name] |= {"owed": course.owed, "since": course.since}
            if course.confirmed:
                connections[name]["confirmed"] = _ranges(course.confirmed)
        for name, at in sorted(self._ahead.items()):
            connections[name] = {"offset": at, "seen": at}
        kept: dict[str, Any] = {"connections": connections} if connections else {}
        confirmed = set(self._before)
        if all_confirmed:
            self._others.prune()
            confirmed.update(self._others.confirmed)
        if confirmed:
            kept["confirmed"] = _ranges(confirmed)
        return kept or None


def has_other_positions(kept: Mapping[str, Any] | None, written: Mapping[str, Any] | None) -> bool:
    """Whether what is to be kept has other positions than what was written, not counts alone."""
    return _positions(kept) != _positions(written)


def _positions(kept: Mapping[str, Any] | None) -> tuple[Any, Any]:
    kept = kept or {}
    connections = kept.get("connections", {})
    return kept.get("confirmed"), {
        name: (entry["offset"], entry.get("confirmed")) for name, entry in connections.items()
    }


def _ranges(offsets: Iterable[int]) -> list[list[int]]:
    """Offsets as `[first, last]` of each run of them."""
    found: list[list[int]] = []
    for offset in sorted(offsets):
        if found and offset == found[-1][1] + 1:
            found[-1][1] = offset
        else:
            found.append([offset, offset])
    return found


def _offsets(ranges: Iterable[Any], position: int) -> dict[int, str]:
    return {
        offset: ""
        for first, last in ranges
        for offset in range(int(first), int(last) + 1)
        if offset >= position
    }
