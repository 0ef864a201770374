"""Audiences after something has flipped: which memberships that changes, and why each did.

Audiences are evaluated in the order of `plan.audiences`, so that one that refers to another finds
its new membership in the row. One evaluation emits the deletes, then the adds, each in the order of
the definition files.

Source: docs/semantics.md, instants; docs/memberships.md, cause.
"""

from __future__ import annotations

from typing import NamedTuple

from cdp_stream.core.change import ADD, DELETE, Cause, Change
from cdp_stream.core.criteria.leaf import Leaf
from cdp_stream.core.criteria.membership import Membership
from cdp_stream.core.plan import ACTIVITY_TEXT, Plan, PlannedAudience
from cdp_stream.core.row import SLOT_SIZE, Row

Occasion = tuple[str, str | None, int | None]
"""Why a leaf flipped: the kind of a cause, its event id and event time."""

Flips = dict[Leaf, Occasion]


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
        causes[audience.id] = _cause(audience, why, causes)
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


def _cause(audience: PlannedAudience, why: Why, causes: dict[str, Cause]) -> Cause:
    """Why an audience changed: its first leaf, as written, that flipped; else the profile's first
    activity or its end.
    """
    if audience.workspace not in why.ended:
        for leaf, text in audience.leaves:
            if leaf in why.flips:
                kind, event_id, event_time = why.flips[leaf]
                return Cause(kind, text, event_id, event_time)
            if isinstance(leaf, Membership) and leaf.audience_id in causes:
                return causes[leaf.audience_id]
    kind, event_id, event_time = why.occasion
    return Cause(kind, None if why.ended else ACTIVITY_TEXT, event_id, event_time)
