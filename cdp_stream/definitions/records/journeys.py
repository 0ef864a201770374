"""Reads journeys: milestones, each with its splits below it.

Source: docs/definitions.md, journeys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cdp_stream.core.model.criterion import Expression
from cdp_stream.core.model.definition import AbTest
from cdp_stream.definitions.account.ids import Ids
from cdp_stream.definitions.account.records import Read, read_record
from cdp_stream.definitions.account.schema import JourneyRecord, MilestoneRecord
from cdp_stream.definitions.criteria.criteria import read_criteria
from cdp_stream.definitions.criteria.scope import Scope, Surroundings
from cdp_stream.definitions.records.ab_tests import read_ab_test
from cdp_stream.definitions.records.audiences import scope_of
from cdp_stream.definitions.records.references import Definition
from cdp_stream.definitions.source.nodes import Node, Sequence
from cdp_stream.definitions.source.problems import Problems

REMAINING_NAME = "Remaining Users"


@dataclass(frozen=True, slots=True)
class MilestoneRead:
    """A milestone as written; `definition.id` is `journey/milestone`.

    Attributes:
        has_ab_test: whether one is written; with a problem in it `ab_test` is None all the same.
    """

    id: str
    definition: Definition
    name: str
    expression: Expression | None
    ab_test: AbTest | None
    has_ab_test: bool
    tags: tuple[str, ...]
    then: tuple[MilestoneRead, ...]


@dataclass(frozen=True, slots=True)
class JourneyRead:
    """A journey as written.

    Attributes:
        workspaces: their ids, in the order of the account.
        by_connection: whether only milestones that an active connection needs are computed.
    """

    id: str
    workspaces: tuple[str, ...]
    by_connection: bool
    milestones: tuple[MilestoneRead, ...]


def milestones_of(milestones: tuple[MilestoneRead, ...]) -> Iterator[MilestoneRead]:
    """All milestones, depth first."""
    for milestone in milestones:
        yield milestone
        yield from milestones_of(milestone.then)


def read_journey(
    node: Node, path: str, around: Surroundings
) -> tuple[JourneyRead, Read[JourneyRecord]] | None:
    """The journey that a node is, None when it is not even a mapping."""
    problems = around.problems
    read = read_record(JourneyRecord, node, path, problems)
    if read is None:
        return None
    value = read.node.get("milestones")
    if isinstance(value, Sequence) and not value.items:
        message = "a journey has at least one milestone"
        problems.error("empty-list", value.mark, f"{path}.milestones", message, "add one")
    scope = scope_of(read, around)
    reader = _MilestoneReader(read.record.id, scope, problems)
    milestones = reader.siblings(read.items("milestones"), parent=None)
    workspaces = tuple(workspace.id for workspace in scope.workspaces)
    by_connection = read.record.activation == "by_connection"
    return JourneyRead(read.record.id, workspaces, by_connection, milestones), read


class _MilestoneReader:
    """Reads the milestones of one journey."""

    def __init__(self, journey_id: str, scope: Scope, problems: Problems) -> None:
        self._journey_id = journey_id
        self._scope = scope
        self._problems = problems
        self._ids = Ids("the milestone", problems)

    def siblings(
        self, nodes: list[tuple[Node, str]], parent: str | None
    ) -> tuple[MilestoneRead, ...]:
        """Milestones of one parent, in their order."""
        found: list[MilestoneRead] = []
        for place, (node, path) in enumerate(nodes):
            read = read_record(MilestoneRecord, node, path, self._problems)
            if read is None:
                continue
            if read.record.remaining:
                self._check_remaining(
                    read, is_last=place == len(nodes) - 1, is_alone=len(nodes) == 1
                )
            left = found[-1].definition.id if found else None
            found.append(self._milestone(read, parent, left))
        return tuple(found)

    def _milestone(
        self, read: Read[MilestoneRecord], parent: str | None, left: str | None
    ) -> MilestoneRead:
        record, path = read.record, read.path
        if "id" not in read.wrong:
            self._ids.claim(record.id, read.mark("id"), f"{path}.id")
        scope = replace(self._scope, prefix=f"{path}.", references=[])
        expression = None
        if record.criteria is not None:
            expression = read_criteria(record.criteria, "criteria", scope)
        elif not record.remaining and not read.wrong & {"criteria", "remaining"}:
            advice = "add `criteria:`, or `remaining: true` for the remaining-users split"
            self._problems.missing_key(read.node, path, "criteria", advice)
        full_id = f"{self._journey_id}/{record.id}"
        follows = tuple(name for name in (parent, left) if name is not None)
        references = tuple(scope.references)
        definition = Definition(
            full_id, read.mark("id"), f"{path}.id", expression, references, follows
        )
        name = (
            record.external_name
            or record.name
            or (REMAINING_NAME if record.remaining else record.id)
        )
        ab_test = read_ab_test(read.node.get("ab_test"), f"{path}.ab_test", full_id, self._problems)
        below = read.node.get("then")
        if isinstance(below, Sequence) and not below.items:
            advice = "add a milestone, or leave `then` out"
            self._problems.error(
                "empty-list", below.mark, f"{path}.then", "the list is empty", advice
            )
        then = self.siblings(read.items("then"), full_id)
        tags, tested = tuple(record.tags), "ab_test" in read.node.entries
        return MilestoneRead(record.id, definition, name, expression, ab_test, tested, tags, then)

    def _check_remaining(self, read: Read[MilestoneRecord], is_last: bool, is_alone: bool) -> None:
        fault = advice = None
        if is_alone:
            fault, advice = "needs at least one sibling", "add a split before it"
        elif not is_last:
            fault, advice = "is not the last of its siblings", "move it behind the others"
        at = f"{read.path}.remaining"
        if fault is not None:
            message = f"the remaining-users split {fault}"
            self._problems.error("remaining-split", read.mark("remaining"), at, message, advice)
        if read.record.criteria is not None:
            message = "the remaining-users split has no criteria of its own"
            advice = "leave out `criteria` or `remaining`"
            self._problems.error(
                "remaining-split", read.mark("criteria"), f"{read.path}.criteria", message, advice
            )
