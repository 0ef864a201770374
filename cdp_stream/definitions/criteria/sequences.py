"""Reads `sequence: [{event: A}, {event: B}]` with `within: 2h`.

Source: docs/definitions.md, criteria.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cdp_stream.core.model.criterion import Expression, SequenceCriterion, Step
from cdp_stream.core.model.subject import SUBJECTS, WORKSPACE_WIDE, Subject
from cdp_stream.definitions.account.subjects import read_subject, subject_text
from cdp_stream.definitions.criteria.conditions import read_where
from cdp_stream.definitions.criteria.criterion_keys import WHERE, WITHIN, takes_only
from cdp_stream.definitions.criteria.event_parts import (
    Named,
    are_read,
    read_required_duration,
    read_window,
)
from cdp_stream.definitions.criteria.scope import Place, reaches_of
from cdp_stream.definitions.criteria.written import Written, read_places
from cdp_stream.definitions.source.nodes import Mapping, Node, Sequence, shown
from cdp_stream.definitions.source.problems import Problems

FEWEST_STEPS: Final = 2


def read_sequence(criterion: Written) -> Expression | None:
    """Events that follow each other."""
    problems = criterion.problems
    before = len(problems.found)
    takes_only(criterion)
    read = _read_steps(criterion.value, criterion.at(), problems)
    top = f"{criterion.scope.prefix}{criterion.path}"
    within_ms = read_required_duration(criterion.node, WITHIN, top, problems)
    places = _read_places(criterion, [step.subject for step, _ in read])
    window = read_window(criterion, places)
    if len(problems.found) > before or within_ms is None or window is None or not places:
        return None
    names = [name for _, name in read]
    if not are_read(criterion, places, names):
        return None
    return SequenceCriterion(
        reaches_of(places, window),
        tuple(step for step, _ in read),
        within_ms,
        f"{criterion.head}: {' > '.join(name.text for name in names)}",
        criterion.path,
    )


def _read_places(criterion: Written, subjects: list[Subject]) -> tuple[Place, ...] | None:
    """Where a sequence reads: of workspaces without an input of its own, workspace-wide steps
    alone.
    """
    wide = [subject.kind in WORKSPACE_WIDE for subject in subjects]
    if subjects and all(wide):
        return read_places(criterion, every_input=True)
    places = read_places(criterion)
    if places is None or not any(wide):
        return places
    own = {place.workspace.id: place for place in places}
    return tuple(
        own.get(place.workspace.id, replace(place, inputs=frozenset()))
        for place in read_places(criterion, every_input=True) or ()
    )


def _read_steps(node: Node, path: str, problems: Problems) -> list[tuple[Step, Named]]:
    """The steps that are right."""
    if not isinstance(node, Sequence):
        advice = "as `sequence: [{event: A}, {event: B}]`"
        problems.wrong_type(node, path, "a list of steps", advice)
        return []
    if len(node.items) < FEWEST_STEPS:
        message = f"a sequence has at least two steps, found {len(node.items)}"
        advice = "name the events that follow each other; one event is a criterion by itself"
        problems.error("short-sequence", node.mark, path, message, advice)
    steps = [
        _read_step(item, f"{path}[{index}]", problems) for index, item in enumerate(node.items)
    ]
    return [step for step in steps if step is not None]


def _read_step(node: Node, path: str, problems: Problems) -> tuple[Step, Named] | None:
    """A step, and its subject where it is written."""
    if not isinstance(node, Mapping):
        problems.wrong_type(node, path, "a mapping", "as `{event: A}`")
        return None
    kinds = [key for key in node.entries if key in SUBJECTS]
    fine = len(kinds) == 1
    for key, entry in node.entries.items():
        if key in SUBJECTS or key == WHERE:
            continue
        fine = False
        advice = (
            problems.word_for(key, (*SUBJECTS, WHERE)) or "a step has an event subject and `where`"
        )
        at, message = f"{path}.{shown(key)}", f"a step does not accept `{shown(key)}`"
        problems.error("misplaced-key", entry.key.mark, at, message, advice)
    if len(kinds) > 1:
        message = f"a step has one subject, not {' and '.join(f'`{kind}`' for kind in kinds)}"
        at = f"{path}.{kinds[1]}"
        problems.error(
            "many-subjects", node.mark_of(kinds[1]), at, message, "write a step for each"
        )
    elif not kinds and set(node.entries) <= {WHERE}:
        advice = "add a subject, as `event: A`"
        problems.error("missing-subject", node.mark, path, "the step names no event", advice)
    where = node.get(WHERE)
    conditions = () if where is None else read_where(where, f"{path}.{WHERE}", problems)
    subjects = [
        read_subject(kind, node.entries[kind].value, f"{path}.{kind}", problems) for kind in kinds
    ]
    if not fine or subjects[0] is None:
        return None
    text = subject_text(kinds[0], node.entries[kinds[0]].value)
    name = Named(subjects[0], text, node.mark_of(kinds[0]), f"{path}.{kinds[0]}")
    return Step(subjects[0], conditions), name
