"""Reads criteria that count events.

Source: docs/definitions.md, criteria.
"""

from __future__ import annotations

from cdp_stream.core.model.criterion import EventCriterion, Expression, Not
from cdp_stream.core.model.subject import WORKSPACE_WIDE
from cdp_stream.definitions.account.subjects import read_subject, subject_text
from cdp_stream.definitions.criteria.counts import DEFAULT_COUNT, read_count
from cdp_stream.definitions.criteria.criterion_keys import COUNT, takes_only
from cdp_stream.definitions.criteria.event_parts import (
    Named,
    are_read,
    read_conditions,
    read_window,
)
from cdp_stream.definitions.criteria.scope import reaches_of
from cdp_stream.definitions.criteria.written import Written, read_places


def read_event(criterion: Written) -> Expression | None:
    """So many events of a subject in a window."""
    problems, node, kind = criterion.problems, criterion.node, criterion.head
    before = len(problems.found)
    takes_only(criterion)
    subject = read_subject(kind, criterion.value, criterion.at(), problems)
    conditions = read_conditions(criterion)
    written = node.get(COUNT)
    count = DEFAULT_COUNT if written is None else read_count(written, criterion.at(COUNT), problems)
    places = read_places(criterion, every_input=kind in WORKSPACE_WIDE)
    window = read_window(criterion, places)
    if len(problems.found) > before or subject is None or count is None or window is None:
        return None
    text = subject_text(kind, criterion.value)
    name = Named(subject, text, criterion.mark, criterion.at())
    if not places or not are_read(criterion, places, [name]):
        return None
    reaches = reaches_of(places, window)
    minimum, maximum = count
    if minimum == 0 and maximum is not None:
        # "at most n" is "not at least n + 1": written so, the two share their state.
        more = EventCriterion(reaches, subject, conditions, maximum + 1, None, text, criterion.path)
        return Not(more, criterion.path)
    return EventCriterion(reaches, subject, conditions, minimum, maximum, text, criterion.path)
