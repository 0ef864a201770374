"""Reads audiences, and works out the workspaces and inputs of an audience or journey.

Source: docs/definitions.md, audiences.
"""

from __future__ import annotations

from dataclasses import dataclass

from cdp_stream.core.model.criterion import Expression
from cdp_stream.core.model.definition import AbTest, Workspace
from cdp_stream.definitions.account.records import Read, read_record
from cdp_stream.definitions.account.schema import AudienceRecord, JourneyRecord, span_ms
from cdp_stream.definitions.criteria.criteria import read_criteria
from cdp_stream.definitions.criteria.scope import Scope, Surroundings, read_inputs
from cdp_stream.definitions.records.ab_tests import read_ab_test
from cdp_stream.definitions.records.references import Definition
from cdp_stream.definitions.source.nodes import Node, shown


@dataclass(frozen=True, slots=True)
class AudienceRead:
    """An audience as written, with its meaning so far; without `has_id` its id is a placeholder.

    Attributes:
        workspaces: their ids, in the order of the account.
        has_ab_test: whether one is written; with a problem in it `ab_test` is None all the same.
    """

    has_id: bool
    definition: Definition
    name: str
    workspaces: tuple[str, ...]
    expression: Expression | None
    emits: bool
    ab_test: AbTest | None
    has_ab_test: bool
    tags: tuple[str, ...]


def read_audience(node: Node, path: str, around: Surroundings) -> AudienceRead | None:
    """The audience that a node is, None when it is not even a mapping."""
    read = read_record(AudienceRecord, node, path, around.problems)
    if read is None:
        return None
    record = read.record
    scope = scope_of(read, around)
    scope.own_lookback_ms = _own_lookback_ms(read, scope)
    expression = None
    if "criteria" not in read.wrong:
        expression = read_criteria(record.criteria, "criteria", scope)
    ab_test = read_ab_test(read.node.get("ab_test"), f"{path}.ab_test", record.id, around.problems)
    definition = Definition(
        record.id, read.mark("id"), f"{path}.id", expression, tuple(scope.references)
    )
    return AudienceRead(
        "id" not in read.wrong,
        definition,
        record.external_name or record.name or record.id,
        tuple(workspace.id for workspace in scope.workspaces),
        expression,
        record.status == "active",
        ab_test,
        "ab_test" in read.node.entries,
        tuple(record.tags),
    )


def scope_of(read: Read[AudienceRecord] | Read[JourneyRecord], around: Surroundings) -> Scope:
    """The workspaces and inputs of an audience or journey, with what is wrong about them noted."""
    account = around.workspaces
    workspaces, complete = _workspaces_of(read, around)
    certain = complete and not any(space.id in account.uncertain for space in workspaces)
    scope = Scope(around, workspaces, complete, certain, f"{read.path}.")
    if read.record.inputs is not None:
        named = [
            (name, item.mark, at)
            for name, (item, at) in zip(read.record.inputs, read.items("inputs"), strict=True)
        ]
        before = len(around.problems.found)
        scope.reads = read_inputs(named, workspaces, scope)
        scope.certain = scope.certain and len(around.problems.found) == before
    return scope


def _workspaces_of(
    read: Read[AudienceRecord] | Read[JourneyRecord], around: Surroundings
) -> tuple[tuple[Workspace, ...], bool]:
    """The workspaces of an audience or journey, and whether all of them are known."""
    account = around.workspaces
    if "workspaces" in read.wrong:
        return (), False
    named = read.record.workspaces
    if named is None:
        return tuple(account.by_id.values()), account.complete
    complete = True
    for name, (item, at) in zip(named, read.items("workspaces"), strict=True):
        if name in account.by_id:
            continue
        complete = False
        if account.complete:
            message = f"there is no workspace `{shown(name)}`"
            advice = around.problems.near_or_list(name, account.by_id)
            around.problems.error("unknown-reference", item.mark, at, message, advice)
    return tuple(space for name, space in account.by_id.items() if name in named), complete


def _own_lookback_ms(read: Read[AudienceRecord], scope: Scope) -> int | None:
    """The audience's own lookback, which is at most its workspaces'; None where it has none."""
    written = read.record.lookback
    if written is None:
        return None
    own = span_ms(written)
    limits = [
        (workspace.lookback_ms, workspace.id)
        for workspace in scope.workspaces
        if workspace.lookback_ms is not None
    ]
    if limits and (own is None or own > min(limits)[0]):
        message = (
            f"the lookback `{written}` is longer than that of the workspace `{min(limits)[1]}`"
        )
        advice = "an audience can only shorten it; leave it out or lengthen the workspace's"
        at = f"{read.path}.lookback"
        scope.problems.error("lookback-too-long", read.mark("lookback"), at, message, advice)
    return own
