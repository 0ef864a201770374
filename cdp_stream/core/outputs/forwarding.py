"""Which messages outputs receive about a profile: its changes, and, while it is a member, every
change of its identities and shared attributes.

This is decided where a change is made, because a connection shares what holds at that very instant.
The messages of one evaluation are, in this order: removed identities, deletes and adds as
they were emitted, identities that are new, shared attributes that changed; each in the order of the
definition files.

Source: docs/outputs.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from cdp_stream.core.model.change import ADD, DELETE, Cause, Change, Occasion
from cdp_stream.core.model.event import ProfilePart
from cdp_stream.core.model.operators import MISSING
from cdp_stream.core.model.row import Row
from cdp_stream.core.outputs.messages import Emission, Identity, MessageWriter, Route
from cdp_stream.core.outputs.shared_attributes import (
    Before,
    Shared,
    SharedAttribute,
    SharedCalculation,
    is_same,
)

_BY_DEFINITION: Final = Cause("definition", None, None, None)


class Shift(NamedTuple):
    """What other definitions change for the connections.

    Attributes:
        at: the instant at which a row's changes are emitted, not before its clock.
        read_at: the instant up to which the row was evaluated.
        started: ids of the connections that were not active before, or were to another list.
        reshared: ids of those that shared other attributes.
    """

    at: int
    read_at: int
    started: frozenset[str]
    reshared: frozenset[str]


class Forwarding:
    """The active connections of a plan; built with it, only read afterwards.

    Attributes:
        routes: audience id -> its connections, in order.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        by_audience: dict[str, list[Route]] = {}
        for route in routes:
            by_audience.setdefault(route.audience_id, []).append(route)
        self.routes = {name: tuple(found) for name, found in by_audience.items()}
        self._attributes: dict[str, dict[str, dict[SharedAttribute, None]]] = {}
        self._calculations: dict[str, SharedCalculation] = {}
        calculating: dict[str, dict[SharedCalculation, None]] = {}
        for route in self._all():
            for _name, shared in route.shared:
                shared.audiences.add(route.audience_id)
                if isinstance(shared, SharedCalculation):
                    self._calculations[shared.memory.slot] = shared
                    calculating.setdefault(route.audience_id, {})[shared] = None
                else:
                    for workspace in shared.workspaces:
                        known = self._attributes.setdefault(workspace, {})
                        known.setdefault(shared.key, {})[shared] = None
        self._calculating = {name: tuple(found) for name, found in calculating.items()}

    # before something is written

    def note_identities(self, before: Before, row: Row, occasion: Occasion) -> None:
        """The profile's identities are about to be written."""
        if None not in before and not self.routes.keys().isdisjoint(row.members):
            before[None] = dict(row.identities), occasion

    def note_attributes(
        self, before: Before, row: Row, workspace: str, part: ProfilePart, occasion: Occasion
    ) -> None:
        """User attributes are about to be written in a workspace; most are what they were."""
        read = self._attributes.get(workspace)
        if read is None:
            return
        known = row.spaces[workspace].attributes
        for key, value in part.attributes.items():
            if key in read and not is_same(known.get(key, MISSING), value):
                self._note_attribute(before, row, read[key], occasion)
        for key in part.deleted:
            if key in read and key in known:
                self._note_attribute(before, row, read[key], occasion)

    def _note_attribute(
        self, before: Before, row: Row, found: Iterable[SharedAttribute], occasion: Occasion
    ) -> None:
        for shared in found:
            if shared not in before and not shared.audiences.isdisjoint(row.members):
                before[shared] = shared.value(row, row.clock), occasion

    def note_event(
        self, before: Before, row: Row, slot: str, occasion: Occasion
    ) -> SharedCalculation | None:
        """An event is about to enter the state of a slot; what of it a member's outputs know."""
        shared = self._calculations.get(slot)
        if shared is None or shared.audiences.isdisjoint(row.members):
            return None
        if shared not in before:
            before[shared] = shared.value(row, row.clock), occasion
        return shared

    def note_time(self, before: Before, row: Row, at: int) -> None:
        """Time has reached a due instant; the clock may be behind it."""
        for shared in self._calculations_of(row):
            old = shared.value(row, at - 1)
            if not is_same(old, shared.value(row, at)):
                before[shared] = old, ("time", None, at)

    def note_end(self, before: Before, row: Row, workspaces: list[str]) -> None:
        """The profile is about to end in some of its workspaces."""
        occasion = ("profile_expiry", None, row.clock)
        for route in self._routes_of(row.members):
            for _name, shared in route.shared:
                if shared not in before and any(map(shared.reads, workspaces)):
                    before[shared] = shared.value(row, row.clock), occasion

    def next_change(self, row: Row, after: int, due: int) -> int:
        """`due`, or the first instant later than `after` at which something shared can change."""
        for shared in self._calculations_of(row):
            due = min(due, shared.next_change(row, after))
        return due

    def _calculations_of(self, row: Row) -> Iterable[SharedCalculation]:
        """The calculated attributes of a profile that some connection shares."""
        calculating, members = self._calculating, row.members
        if not calculating or not members:
            return ()
        if len(members) < len(calculating):
            named = [name for name in members if name in calculating]
        else:
            named = [name for name in calculating if name in members]
        if len(named) == 1:
            return calculating[named[0]]
        return dict.fromkeys(shared for name in named for shared in calculating[name])

    # after an evaluation

    def forward(self, row: Row, before: Before | None, changes: list[Change], start: int) -> None:
        """Write the messages of one evaluation, at the row's clock.

        Args:
            before: what held before it; None where nothing was written.
            changes: what it emitted begins at `start`; messages are written where this is an
                `Emission`.
        """
        made = changes[start:]
        connected = [change for change in made if change.audience_id in self.routes]
        if not connected and not before:
            return
        emission = changes if isinstance(changes, Emission) else None
        writer = MessageWriter(row, emission, row.clock, row.clock)
        if not before:
            self._write_changes(writer, row, connected)
            return
        removed, fresh, cause = _identities(row, before)
        changed = _changed(row, before)
        if not removed and not fresh and not changed:
            self._write_changes(writer, row, connected)
            return
        joined = {change.audience_id for change in made if change.action == ADD}
        staying = list(self._staying(row, joined))
        if removed:
            left = list(self._leaving(connected))
            for route, variant in sorted((*staying, *left), key=_order):
                writer.identities(DELETE, route, variant, removed, cause)
        self._write_changes(writer, row, connected)
        for route, variant in staying if fresh else ():
            writer.identities(ADD, route, variant, fresh, cause)
        for route, variant in staying if changed else ():
            writer.update(route, variant, changed)

    def switch(self, row: Row, shift: Shift, changes: list[Change], start: int) -> None:
        """Write the messages about what other definitions make of a row that was evaluated by them.

        A connection that has become active gets every member; one that shares other attributes than
        before gets those.

        Args:
            changes: the changes of memberships begin at `start`.
        """
        made = changes[start:]
        connected = [change for change in made if change.audience_id in self.routes]
        emission = changes if isinstance(changes, Emission) else None
        writer = MessageWriter(row, emission, shift.at, shift.read_at)
        self._write_changes(writer, row, connected, shift.started)
        if not shift.started and not shift.reshared:
            return
        joined = {change.audience_id for change in made if change.action == ADD}
        # Members who stay after the end of an A/B test, for connections of the whole audience.
        for route, variant in self._staying(row, joined - _rejoined(made)):
            if route.connection.id in shift.started:
                writer.activation(route, variant, _BY_DEFINITION)
            elif route.connection.id in shift.reshared:
                writer.reshared(route, variant, _BY_DEFINITION)

    def _write_changes(
        self,
        writer: MessageWriter,
        row: Row,
        made: list[Change],
        started: frozenset[str] = frozenset(),
    ) -> None:
        """Changes of connected audiences; a connection that has only `started` has no member that
        could be deleted.
        """
        rejoined = _rejoined(made)
        for change in made:
            for route in self.routes[change.audience_id]:
                variant = route.connection.variant
                # An A/B test that ended is nothing to connections of the whole audience.
                if variant is None:
                    fits = change.audience_id not in rejoined
                else:
                    fits = variant == change.variant
                is_new = change.action == DELETE and route.connection.id in started
                if fits and not is_new:
                    writer.change(route, change)
            if change.action == ADD:
                for shared in self._calculating.get(change.audience_id, ()):
                    row.due = min(row.due, shared.next_change(row, row.clock))

    def _staying(self, row: Row, joined: set[str]) -> Iterator[tuple[Route, str | None]]:
        """The connections of the audiences that the profile was and is a member of."""
        routes = self._routes_of(row.members)
        for route in sorted(routes, key=lambda route: route.order):
            variant = row.variants.get(route.audience_id)
            if route.audience_id not in joined and route.connection.variant in (None, variant):
                yield route, variant

    def _leaving(self, made: Iterable[Change]) -> Iterator[tuple[Route, str | None]]:
        for change in made:
            if change.action == DELETE:
                for route in self.routes.get(change.audience_id, ()):
                    if route.connection.variant in (None, change.variant):
                        yield route, change.variant

    def _routes_of(self, members: dict[str, int]) -> Iterator[Route]:
        if len(members) < len(self.routes):
            named = [name for name in members if name in self.routes]
        else:
            named = [name for name in self.routes if name in members]
        for name in named:
            yield from (route for route in self.routes[name] if route.emits)

    def _all(self) -> Iterator[Route]:
        for routes in self.routes.values():
            yield from routes


def _rejoined(made: list[Change]) -> set[str]:
    """The audiences whose A/B test ended with the profile in them."""
    split = {
        change.audience_id
        for change in made
        if change.action == DELETE and change.variant is not None
    }
    return {
        change.audience_id
        for change in made
        if change.action == ADD and change.variant is None and change.audience_id in split
    }


def _identities(row: Row, before: Before) -> tuple[list[Identity], list[Identity], Cause]:
    """The removed identities, the new ones, and the cause."""
    new = row.identities
    old, (_kind, _event_id, time) = before.get(None, (new, ("profile", None, None)))
    removed = sorted(identity for identity in old.items() if new.get(identity[0]) != identity[1])
    fresh = sorted(identity for identity in new.items() if old.get(identity[0]) != identity[1])
    return removed, fresh, Cause("profile", None, None, time)


def _changed(row: Row, before: Before) -> dict[Shared, Occasion]:
    return {
        shared: occasion
        for shared, (old, occasion) in before.items()
        if shared is not None and not is_same(old, shared.value(row, row.clock))
    }


def _order(entry: tuple[Route, str | None]) -> int:
    return entry[0].order
