"""One profile's history, run through the engine up to an instant, and watched on the way.

The engine itself reports which events each criterion counts: duplicates, events of another
tier or input, and what did not fit are passed over because it passes them over. What was noted of a
profile is forgotten at its end, as its state is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappush, heappushpop
from typing import Any, Final

from cdp_stream.core.criteria.leaf import Leaf, Memory
from cdp_stream.core.criteria.profile_value import ProfileValue
from cdp_stream.core.criteria.user_attribute import UserAttribute
from cdp_stream.core.criteria.where import Where
from cdp_stream.core.model.change import Change
from cdp_stream.core.model.criterion import Criterion
from cdp_stream.core.model.definition import Workspace
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.operators import MISSING
from cdp_stream.core.model.row import Row, Space
from cdp_stream.core.plan.build import build_plan
from cdp_stream.core.plan.plan import Plan, ReadingKey, Readings
from cdp_stream.explain.reading import Describe, describe_for, windows_of
from cdp_stream.explain.tree import Part
from cdp_stream.offline.replay import OnReject, Replay

EVENTS_SHOWN: Final = 100
"""The newest events of a criterion that are listed; all are counted."""

_READINGS_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Seen:
    """An event that counts for a criterion.

    Attributes:
        time: epoch ms.
        order: places events of the same time in the order in which they were read.
    """

    time: int
    order: int
    event_id: str | None
    words: str


@dataclass(frozen=True, slots=True)
class Counted:
    """The events that count for a criterion at the instant.

    Attributes:
        total: how many there are.
        oldest: the time of the oldest, epoch ms; None when there is none.
        newest: the newest of them, `EVENTS_SHOWN` at most, oldest first.
        kept_until: when the profile's end would remove some of them, epoch ms; None for never.
    """

    total: int
    oldest: int | None
    newest: tuple[Seen, ...]
    kept_until: int | None


class _Tally:
    """The events of one criterion in one workspace, as long as the profile lives there."""

    def __init__(self) -> None:
        self.space: Space | None = None
        self.total = 0
        self.oldest: int | None = None
        self.newest: list[tuple[int, int, str | None, str]] = []

    def start(self, space: Space) -> None:
        self.space, self.total, self.oldest = space, 0, None
        self.newest.clear()

    def add(self, seen: tuple[int, int, str | None, str]) -> None:
        self.total += 1
        self.oldest = seen[0] if self.oldest is None else min(self.oldest, seen[0])
        if len(self.newest) < EVENTS_SHOWN:
            heappush(self.newest, seen)
        else:
            heappushpop(self.newest, seen)


class _Watch:
    """Records the events of one criterion that count at the instant."""

    def __init__(self, criterion: Criterion, describe: Describe, at: int) -> None:
        self._windows = windows_of(criterion)
        self._describe = describe
        self._at = at
        self._tallies = {workspace: _Tally() for workspace in self._windows}

    def note(self, workspace: str, space: Space, order: int, event: Event, batch: Batch) -> None:
        time = event.occurred_at
        if not self._windows[workspace].contains(time, self._at):
            return
        words = self._describe(event, batch)
        if words is None:
            return
        tally = self._tallies[workspace]
        if tally.space is not space:
            tally.start(space)
        tally.add((time, order, event.message_id, words))

    def counted(self, row: Row, workspaces: Mapping[str, Workspace]) -> Counted:
        alive = {
            workspace: tally
            for workspace, tally in self._tallies.items()
            if tally.space is not None and row.spaces.get(workspace) is tally.space
        }
        newest = sorted(seen for tally in alive.values() for seen in tally.newest)[-EVENTS_SHOWN:]
        oldest = [tally.oldest for tally in alive.values() if tally.oldest is not None]
        ends = [
            row.spaces[workspace].last_seen + lifetime_ms + 1
            for workspace in alive
            if (lifetime_ms := workspaces[workspace].lifetime_ms) is not None
        ]
        return Counted(
            sum(tally.total for tally in alive.values()),
            min(oldest, default=None),
            tuple(Seen(*seen) for seen in newest),
            min(ends, default=None),
        )


class History:
    """The history of one profile in one account, as far as one audience reads it.

    Attributes:
        part: the audience and what it depends on.
        at: the instant, epoch ms.
        memories: leaf of the part -> what keeps its state; leaves on events only.
    """

    def __init__(
        self,
        plan: Plan,
        audience_id: str,
        mpid: int,
        at: int,
        *,
        input_id: str | None = None,
        on_reject: OnReject | None = None,
    ) -> None:
        """Prepare an empty history; batches of other profiles, and later ones, are skipped.

        Raises:
            KeyError: the plan has no such audience.
        """
        self.part = Part(plan.account, audience_id)
        self.mpid = mpid
        self.at = at
        self.memories: dict[Leaf, list[Memory]] = {}
        self._watches: dict[Leaf, _Watch] = {}
        self._by_slot: dict[str, list[_Watch]] = {}
        self._watch_events()
        self._values = [
            leaf for leaf in self.part.criteria if isinstance(leaf, UserAttribute | ProfileValue)
        ]
        self._written: dict[Leaf, tuple[Any, int]] = {}
        # A plan of our own, whose readers of events are observed.
        whole = build_plan(plan.account)
        whole.readings = _Watched(whole.readings, self)
        self._workspace_of = {entry.id: entry.workspace for entry in whole.inputs.values()}
        self._batches: list[Batch] = []
        self._events = 0
        self._replay = Replay(
            whole, until=at, input_id=input_id, on_reject=on_reject, keep=self._is_asked_for
        )
        self._changes: list[Change] = []

    def feed(self, line: bytes) -> None:
        """Apply one line of an event file."""
        self._replay.feed(line, self._changes)
        self._changes.clear()
        for batch in self._batches:
            self._note_values(batch)
        self._batches.clear()

    def finish(self) -> Row:
        """Move the profile to the instant; its row, an empty one when it is not known then."""
        self._replay.finish(lambda _changes: None)
        return self._replay.rows.get(self.mpid) or Row(self.mpid)

    def counted(self, leaf: Leaf, row: Row) -> Counted | None:
        """The events that count for a leaf; None for one that reads no events."""
        watch = self._watches.get(leaf)
        return None if watch is None else watch.counted(row, self.part.plan.workspaces)

    def written_at(self, leaf: UserAttribute | ProfileValue, row: Row) -> int | None:
        """Since when the value that a leaf tests is what it is, epoch ms; None where it is not
        set.
        """
        found = self._written.get(leaf)
        if found is None or found[0] != values_of(leaf, row):
            return None
        return found[1]

    def watches(self, slot: str) -> list[_Watch]:
        """The readers of the events that enter a slot."""
        return self._by_slot.get(slot, [])

    def note(self, watches: list[_Watch], event: Event, batch: Batch) -> None:
        """Report to them an event that the engine is about to apply."""
        workspace = self._workspace_of[batch.input]
        space = self._replay.rows[self.mpid].spaces[workspace]
        self._events += 1
        for watch in watches:
            watch.note(workspace, space, self._events, event, batch)

    def _watch_events(self) -> None:
        for memory in self.part.plan.memories.values():
            for leaf in memory.leaves:
                self.memories.setdefault(leaf, []).append(memory)
        for leaf, criterion in self.part.criteria.items():
            describe = describe_for(criterion, self.memories.get(leaf, []))
            if describe is not None:
                watch = self._watches[leaf] = _Watch(criterion, describe, self.at)
                for memory in self.memories[leaf]:
                    self._by_slot.setdefault(memory.slot, []).append(watch)

    def _is_asked_for(self, batch: Batch) -> bool:
        if batch.mpid != self.mpid:
            return False
        self._batches.append(batch)
        return True

    def _note_values(self, batch: Batch) -> None:
        row = self._replay.rows[self.mpid]
        time = batch.events[0].occurred_at if batch.events else batch.arrival
        for leaf in self._values:
            values = values_of(leaf, row)
            known = self._written.get(leaf)
            if known is None or known[0] != values:
                self._written[leaf] = (values, time)


class _Watched(dict[ReadingKey, Readings]):
    """What becomes of an event; the history learns of each before it is entered."""

    def __init__(self, readings: dict[ReadingKey, Readings], history: History) -> None:
        super().__init__()
        self._readings = readings
        self._history = history

    def __missing__(self, key: ReadingKey) -> Readings:
        found = self._readings[key]
        watched = Readings(
            tuple((leaf, self._watched(leaf.slot, where)) for leaf, where in found.leaves),
            tuple((memory, self._watched(memory.slot, where)) for memory, where in found.memories),
            has_more=not found.is_plain and not found.memories,
            is_personalized=found.is_personalized,
        )
        watched.is_plain = found.is_plain
        if len(self) >= _READINGS_KEPT:
            self.clear()
        self[key] = watched
        return watched

    def _watched(self, slot: str, where: Where | None) -> Where | None:
        history = self._history
        watches = history.watches(slot)
        if not watches:
            return where

        def matches(event: Event, batch: Batch) -> bool:
            # Called once the event is known to be new, and to fit.
            if where is not None and not where(event, batch):
                return False
            history.note(watches, event, batch)
            return True

        return matches


def values_of(leaf: UserAttribute | ProfileValue, row: Row) -> list[Any]:
    """The values that a leaf tests; MISSING is one that is not set."""
    if isinstance(leaf, ProfileValue):
        return list(leaf.values(row))
    space = row.spaces.get(leaf.workspace)
    return [MISSING if space is None else space.attributes.get(leaf.key, MISSING)]
