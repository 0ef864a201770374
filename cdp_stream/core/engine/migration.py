"""Migrates rows from one version of the definitions to another.

A partition counts its definitions in epochs, and each row has the one in which it was settled last.
A row of an earlier epoch is migrated when it is next needed, or when its turn comes. Migration is a
function of the row, of the two definitions and of the partition's time at the switch; so it makes
the same of a row whenever, and however often, it is done.

A row is never more than one catalog away: the catalogs of the epochs that rows may still have are
kept, not their definitions.

Source: docs/semantics.md, changing definitions; docs/changing-definitions.md.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from cdp_stream.core.engine.evaluation import Engine
from cdp_stream.core.model.ab_test import variant_of
from cdp_stream.core.model.change import ADD, DELETE, Cause, Change
from cdp_stream.core.model.definition import Account
from cdp_stream.core.model.row import Row, measure
from cdp_stream.core.outputs.forwarding import Shift
from cdp_stream.core.outputs.messages import Route
from cdp_stream.core.plan.plan import InForce, Plan, PlannedAudience

_BY_DEFINITION: Final = Cause("definition", None, None, None)
_NOTHING: Final[Mapping[str, Any]] = {}


class Wired(NamedTuple):
    """What a change of definitions must know of a connection that was active before.

    Attributes:
        connector: that of the output.
        on_audience_delete: what is done when the audience is deleted, where the connection
            overrides its connector.
        settings: as JSON text.
        shared: the attributes that it shares, each its name and then where it is read.
    """

    id: str
    audience: str
    output: str
    connector: str
    variant: str | None
    on_audience_delete: str | None
    settings: str
    shared: tuple[tuple[str, ...], ...]

    def is_other(self, now: Wired) -> bool:
        """Whether the connection is no more to the same list of the same partner."""
        return (self.settings, self.connector) != (now.settings, now.connector)


@dataclass(frozen=True, slots=True)
class Catalog:
    """What definitions leave behind for the next ones to be compared with.

    Attributes:
        audiences: by id, in the order of the definition files; drafts too.
        lifetimes: of each workspace, ms; None is unlimited.
        slots: the slots whose history is complete.
        connections: the active ones, by id.
    """

    audiences: Mapping[str, InForce] = field(default_factory=dict)
    lifetimes: Mapping[str, int | None] = field(default_factory=dict)
    slots: frozenset[str] = frozenset()
    connections: Mapping[str, Wired] = field(default_factory=dict)


def catalog_of(plan: Plan) -> Catalog:
    """The catalog of a plan that is in force."""
    return Catalog(
        {audience.id: _in_force(audience) for audience in sorted(plan.audiences, key=_order)},
        {workspace.id: workspace.lifetime_ms for workspace in plan.workspaces.values()},
        frozenset(plan.memories),
        _wires(plan),
    )


@dataclass(frozen=True, slots=True)
class Transition:
    """From one catalog to the plan in force.

    Attributes:
        before: the catalog under which rows were settled.
        at: the partition's time at the switch, epoch ms: up to it due instants are silent.
        time: the instant at which changes are emitted, epoch ms, unless a profile's clock is later.
        epoch: that of the plan.
        places: places in `plan.audiences` of those whose members are worked out anew.
        is_felt: whether any row may have to change.
        removed: places in the order of emission of audiences that are no longer defined, by id.
        started: ids of the connections that were not active before, or were to another list.
        reshared: ids of those that shared other attributes.
    """

    before: Catalog
    at: int
    time: int
    epoch: int
    places: tuple[int, ...]
    is_felt: bool
    removed: Mapping[str, int] = field(default_factory=dict)
    started: frozenset[str] = frozenset()
    reshared: frozenset[str] = frozenset()


def transition(
    before: Catalog, plan: Plan, after: Catalog, *, at: int = 0, time: int = 0, epoch: int = 0
) -> Transition:
    """What a plan, of which `after` is the catalog, changes of what was in force."""
    places = tuple(
        place
        for place, audience in enumerate(plan.audiences)
        # A frozen audience has no meaning: it stays as it is, and is worked out anew afterwards.
        if audience.meaning
        and (
            audience.id not in before.audiences
            or before.audiences[audience.id].meaning != audience.meaning
        )
    )
    started, reshared = _connected(before, after)
    is_felt = bool(
        places
        or started
        or reshared
        or after.slots - before.slots
        or dict(before.lifetimes) != dict(after.lifetimes)
        or {entry.id: _emission_of(entry) for entry in before.audiences.values()}
        != {entry.id: _emission_of(entry) for entry in after.audiences.values()}
    )
    removed = {
        name: order for order, name in enumerate(before.audiences) if name not in plan.places
    }
    return Transition(before, at, time, epoch, places, is_felt, removed, started, reshared)


def _connected(before: Catalog, after: Catalog) -> tuple[frozenset[str], frozenset[str]]:
    """The connections that have started, and those that share other attributes."""
    started: set[str] = set()
    reshared: set[str] = set()
    for wired in after.connections.values():
        known = before.connections.get(wired.id)
        if known is None or known.is_other(wired):
            started.add(wired.id)
        elif known.shared != wired.shared:
            reshared.add(wired.id)
    return frozenset(started), frozenset(reshared)


def ended_connections(before: Catalog, accounts: Sequence[Account]) -> list[tuple[Wired, InForce]]:
    """The connections whose audience, or variant of it, later definitions had no more, each with
    the audience as it was; not those of outputs that were removed or now use
    another connector.

    Args:
        accounts: what was defined since, one after another; the last is what is in force. One in
            between may have deleted an audience that the last has again.
    """
    connectors = {output.id: output.connector for output in accounts[-1].outputs}
    still = [_variants_of(account) for account in accounts]
    found: list[tuple[Wired, InForce]] = []
    for wired in before.connections.values():
        was = before.audiences.get(wired.audience)
        is_removed = any((wired.audience, wired.variant) not in there for there in still)
        if is_removed and was is not None and connectors.get(wired.output) == wired.connector:
            found.append((wired, was))
    return found


def _variants_of(account: Account) -> set[tuple[str, str | None]]:
    """Every audience, and every variant of those that are tested."""
    found: set[tuple[str, str | None]] = set()
    for audience in account.audiences:
        tested = () if audience.ab_test is None else audience.ab_test.variants
        found |= {(audience.id, None), *((audience.id, variant.name) for variant in tested)}
    return found


def without_connections(catalog: Catalog, ended: Collection[str]) -> Catalog:
    """A catalog as if these connections had got no message."""
    left = {name: one for name, one in catalog.connections.items() if name not in ended}
    return replace(catalog, connections=left)


def migrate(
    engine: Engine,
    row: Row,
    shift: Transition,
    changes: list[Change],
    history: Mapping[str, Any] = _NOTHING,
) -> None:
    """Settle a row of an earlier epoch under the plan in force, and emit the difference between
    what was emitted of it before and what holds now.

    Args:
        row: changed in place; without spaces afterwards when the profile has ended meanwhile.
        changes: appended to: deletes, then adds, each in the order of the definition files, those
            that are not defined any more before the rest.
        history: state of slots that was worked out from the event log.
    """
    plan = engine.plan
    row.epoch = shift.epoch
    if not row.spaces:
        return
    audiences = shift.before.audiences
    before = {
        name: row.variants.get(name)
        for name in row.members
        if name in audiences and audiences[name].emits
    }
    identities = tuple(sorted(row.identities.items()))
    clock, ordinal = row.clock, row.ordinal
    changed = _migrate_slots(plan, row, shift.before.slots, history)
    changed |= _migrate_members(plan, row, shift.places)
    engine.catch_up(row, shift.at)
    changed |= _migrate_variants(plan, row)
    row.ordinal = (
        ordinal if row.clock == clock else row.emitted if row.clock == row.emitted_at else 0
    )
    now = {name: row.variants.get(name) for name in row.members if _planned(plan, name).emits}
    start = len(changes)
    if now != before:
        _emit_difference(plan, row, shift, (before, now), identities, changes)
    if plan.forwarding is not None:
        at, read_at = max(row.clock, shift.time), max(row.clock, shift.at)
        connections = Shift(at, read_at, shift.started, shift.reshared)
        plan.forwarding.switch(row, connections, changes, start)
    if changed or row.clock != clock:
        row.warm()
        row.weight = measure(row)


def _migrate_slots(plan: Plan, row: Row, kept: frozenset[str], history: Mapping[str, Any]) -> bool:
    """Drop slots whose history has a gap, and set those that were read again."""
    dropped = [slot for slot in row.slots if slot not in plan.memories or slot not in kept]
    for slot in dropped:
        del row.slots[slot]
    restored = False
    for slot, state in history.items():
        memory = plan.memories.get(slot)
        if memory is not None and memory.workspace in row.spaces:
            row.slots[slot] = state
            restored = True
    return bool(dropped) or restored


def _migrate_members(plan: Plan, row: Row, places: tuple[int, ...]) -> bool:
    """Set the memberships that hold at the row's clock; emits nothing."""
    members, at = row.members, row.clock
    before = set(members)
    for name in [name for name in members if name not in plan.places]:
        del members[name]
    opted_out = plan.opted_out.holds(row, at)
    for place in places:
        audience = plan.audiences[place]
        if not opted_out and audience.expression.holds(row, at):
            members.setdefault(audience.id, at)
        else:
            members.pop(audience.id, None)
    return before != set(members)


def _migrate_variants(plan: Plan, row: Row) -> bool:
    """Give each membership the variant of the test in force; a frozen one keeps its own."""
    before = dict(row.variants)
    for name in [name for name in row.variants if name not in row.members]:
        del row.variants[name]
    for name in row.members:
        audience = _planned(plan, name)
        if audience.ab_test is None:
            row.variants.pop(name, None)
        elif audience.meaning or name not in row.variants:
            row.variants[name] = variant_of(audience.ab_test, row.mpid)
    return before != row.variants


def _emit_difference(
    plan: Plan,
    row: Row,
    shift: Transition,
    before_and_now: tuple[Mapping[str, str | None], Mapping[str, str | None]],
    identities: tuple[tuple[str, str], ...],
    changes: list[Change],
) -> None:
    before, now = before_and_now
    at = max(row.clock, shift.time)
    ordinal = row.ordinal_at(at)
    for action, some, others in ((DELETE, before, now), (ADD, now, before)):
        names = {name for name, variant in some.items() if others.get(name, ...) != variant}
        for entry in _in_order(plan, shift, names):
            variant = some[entry.id]
            name = entry.name if variant is None else f"{entry.name} - {variant}"
            changes.append(
                Change(
                    action, entry.id, name, row.mpid, at, ordinal, variant,
                    _BY_DEFINITION, entry.digest, identities,
                )
            )  # fmt: skip
            ordinal += 1
    if at == row.clock:
        row.ordinal = ordinal
    else:
        row.emitted_at, row.emitted = at, ordinal
        row.warm()


def narrowed(catalog: Catalog, newest: Catalog) -> Catalog:
    """A catalog that rows may still have, once other definitions kept only their own slots up, and
    served only their own connections.
    """
    active = newest.connections
    connections = {
        name: one
        for name, one in catalog.connections.items()
        if name in active and not one.is_other(active[name])
    }
    return replace(catalog, slots=catalog.slots & newest.slots, connections=connections)


def _in_order(plan: Plan, shift: Transition, names: set[str]) -> Iterator[InForce]:
    removed = sorted(
        (name for name in names if name in shift.removed), key=shift.removed.__getitem__
    )
    yield from (shift.before.audiences[name] for name in removed)
    defined = [_planned(plan, name) for name in names if name in plan.places]
    yield from map(_in_force, sorted(defined, key=_order))


def _planned(plan: Plan, name: str) -> PlannedAudience:
    return plan.audiences[plan.places[name]]


def _in_force(audience: PlannedAudience) -> InForce:
    return InForce(
        audience.id,
        audience.name,
        audience.workspaces,
        audience.emits,
        audience.digest,
        audience.meaning,
        audience.ab_test,
    )


def _wires(plan: Plan) -> dict[str, Wired]:
    if plan.forwarding is None:
        return {}
    connectors = {output.id: output.connector for output in plan.account.outputs}
    return {
        route.connection.id: _wired(route, connectors.get(route.connection.output, ""))
        for routes in plan.forwarding.routes.values()
        for route in routes
    }


def _wired(route: Route, connector: str) -> Wired:
    connection = route.connection
    return Wired(
        connection.id,
        connection.audience,
        connection.output,
        connector,
        connection.variant,
        connection.on_audience_delete,
        json.dumps(connection.settings, sort_keys=True),
        tuple((name, *shared.read_in) for name, shared in route.shared),
    )


def _order(audience: PlannedAudience) -> int:
    return audience.order


def _emission_of(entry: InForce) -> tuple[Any, ...]:
    return entry.emits, entry.ab_test
