"""Which events a criterion reads, and which tiers bear on them.

What a criterion has counted stays right as long as it would read the same events. So its identity,
by which its state is kept, has the tiers in it that touch its events; where every event is
personalize, as nearly everywhere, it has nothing in it.

Source: docs/semantics.md, scope; docs/changing-definitions.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cdp_stream.core.model.criterion import (
    CalculatedAttribute,
    CalculatedCriterion,
    CartCriterion,
    Criterion,
    EventCriterion,
    SequenceCriterion,
)
from cdp_stream.core.model.definition import Tier, Workspace
from cdp_stream.core.model.meaning import meaning_text, slot_of
from cdp_stream.core.model.subject import COMMERCE, WORKSPACE_WIDE, Subject

_Scope = tuple[str, frozenset[str] | None, tuple[Subject, ...]]
"""A workspace, the inputs read of it (None: all), and the subjects read."""

_CART = (Subject(COMMERCE),)


def identity_of(
    definition: Criterion | CalculatedAttribute, workspaces: Mapping[str, Workspace]
) -> str:
    """Canonical text of what a criterion or calculated attribute means, and of which events it
    reads: equal ones share their state.
    """
    tiers = [
        tier
        for workspace, inputs, subjects in _scopes_of(definition)
        for tier in _tiers_on(workspaces[workspace], inputs, subjects)
    ]
    text = meaning_text(definition)
    return f"{text}|{meaning_text(tuple(tiers))}" if tiers else text


def slots_of(
    criterion: Criterion, workspaces: Mapping[str, Workspace], identity: str | None = None
) -> tuple[str, ...]:
    """The slots in which a criterion keeps what it has seen of events; none for one that tests the
    profile, or that refers to an audience.

    Args:
        identity: that of the criterion, where it is known.
    """
    match criterion:
        case CalculatedCriterion():
            return (slot_of(identity_of(criterion.attribute, workspaces)),)
        case EventCriterion() if len(criterion.reaches) == 1:
            return (slot_of(identity or identity_of(criterion, workspaces)),)
        case EventCriterion() | CartCriterion() | SequenceCriterion():
            identity = identity or identity_of(criterion, workspaces)
            return tuple(slot_of(identity, reach.workspace) for reach in criterion.reaches)
        case _:
            return ()


def _scopes_of(definition: Criterion | CalculatedAttribute) -> list[_Scope]:
    match definition:
        case CalculatedCriterion():
            return _scopes_of(definition.attribute)
        case CalculatedAttribute():
            return [(definition.workspace, None, (definition.subject,))]
        case EventCriterion():
            subjects: tuple[Subject, ...] = (definition.subject,)
        case CartCriterion():
            subjects = _CART
        case SequenceCriterion():
            subjects = tuple(step.subject for step in definition.steps)
            wide = tuple(one for one in subjects if one.kind in WORKSPACE_WIDE)
            if wide:
                narrow = tuple(one for one in subjects if one not in wide)
                return [
                    (reach.workspace, reach.inputs, some)
                    for some in (narrow, wide)
                    if some
                    for reach in definition.reaches_of(some[0])
                ]
        case _:
            return []
    return [(reach.workspace, reach.inputs, subjects) for reach in definition.reaches]


def _tiers_on(
    workspace: Workspace, inputs: frozenset[str] | None, subjects: Iterable[Subject]
) -> list[Any]:
    """The tiers that differ from the usual of the inputs and events that are read."""
    found: list[Any] = [
        (source.id, source.tier)
        for source in workspace.inputs
        if source.tier is not Tier.PERSONALIZE and (inputs is None or source.id in inputs)
    ]
    subjects = tuple(subjects)
    found += [
        entry
        for entry in workspace.event_tiers
        if (entry.input is None or inputs is None or entry.input in inputs)
        and any(entry.subject.overlaps(subject) for subject in subjects)
    ]
    return found
