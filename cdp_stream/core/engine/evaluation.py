"""The engine: how a batch, or passing time, changes one profile and its memberships.

Live worker, replay, backfill, tests and explain all use this module. Nothing is read but the
arguments: no clock, no I/O.

The rules, in the order in which they act (docs/semantics.md):
* Due instants up to an event's time fire first, in order, each with the clock at it.
* Everything of a batch that has the same time takes effect together, and the profile is evaluated
  once after it, at the clock; a late event at the present clock.
* One evaluation emits the deletes, then the adds, each in the order of the definition files.

Invariants: the clock never moves back; `row.due` is never later than the first instant at which a
leaf could flip.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import groupby
from operator import attrgetter

from cdp_stream.core.engine.ending import end
from cdp_stream.core.engine.flips import Flips, Touch
from cdp_stream.core.engine.passing_time import PassingTime
from cdp_stream.core.engine.profile_writing import (
    NO_SPACE,
    has_other_spellings,
    seen_leaves,
    write_profile,
    write_seen,
)
from cdp_stream.core.engine.recording import need_of, opt_out, record_more
from cdp_stream.core.engine.settlement import Why, settle
from cdp_stream.core.model.change import Change, Occasion
from cdp_stream.core.model.event import Batch, Event, ProfilePart
from cdp_stream.core.model.row import ID_SIZE, NEVER, SLOT_SIZE, Row, Space, remember
from cdp_stream.core.model.subject import OPT_OUT
from cdp_stream.core.outputs.shared_attributes import Before
from cdp_stream.core.plan.plan import Plan

_occurred_at = attrgetter("occurred_at")


class Engine:
    """Evaluates profiles against one plan; keeps no state of its own."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._time = PassingTime(plan)
        self._most = plan.account.row_limit
        self._lifetimes = self._time.lifetimes
        self._workspace_of = {entry.id: entry.workspace for entry in plan.inputs.values()}
        self._readings = plan.readings
        self._forwarding = plan.forwarding
        self._seen = {
            workspace: found
            for workspace in plan.workspaces
            if (found := seen_leaves(plan, workspace))
        }

    def apply(
        self, row: Row, batch: Batch, changes: list[Change], reached: int = NEVER
    ) -> list[int]:
        """Apply one batch of the row's profile; a duplicate batch does nothing, and neither does
        what lies in lives of a profile without history that had ended by live time.

        Args:
            row: the profile's state, changed in place; a new `Row(mpid)` for a profile without one.
            batch: of the same mpid, from an input of the plan.
            changes: the membership changes are appended here, in order.
            reached: live time before the batch, epoch ms, to which the row was woken; `NEVER` where
                there is none, as in a replay.

        Returns:
            What did not fit any more (`profile_too_large`): indexes in the batch's `events`,
            `PROFILE_PART` for the profile part. Nearly always empty.
        """
        refused: list[int] = []
        events, part, digest = batch.events, batch.profile, batch.digest
        if row.clock == NEVER and reached != NEVER and (past := self._past(batch, reached)):
            if past >= len(events):
                return refused
            self._skip_ended_lives(row, batch, past)
            # The profile part of the batch, and its id, belonged to the first life.
            events, part, digest = events[past:], None, None
        if digest is not None and not self._is_new(row, batch, digest, changes):
            return refused
        if len(events) <= 1:
            self._apply_instant(row, batch, events, part, changes, refused)
            return refused
        for _time, together in groupby(events, key=_occurred_at):
            self._apply_instant(row, batch, list(together), part, changes, refused)
            part = None
        return refused

    def wake(self, row: Row, until: int, changes: list[Change]) -> bool:
        """Fire every due instant up to and including `until`; False when the profile is forgotten
        and its row goes.
        """
        if row.due <= until:
            self._advance(row, until, changes)
        return row.clock != NEVER

    def catch_up(self, row: Row, until: int) -> None:
        """Bring a row that was settled under another plan to what this one makes of it at `until`:
        what has ended, when it is due, every due instant up to then.

        Its memberships at its clock are those of this plan already; what changes is emitted by the
        caller, who compares.
        """
        ignored: list[Change] = []
        ended = [
            workspace
            for workspace, space in row.spaces.items()
            if workspace not in self._lifetimes or self._time.end_of(workspace, space) <= row.clock
        ]
        if ended:
            why = Why({}, ended, ("definition", None, row.clock))
            end(self.plan, row, why, ignored, None)
        row.due = self._time.next_due(row, row.clock)
        while row.due <= until and row.spaces:
            self._fire(row, row.due, ignored)

    def erase(self, row: Row, time: int, changes: list[Change]) -> None:
        """Forget a profile on request: what is due by then fires, then it leaves all its audiences.

        As after the end of a life, a row without content stays for that instant, within which
        ordinals go on; what comes later starts a new profile.

        Args:
            row: the profile's state, changed in place.
            time: of the request, epoch ms; it takes effect at the clock if that is later.
            changes: the deletes are appended here, in order.
        """
        if row.due <= time:
            self._advance(row, time, changes)
        if time > row.clock:
            row.clock = time
            row.ordinal = 0 if time != row.emitted_at else row.emitted
        end(self.plan, row, Why({}, list(row.spaces), ("erasure", None, time)), changes, None)
        row.due = self._time.next_due(row, row.clock)

    # The steps of one instant

    def _past(self, batch: Batch, reached: int) -> int:
        """How many of the events with which a batch begins a profile, the oldest first, lie in
        lives that have ended by an instant; 1 for the arrival of a batch without events.

        What began and ended before live time has no place in the stream of changes: if the profile
        was known and is forgotten, its last delete may have had the same id.
        """
        lifetime = self._lifetimes[self._workspace_of[batch.input]]
        if lifetime is None:
            return 0
        oldest_alive, events = reached - lifetime, batch.events
        if not events:
            return int(batch.arrival < oldest_alive)
        past = bisect_left(events, oldest_alive, key=_occurred_at)
        if past < len(events):
            # The life that goes on may have begun earlier: from event to event.
            while past and events[past].occurred_at - events[past - 1].occurred_at <= lifetime:
                past -= 1
        return past

    def _skip_ended_lives(self, row: Row, batch: Batch, past: int) -> None:
        """Go through the lives that a batch's first events begin and end: nothing is emitted, but
        within the instant of the last end ordinals go on as in a replay.
        """
        ignored: list[Change] = []
        part = batch.profile
        for _time, together in groupby(batch.events[:past], key=_occurred_at):
            self._apply_instant(row, batch, list(together), part, ignored, [])
            part = None
        self._advance(row, batch.events[past].occurred_at, ignored)

    def _is_new(self, row: Row, batch: Batch, digest: int, changes: list[Change]) -> bool:
        """Whether the batch's id is seen for the first time."""
        # Forgetting comes before remembering: what comes after a profile's end starts a new one.
        first = batch.events[0].occurred_at if batch.events else batch.arrival
        if row.due <= first and self._time.ends_by(row, first):
            self._advance(row, first, changes)
        if not row.spaces:
            # A batch so late that it began no life was seen by nobody.
            row.batch_ids.clear()
        if not remember(row.batch_ids, digest, batch.arrival):
            return False
        row.weight += ID_SIZE
        return True

    def _apply_instant(
        self,
        row: Row,
        batch: Batch,
        together: list[Event],
        part: ProfilePart | None,
        changes: list[Change],
        refused: list[int],
    ) -> None:
        """Everything of the batch that has the same time: events (none: the arrival), and the
        profile part with the earliest of them.

        This is the path of every event, so what most events need of it is written out here.
        """
        time = together[0].occurred_at if together else batch.arrival
        if row.due <= time:
            self._advance(row, time, changes)
        if time > row.clock:
            row.clock = time
            row.ordinal = 0 if time != row.emitted_at else row.emitted
        workspace = self._workspace_of[batch.input]
        space = row.spaces.get(workspace)
        activated = None
        flips: Flips = {}
        before: Before | None = None if self._forwarding is None else {}
        if space is None:
            space = self._activate(row, workspace, time)
            if space is not None:
                activated = workspace
        elif not space.first_seen <= time <= space.last_seen:
            seen = self._seen.get(workspace)
            if seen is None:
                space.last_seen = max(time, space.last_seen)
                space.first_seen = min(time, space.first_seen)
            else:
                message_id = together[0].message_id if together else None
                kind = "event" if together else "profile"
                write_seen(Touch(row, workspace, space, (kind, message_id, time), flips), seen)
        if part is not None or (row.identities and has_other_spellings(row)):
            written = ("profile", None, time)
            touch = Touch(row, workspace, space or NO_SPACE, written, flips, before)
            refused += write_profile(self.plan, touch, part)
        for event in together:
            if space is not None:
                self._record(row, batch, event, flips, refused, before)
            else:
                self._record_outside(row, batch, event, flips)
        if flips or activated is not None or before:
            occasion = (
                ("event", together[0].message_id, time) if together else ("profile", None, time)
            )
            self._settle(row, flips, activated, occasion, changes, before)

    def _activate(self, row: Row, workspace: str, time: int) -> Space | None:
        """The first activity in a workspace; None where the profile has ended there already."""
        lifetime = self._lifetimes[workspace]
        if lifetime is not None:
            end = time + lifetime + 1
            if end <= row.clock:
                # So late that the profile it would start had ended before the clock: it is never a
                # member.
                return None
            row.due = min(row.due, end)
        row.warm()
        space = row.spaces[workspace] = Space(time, time, {})
        for leaf in self._seen.get(workspace, ()):
            row.due = min(row.due, leaf.next_due(row, row.clock))
        return space

    def _record(
        self,
        row: Row,
        batch: Batch,
        event: Event,
        flips: Flips,
        refused: list[int],
        before: Before | None,
    ) -> None:
        """Enter one event into the history of every criterion that it matches."""
        readings = self._readings[batch.input, event.kind, event.name, event.custom_event_type]
        leaves = readings.leaves
        need = ID_SIZE + SLOT_SIZE * len(leaves)
        is_plain = readings.is_plain and "location" not in event.data
        if not is_plain:
            need += need_of(readings, event, batch)
        # Once something of this batch was refused the weight is exact; a full row is not measured
        # for every event.
        if row.weight + need > self._most and (refused or not row.has_room(need, self._most)):
            refused.append(event.index)
            return
        if event.digest is not None:
            if not remember(row.event_ids, event.digest, batch.arrival):
                return
            row.weight += ID_SIZE
        time = event.occurred_at
        at = row.clock
        for leaf, where in leaves:
            if (
                (where is None or where(event, batch))
                and leaf.record(row, time, at)
                # Two events of one instant may flip a criterion and flip it back.
                and flips.pop(leaf, None) is None
            ):
                flips[leaf] = ("event", event.message_id, time)
        if not is_plain:
            row.warm()
            workspace = self._workspace_of[batch.input]
            occasion = ("event", event.message_id, time)
            touch = Touch(row, workspace, row.spaces[workspace], occasion, flips, before)
            record_more(self.plan, touch, readings, batch, event)

    def _record_outside(self, row: Row, batch: Batch, event: Event, flips: Flips) -> None:
        """An event of a workspace in which the profile has ended: it is seen, and enters no
        history. An opt-out is the account's, so it counts as long as the profile lives anywhere.
        """
        if not row.spaces:
            return
        if event.digest is not None:
            if not row.has_room(ID_SIZE, self._most) or not remember(
                row.event_ids, event.digest, batch.arrival
            ):
                return
            row.weight += ID_SIZE
        if event.kind == OPT_OUT:
            row.warm()
            opt_out(self.plan, row, event, flips)

    # Passing time

    def _advance(self, row: Row, until: int, changes: list[Change]) -> None:
        while row.due <= until:
            self._fire(row, row.due, changes)

    def _fire(self, row: Row, at: int, changes: list[Change]) -> None:
        """One due instant: every criterion that flips at it, and the end of the profile, in one
        evaluation.
        """
        if not row.spaces:
            row.clear()
            return
        occasion = ("time", None, at)
        flips: Flips = {}
        for leaf in self._time.timed_leaves(row):
            if leaf.holds(row, at - 1) != leaf.holds(row, at):
                flips[leaf] = occasion
        ended = [
            workspace
            for workspace, space in row.spaces.items()
            if self._time.end_of(workspace, space) <= at
        ]
        before: Before | None = None
        if self._forwarding is not None:
            before = {}
            self._forwarding.note_time(before, row, at)
        if (flips or ended or before) and at > row.clock:
            row.clock = at
            row.ordinal = 0 if at != row.emitted_at else row.emitted
        if ended:
            why = Why(flips, ended, ("profile_expiry", None, row.clock))
            end(self.plan, row, why, changes, before)
        elif flips or before:
            self._settle(row, flips, None, occasion, changes, before)
        self._time.prune(row, at)
        row.due = self._time.next_due(row, at)

    # Audiences

    def _settle(
        self,
        row: Row,
        flips: Flips,
        activated: str | None,
        occasion: Occasion,
        changes: list[Change],
        before: Before | None,
    ) -> None:
        """Re-evaluate the audiences that the flips, or a first activity, can change, and write the
        messages of outputs.
        """
        places: set[int] = set()
        for leaf in flips:
            places.update(leaf.audiences)
        if activated is not None:
            places.update(self.plan.activations[activated])
        start = len(changes)
        if places:
            settle(self.plan, row, places, Why(flips, [], occasion), changes)
        if self._forwarding is not None:
            self._forwarding.forward(row, before, changes, start)
