"""Audiences after something has flipped: which memberships that changes, and why each did.

Audiences are evaluated in the order of `plan.audiences`, so that one that refers to another finds
its new membership in the row. One evaluation emits the deletes, then the adds, each in the order of
the definition files.

Source: docs/semantics.md, instants; docs/memberships.md, cause.
"""

from __future__ import annotations

from typing import NamedTuple

from cdp_stream.core.criteria.membership import Membership
from cdp_stream.core.engine.flips import Flips
from cdp_stream.core.model.ab_test import variant_of
from cdp_stream.core.model.change import ADD, DELETE, Cause, Change, Occasion
from cdp_stream.core.model.definition import AbTest
from cdp_stream.core.model.row import SLOT_SIZE, Row, size_of
from cdp_stream.core.plan.plan import ACTIVITY_TEXT, Plan, PlannedAudience


class Why(NamedTuple):
    """What made an evaluation necessary.

    Attributes:
        flips: the leaves that flipped.
        ended: the workspaces in which the profile ended at this instant.
        occasion: what happened, for audiences none of whose own leaves flipped.
    """

    flips: Flips
    ended: list[str]
    occasion: Occasion


def settle(plan: Plan, row: Row, places: set[int], why: Why, changes: list[Change]) -> None:
    """Evaluate audiences at the row's clock and emit what changed: deletes, then adds.

    Args:
        places: places in `plan.audiences` of those that may have changed.
        changes: appended to, in the order of the definition files within each action.
    """
    at = row.clock
    members = row.members
    audiences = plan.audiences
    opted_out = plan.opted_out.holds(row, at)
    causes: dict[str, Cause] = {}
    deletes: list[PlannedAudience] = []
    adds: list[PlannedAudience] = []
    for place in sorted(places):
        audience = audiences[place]
        holds = not opted_out and audience.expression.holds(row, at)
        if holds == (audience.id in members):
            continue
        row.warm()
        if holds:
            members[audience.id] = at
            row.weight += len(audience.id) + SLOT_SIZE
            adds.append(audience)
        else:
            del members[audience.id]
            deletes.append(audience)
        causes[audience.id] = _cause(plan, audience, why, causes)
    if causes:
        identities = tuple(sorted(row.identities.items()))
        for action, changed in ((DELETE, deletes), (ADD, adds)):
            for audience in sorted(changed, key=_order):
                variant = None
                if audience.ab_test is not None:
                    variant = _assigned(row, audience, audience.ab_test, action)
                if audience.emits:
                    changes.append(
                        Change(
                            action,
                            audience.id,
                            audience.name if variant is None else f"{audience.name} - {variant}",
                            row.mpid,
                            at,
                            row.ordinal,
                            variant,
                            causes[audience.id],
                            audience.digest,
                            identities,
                        )
                    )
                    row.ordinal += 1


def _assigned(row: Row, audience: PlannedAudience, test: AbTest, action: str) -> str:
    """The variant of a change; that of a delete is the one of the add, even where the test has
    changed since.
    """
    if action == DELETE:
        return row.variants.pop(audience.id, None) or variant_of(test, row.mpid)
    variant = row.variants[audience.id] = variant_of(test, row.mpid)
    row.weight += size_of(audience.id) + size_of(variant)
    return variant


def _order(audience: PlannedAudience) -> int:
    return audience.order


def _cause(plan: Plan, audience: PlannedAudience, why: Why, causes: dict[str, Cause]) -> Cause:
    """Why an audience changed: an opt-out; its first leaf, as written, that flipped; else the
    profile's first activity or its end.
    """
    if plan.opted_out in why.flips:
        kind, event_id, event_time = why.flips[plan.opted_out]
        return Cause(kind, None, event_id, event_time)
    if not why.ended or not any(ended in audience.workspaces for ended in why.ended):
        for leaf, text in audience.leaves:
            if leaf in why.flips:
                kind, event_id, event_time = why.flips[leaf]
                return Cause(kind, text, event_id, event_time)
            if isinstance(leaf, Membership) and leaf.audience_id in causes:
                return causes[leaf.audience_id]
    kind, event_id, event_time = why.occasion
    return Cause(kind, None if why.ended else ACTIVITY_TEXT, event_id, event_time)
