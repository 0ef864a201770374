"""The engine: what a batch, or passing time, does to one profile, and which memberships that changes.

Live worker, replay, backfill, tests and explain all come through here. Nothing is read but the arguments: no clock, no I/O.

The rules, in the order in which they act (docs/semantics.md):
* Due instants up to an event's time fire first, in order, each with the clock at it.
* Everything of a batch that has the same time takes effect together, and the profile is evaluated once after it, at the
  clock; a late event at the clock as it stands.
* One evaluation emits the deletes, then the adds, each in the order of the definition files.

Invariants: the clock never moves back; `row.due` is never later than the first instant at which a leaf could flip.
"""

from __future__ import annotations

from typing import Any, Final

from cdp_stream.core.change import ADD, DELETE, Cause, Change
from cdp_stream.core.criteria.leaf import Leaf
from cdp_stream.core.criteria.membership import Membership
from cdp_stream.core.event import Batch, Event, ProfilePart
from cdp_stream.core.operators import MISSING
from cdp_stream.core.plan import ACTIVITY_TEXT, Plan, PlannedAudience
from cdp_stream.core.row import FOREVER, ID_SIZE, NEVER, SLOT_SIZE, Row, Space, remember

PROFILE_PART: Final = -1
"""Stands for the profile part among the refused events of a batch."""

_Occasion = tuple[str, str | None, int | None]
"""Why a leaf flipped: the kind of a cause, its event id and event time."""

_Flips = dict[Leaf, _Occasion]


class Engine:
    """Evaluates profiles against one plan; keeps no state of its own."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._lifetimes = {workspace.id: workspace.lifetime_ms for workspace in plan.workspaces.values()}
        self._workspace_of = {entry.id: entry.workspace for entry in plan.inputs.values()}

    def apply(self, row: Row, batch: Batch, changes: list[Change]) -> list[int]:
        """Apply one batch of the row's profile; a duplicate batch does nothing.

        Args:
            row: the profile's state, changed in place; a new `Row(mpid)` for a profile without one.
            batch: of the same mpid, from an input of the plan.
            changes: the membership changes are appended here, in order.

        Returns:
            What did not fit any more (`profile_too_large`): indexes in the batch's `events`, `PROFILE_PART` for the
            profile part. Nearly always empty.
        """
        refused: list[int] = []
        arrival = batch.arrival
        if batch.digest is not None:
            # Forgetting comes before remembering: what comes after a profile's end starts a new one.
            first = batch.events[0].occurred_at if batch.events else arrival
            if row.due <= first and self._ends_by(row, first):
                self._advance(row, first, changes)
            if not remember(row.batch_ids, batch.digest, arrival):
                return refused
            row.weight += ID_SIZE
        workspace = self._workspace_of[batch.input]
        part = batch.profile
        events = batch.events
        if not events:
            self._move_clock(row, arrival, changes)
            flips: _Flips = {}
            activated = self._note_activity(row, workspace, arrival)
            if part is not None and workspace in row.spaces:
                self._write_profile(row, workspace, part, arrival, flips, refused)
            if flips or activated:
                self._settle(row, flips, activated, ("profile", None, arrival), changes)
            return refused
        place = 0
        count = len(events)
        while place < count:
            event = events[place]
            time = event.occurred_at
            self._move_clock(row, time, changes)
            flips = {}
            activated = self._note_activity(row, workspace, time)
            alive = workspace in row.spaces
            if part is not None:
                if alive:
                    self._write_profile(row, workspace, part, time, flips, refused)
                part = None
            occasion = ("event", event.message_id, time)
            while True:
                if alive:
                    self._record(row, batch, event, flips, refused)
                place += 1
                if place == count or events[place].occurred_at != time:
                    break
                event = events[place]
            if flips or activated:
                self._settle(row, flips, activated, occasion, changes)
        return refused

    def wake(self, row: Row, until: int, changes: list[Change]) -> bool:
        """Fire every due instant up to and including `until`; False when the profile is forgotten and its row goes."""
        if row.due <= until:
            self._advance(row, until, changes)
        return row.clock != NEVER

    # The steps of one instant

    def _move_clock(self, row: Row, time: int, changes: list[Change]) -> None:
        if row.due <= time:
            self._advance(row, time, changes)
        if time > row.clock:
            row.clock = time
            row.ordinal = 0

    def _note_activity(self, row: Row, workspace: str, time: int) -> str | None:
        """First and last seen; the workspace, if the profile became active there."""
        space = row.spaces.get(workspace)
        if space is not None:
            if time > space.last_seen:
                space.last_seen = time
            elif time < space.first_seen:
                space.first_seen = time
            return None
        lifetime = self._lifetimes[workspace]
        if lifetime is not None:
            end = time + lifetime + 1
            if end <= row.clock:
                # So late that the profile it would start had ended before the clock: it is never a member.
                return None
            row.due = min(row.due, end)
        row.spaces[workspace] = Space(time, time, {})
        return workspace

    def _record(self, row: Row, batch: Batch, event: Event, flips: _Flips, refused: list[int]) -> None:
        """Enter one event into the history of every criterion that it matches."""
        readings = self.plan.readings((batch.input, event.kind, event.name, event.custom_event_type))
        if not row.has_room(ID_SIZE + SLOT_SIZE * len(readings)):
            refused.append(event.index)
            return
        if event.digest is not None:
            if not remember(row.event_ids, event.digest, batch.arrival):
                return
            row.weight += ID_SIZE
        time = event.occurred_at
        at = row.clock
        for leaf, where in readings:
            if (where is None or where(event, batch)) and leaf.record(row, time, at) and leaf not in flips:
                flips[leaf] = ("event", event.message_id, time)

    def _write_profile(
        self, row: Row, workspace: str, part: ProfilePart, time: int, flips: _Flips, refused: list[int]
    ) -> None:
        """Set identities and attributes, then delete: last write wins, in order of arrival."""
        if not row.has_room(part.size):
            refused.append(PROFILE_PART)
            return
        row.weight += part.size
        for kind, identity in part.identities.items():
            if identity is None:
                row.identities.pop(kind, None)
            else:
                row.identities[kind] = identity
        attributes = row.spaces[workspace].attributes
        before: dict[str, Any] = {}
        for key, value in part.attributes.items():
            before[key] = attributes.get(key, MISSING)
            attributes[key] = value
        for key in part.deleted:
            if key in attributes:
                before.setdefault(key, attributes[key])
                del attributes[key]
        occasion = ("profile", None, time)
        at = row.clock
        for key, old in before.items():
            new = attributes.get(key, MISSING)
            for leaf in self.plan.attribute_leaves.get((workspace, key), ()):
                if leaf.accepts(old, at) != leaf.accepts(new, at):
                    flips[leaf] = occasion
                if leaf.is_dated:
                    row.due = min(row.due, leaf.next_due(row, at))

    # Passing time

    def _advance(self, row: Row, until: int, changes: list[Change]) -> None:
        while row.due <= until:
            self._fire(row, row.due, changes)

    def _fire(self, row: Row, at: int, changes: list[Change]) -> None:
        """One due instant: every criterion that flips at it, and the end of the profile, in one evaluation."""
        if not row.spaces:
            row.clear()
            return
        occasion = ("time", None, at)
        flips: _Flips = {}
        for leaf in self._timed_leaves(row):
            if leaf.next_due(row, at - 1) == at and leaf.holds(row, at - 1) != leaf.holds(row, at):
                flips[leaf] = occasion
        ended = [workspace for workspace, space in row.spaces.items() if self._end_of(workspace, space) <= at]
        if (flips or ended) and at > row.clock:
            row.clock = at
            row.ordinal = 0
        if ended:
            self._end(row, ended, flips, changes)
        elif flips:
            self._settle(row, flips, None, occasion, changes)
        self._prune(row, at)
        row.due = self._next_due(row, at)

    def _timed_leaves(self, row: Row) -> list[Leaf]:
        """The leaves whose value passing time can change, of what the profile has touched."""
        by_slot = self.plan.event_leaves
        leaves: list[Leaf] = [by_slot[slot] for slot in row.slots if slot in by_slot]
        for workspace, dated in self.plan.dated_attributes.items():
            space = row.spaces.get(workspace)
            if space is not None:
                attributes = space.attributes
                for key in dated if len(dated) < len(attributes) else attributes:
                    if key in attributes and key in dated:
                        leaves.extend(dated[key])
        return leaves

    def _end_of(self, workspace: str, space: Space) -> int:
        lifetime = self._lifetimes[workspace]
        return FOREVER if lifetime is None else space.last_seen + lifetime + 1

    def _ends_by(self, row: Row, time: int) -> bool:
        return all(self._end_of(workspace, space) <= time for workspace, space in row.spaces.items())

    def _next_due(self, row: Row, after: int) -> int:
        if not row.spaces:
            # Ordinals go on within the instant of the end, so the row stays for that instant.
            return after + 1
        due = min((leaf.next_due(row, after) for leaf in self._timed_leaves(row)), default=FOREVER)
        for workspace, space in row.spaces.items():
            due = min(due, self._end_of(workspace, space))
        return due

    def _prune(self, row: Row, at: int) -> None:
        by_slot = self.plan.event_leaves
        for slot in list(row.slots):
            leaf = by_slot.get(slot)
            if leaf is None:
                del row.slots[slot]
            else:
                leaf.prune(row, at)

    def _end(self, row: Row, ended: list[str], flips: _Flips, changes: list[Change]) -> None:
        """The profile leaves all audiences of these workspaces, and what they know of it is forgotten."""
        plan = self.plan
        places: set[int] = set()
        for workspace in ended:
            del row.spaces[workspace]
            places.update(plan.dependants[workspace])
        by_slot = plan.event_leaves
        for slot in [slot for slot in row.slots if slot not in by_slot or by_slot[slot].workspace in ended]:
            del row.slots[slot]
        places.update(
            place
            for place, audience in enumerate(plan.audiences)
            if audience.workspace in ended and audience.id in row.members
        )
        for leaf in flips:
            places.update(leaf.audiences)
        self._evaluate(row, places, flips, set(ended), ("profile_expiry", None, row.clock), changes)
        if not row.spaces:
            row.identities = {}
            row.members = {}
            row.slots = {}
            del row.event_ids[:]
            del row.batch_ids[:]

    # Audiences

    def _settle(
        self, row: Row, flips: _Flips, activated: str | None, occasion: _Occasion, changes: list[Change]
    ) -> None:
        """Re-evaluate the audiences that the flips, or a first activity, can change."""
        places: set[int] = set()
        for leaf in flips:
            places.update(leaf.audiences)
        if activated is not None:
            places.update(self.plan.activations[activated])
        self._evaluate(row, places, flips, set(), occasion, changes)

    def _evaluate(
        self,
        row: Row,
        places: set[int],
        flips: _Flips,
        ended: set[str],
        occasion: _Occasion,
        changes: list[Change],
    ) -> None:
        """Evaluate audiences, those referred to first, and emit what changed: deletes, then adds."""
        at = row.clock
        members = row.members
        audiences = self.plan.audiences
        causes: dict[str, Cause] = {}
        deletes: list[PlannedAudience] = []
        adds: list[PlannedAudience] = []
        for place in sorted(places):
            audience = audiences[place]
            holds = audience.expression.holds(row, at)
            if holds == (audience.id in members):
                continue
            if holds:
                members[audience.id] = at
                row.weight += len(audience.id) + SLOT_SIZE
                adds.append(audience)
            else:
                del members[audience.id]
                deletes.append(audience)
            if audience.workspace in ended:
                causes[audience.id] = Cause(occasion[0], None, *occasion[1:])
            else:
                causes[audience.id] = _cause(audience, flips, causes, occasion)
        if causes:
            identities = tuple(sorted(row.identities.items()))
            for action, changed in ((DELETE, deletes), (ADD, adds)):
                for audience in sorted(changed, key=_order):
                    if audience.emits:
                        changes.append(
                            Change(
                                action,
                                audience.id,
                                audience.name,
                                row.mpid,
                                at,
                                row.ordinal,
                                None,
                                causes[audience.id],
                                audience.digest,
                                identities,
                            )
                        )
                        row.ordinal += 1


def _order(audience: PlannedAudience) -> int:
    return audience.order


def _cause(audience: PlannedAudience, flips: _Flips, causes: dict[str, Cause], occasion: _Occasion) -> Cause:
    """Why an audience changed: its first leaf, as written, that flipped; else the profile's first activity."""
    for leaf, text in audience.leaves:
        if leaf in flips:
            kind, event_id, event_time = flips[leaf]
            return Cause(kind, text, event_id, event_time)
        if isinstance(leaf, Membership) and leaf.audience_id in causes:
            return causes[leaf.audience_id]
    kind, event_id, event_time = occasion
    return Cause(kind, ACTIVITY_TEXT if kind != "profile_expiry" else None, event_id, event_time)
