"""Criteria whose state grows with a profile's traffic, where others keep a few times or a number.

Source: docs/problems.md, unbounded-state.
"""

from __future__ import annotations

from typing import Final, assert_never

from cdp_stream.core.model.criterion import (
    CalculatedAttribute,
    CalculatedCriterion,
    Calculation,
    CartCriterion,
    Criterion,
    DistanceCriterion,
    EventCriterion,
    MemberOf,
    ProfileCriterion,
    SequenceCriterion,
)

_DISTINCT_VALUES: Final = frozenset(
    {Calculation.MOST_FREQUENT, Calculation.UNIQUE_VALUES_COUNT, Calculation.UNIQUE_LIST}
)
_NEWEST_ALONE: Final = frozenset(
    {Calculation.LAST_OCCURRENCE, Calculation.LAST_OCCURRENCE_TIMESTAMP}
)


def unbounded_state(criterion: Criterion) -> str | None:
    """What of a profile is kept without bound for a criterion; None where that is bounded."""
    match criterion:
        case EventCriterion(reaches):
            waits = any((reach.window.newest or 0) > 0 for reach in reaches)
            return "the time of every event up to its older bound" if waits else None
        case SequenceCriterion():
            return "the time of every event that could be one of its steps"
        case CartCriterion():
            return "the time and quantity of every product added and removed"
        case CalculatedCriterion(attribute):
            return _of_calculation(attribute)
        case ProfileCriterion() | DistanceCriterion() | MemberOf():
            return None
        case _:
            assert_never(criterion)


def _of_calculation(attribute: CalculatedAttribute) -> str | None:
    if attribute.calculation in _DISTINCT_VALUES:
        return f"every distinct value of `{attribute.id}`"
    if attribute.window.oldest is None or attribute.calculation in _NEWEST_ALONE:
        return None
    return f"an entry for every event that `{attribute.id}` is made of, until it leaves the window"
