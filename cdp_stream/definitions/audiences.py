"""Reads audiences, and works out the workspace and inputs of an audience or journey.

Source: docs/definitions.md, audiences.
"""

from __future__ import annotations

from dataclasses import dataclass

from cdp_stream.core.definition import Expression, Workspace
from cdp_stream.definitions.criteria import read_criteria
from cdp_stream.definitions.nodes import Node, shown
from cdp_stream.definitions.problems import Problems
from cdp_stream.definitions.records import Read, note_later, read_record
from cdp_stream.definitions.references import Definition
from cdp_stream.definitions.schema import AudienceRecord, JourneyRecord, span_ms
from cdp_stream.definitions.scope import Scope, read_inputs
from cdp_stream.definitions.workspaces import Workspaces


@dataclass(frozen=True, slots=True)
class AudienceRead:
    """An audience as written, with its meaning so far; without `has_id` its id is a stand-in."""

    has_id: bool
    definition: Definition
    name: str
    workspace: str
    expression: Expression | None
    emits: bool


def read_audience(
    node: Node, path: str, workspaces: Workspaces, problems: Problems
) -> AudienceRead | None:
    """The audience that a node is, None when it is not even a mapping or has no id."""
    read = read_record(AudienceRecord, node, path, problems)
    if read is None:
        return None
    record = read.record
    scope = scope_of(read, workspaces, problems)
    scope.lookback_ms = _lookback_ms(read, scope, problems)
    expression = None
    if "criteria" not in read.wrong:
        expression = read_criteria(record.criteria, "criteria", scope)
    definition = Definition(
        record.id, read.mark("id"), f"{path}.id", expression, tuple(scope.references)
    )
    name = record.external_name or record.name or record.id
    has_id = "id" not in read.wrong
    return AudienceRead(
        has_id, definition, name, scope.workspace, expression, record.status == "active"
    )


def scope_of(
    read: Read[AudienceRecord] | Read[JourneyRecord], workspaces: Workspaces, problems: Problems
) -> Scope:
    """The workspace and inputs of an audience or journey, with what is wrong about them noted."""
    workspace = _workspace_of(read, workspaces, problems)
    prefix = f"{read.path}."
    everywhere = workspaces.input_workspaces
    if workspace is None:
        return Scope("", {}, (), None, None, False, everywhere, prefix, problems)
    inputs = {source.id: source for source in workspace.inputs}
    tiers, lookback_ms = workspace.event_tiers, workspace.lookback_ms
    certain = workspace.id not in workspaces.uncertain
    scope = Scope(
        workspace.id, inputs, tiers, None, lookback_ms, certain, everywhere, prefix, problems
    )
    if read.record.inputs is not None:
        named = [
            (name, item.mark, at)
            for name, (item, at) in zip(read.record.inputs, read.items("inputs"), strict=True)
        ]
        before = len(problems.found)
        scope.reads = read_inputs(named, scope, f"`{workspace.id}`")
        scope.certain = scope.certain and len(problems.found) == before
    return scope


def _workspace_of(
    read: Read[AudienceRecord] | Read[JourneyRecord], workspaces: Workspaces, problems: Problems
) -> Workspace | None:
    """The one workspace of an audience or journey; None when it cannot be told."""
    if "workspaces" in read.wrong:
        return None
    named = read.record.workspaces
    path = f"{read.path}.workspaces"
    what = "an audience" if isinstance(read.record, AudienceRecord) else "a journey"
    if named is None:
        if len(workspaces.by_id) > 1:
            advice = f"name one, as `workspaces: [{next(iter(workspaces.by_id))}]`"
            note_later(
                f"{what} over all of several workspaces", read.mark("id"), path, problems, advice
            )
        return next(iter(workspaces.by_id.values())) if len(workspaces.by_id) == 1 else None
    for name, (item, at) in zip(named, read.items("workspaces"), strict=True):
        if name not in workspaces.by_id and workspaces.complete:
            message = f"there is no workspace `{shown(name)}`"
            problems.error(
                "unknown-reference",
                item.mark,
                at,
                message,
                problems.near_or_list(name, workspaces.by_id),
            )
    if len(set(named)) > 1:
        note_later(
            f"{what} over several workspaces", read.mark("workspaces"), path, problems, "name one"
        )
        return None
    return workspaces.by_id.get(named[0])


def _lookback_ms(read: Read[AudienceRecord], scope: Scope, problems: Problems) -> int | None:
    """The audience's own lookback, which is at most its workspace's."""
    written = read.record.lookback
    if written is None:
        return scope.lookback_ms
    own, limit = span_ms(written), scope.lookback_ms
    if limit is not None and (own is None or own > limit):
        message = (
            f"the lookback `{written}` is longer than that of the workspace `{scope.workspace}`"
        )
        advice = "an audience can only shorten it; leave it out or lengthen the workspace's"
        problems.error(
            "lookback-too-long", read.mark("lookback"), f"{read.path}.lookback", message, advice
        )
        return limit
    return own
