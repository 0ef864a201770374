"""Numbers of events as truths: what so many of some events imply for others.

Events of one kind are a set that grows with its window, its inputs and with fewer conditions; so
many of a smaller set are at least so many of a larger. A set is named by what can reach it: inputs
in which its events are never `personalize` are left out.

Source: docs/semantics.md, windows, counts and scope.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice, pairwise, product
from typing import Final

from cdp_stream.core.model.criterion import Condition, Reach
from cdp_stream.core.model.definition import Workspace
from cdp_stream.core.model.subject import ATTRIBUTION, EVENT, Subject
from cdp_stream.definitions.account.event_tiers import may_be_read
from cdp_stream.lint.circuit import FALSE, TRUE, Circuit
from cdp_stream.lint.conditions import Where, is_empty, where_implies, where_of
from cdp_stream.lint.values import window_within

MAX_COMPARED: Final = 1_000_000
"""So many pairs of event sets are compared; what lies beyond is not known of."""


@dataclass(frozen=True, slots=True)
class EventSet:
    """The events of a subject under conditions, within the reach; `Reach.inputs` are all named."""

    reaches: frozenset[Reach]
    subject: Subject
    where: Where

    @property
    def workspaces(self) -> list[str]:
        """Where its events come from."""
        return sorted({reach.workspace for reach in self.reaches})


class Events:
    """The sets in use, and how many of their events are asked for."""

    def __init__(self, circuit: Circuit, workspaces: tuple[Workspace, ...]) -> None:
        self._circuit = circuit
        self._workspaces = {workspace.id: workspace for workspace in workspaces}
        self._inputs = cache(self._inputs_read)
        self._counts: dict[EventSet, dict[int, int]] = {}

    def at_least(self, events: EventSet | None, count: int) -> int:
        """The literal of there being so many of the events; None: no event, ever."""
        if count <= 0:
            return TRUE
        if events is None:
            return FALSE
        counts = self._counts.setdefault(events, {})
        return counts.setdefault(count, self._circuit.atom((events, count)))

    def set_of(
        self, reaches: tuple[Reach, ...], subject: Subject, where: tuple[Condition, ...]
    ) -> EventSet | None:
        """The events that a criterion is about, None when there can be none."""
        conditions = where_of(subject.kind, where)
        if conditions is None:
            return None
        read = []
        for reach in reaches:
            inputs = self._inputs(reach.workspace, subject, reach.inputs)
            newest = reach.window.newest or 0
            window = replace(reach.window, newest=newest)
            if inputs and not is_empty(window):
                read.append(Reach(reach.workspace, window, inputs))
        return EventSet(frozenset(read), subject, conditions) if read else None

    def _inputs_read(
        self, workspace: str, subject: Subject, named: frozenset[str] | None
    ) -> frozenset[str]:
        known = self._workspaces[workspace]
        return frozenset(
            source.id
            for source in known.inputs
            if (named is None or source.id in named)
            and may_be_read(subject, [source], known.event_tiers)
        )

    def known(self) -> Iterator[tuple[EventSet, int]]:
        """Each set in use, with the literal of there being any of its events or fewer than are
        ever asked for.
        """
        for events, counts in self._counts.items():
            yield events, counts[min(counts)]

    # what is known

    def state_facts(self, active: Callable[[str], int]) -> None:
        """Note how the counts in use go together; `active` is the literal of a workspace."""
        for events, least in self.known():
            self._circuit.state(-least, *map(active, events.workspaces))
        for counts in self._counts.values():
            for fewer, more in pairwise(sorted(counts)):
                self._circuit.imply(counts[more], counts[fewer])
        for smaller, larger in islice(self._candidates(), MAX_COMPARED):
            if is_within(smaller, larger):
                self._state_within(self._counts[smaller], self._counts[larger])

    def _state_within(self, smaller: dict[int, int], larger: dict[int, int]) -> None:
        wanted = sorted(larger)
        for count, literal in smaller.items():
            place = bisect_right(wanted, count)
            if place:
                self._circuit.imply(literal, larger[wanted[place - 1]])

    def _candidates(self) -> Iterator[tuple[EventSet, EventSet]]:
        """Pairs of which the first may lie in the second: those whose subjects allow it."""
        by_subject: dict[Subject, list[EventSet]] = defaultdict(list)
        for events in self._counts:
            by_subject[events.subject].append(events)
        for subject, own in by_subject.items():
            for wider in wider_subjects(subject):
                for smaller, larger in product(own, by_subject.get(wider, ())):
                    if smaller is not larger:
                        yield smaller, larger


def wider_subjects(subject: Subject) -> set[Subject]:
    """The subjects whose events surely include all of this one's, itself too."""
    kinds = {(subject.kind, subject.custom_event_type)}
    if subject.kind == ATTRIBUTION:
        kinds |= {(EVENT, None), (EVENT, ATTRIBUTION)}
    if subject == Subject(EVENT, subject.name, ATTRIBUTION):
        kinds.add((ATTRIBUTION, None))
    kinds.add((subject.kind, None))
    return {Subject(kind, name, typed) for kind, typed in kinds for name in (subject.name, None)}


def is_within(smaller: EventSet, larger: EventSet) -> bool:
    """Whether the one set's events surely are the other's too, their subjects being so."""
    return where_implies(smaller.subject.kind, smaller.where, larger.where) and all(
        any(_reach_within(own, wanted) for wanted in larger.reaches) for own in smaller.reaches
    )


def _reach_within(one: Reach, other: Reach) -> bool:
    return (
        one.workspace == other.workspace
        and window_within(one.window, other.window)
        and one.inputs is not None
        and other.inputs is not None
        and one.inputs <= other.inputs
    )
