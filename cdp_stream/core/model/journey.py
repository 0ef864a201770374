"""A journey's milestones as audiences: siblings are mutually exclusive splits, tried in order.

Source: docs/semantics.md, journeys.
"""

from __future__ import annotations

from collections.abc import Iterator

from cdp_stream.core.model.criterion import All, AnyOf, Expression, MemberOf, Not
from cdp_stream.core.model.definition import Audience, Milestone


def audiences_of(
    journey_id: str, workspaces: tuple[str, ...], milestones: tuple[Milestone, ...]
) -> Iterator[Audience]:
    """The milestones as audiences `journey-id/milestone-id`, depth first, each with its place in
    its expression.

    member(milestone) = member(parent) and its criteria and not member of any sibling to its left;
    the remaining-users split has no criteria.
    """
    yield from _siblings(journey_id, workspaces, milestones, None)


def _siblings(
    journey_id: str,
    workspaces: tuple[str, ...],
    milestones: tuple[Milestone, ...],
    parent: str | None,
) -> Iterator[Audience]:
    left: list[Expression] = []
    for milestone in milestones:
        audience_id = f"{journey_id}/{milestone.id}"
        parts: list[Expression] = []
        if parent is not None:
            parts.append(_member_of(parent))
        if milestone.expression is not None:
            parts.append(milestone.expression)
        if left:
            parts.append(Not(AnyOf(tuple(left))))
        yield Audience(
            audience_id,
            milestone.name,
            workspaces,
            All(tuple(parts)),
            emits=True,
            digest=milestone.digest,
            ab_test=milestone.ab_test,
        )
        yield from _siblings(journey_id, workspaces, milestone.then, audience_id)
        left.append(_member_of(audience_id))


def _member_of(audience_id: str) -> MemberOf:
    return MemberOf(audience_id, text=f"audience: {audience_id}", path="")
