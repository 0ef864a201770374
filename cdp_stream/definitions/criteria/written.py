"""A criterion as it is written, and the keys beside its subject that every kind reads alike."""

from __future__ import annotations

from dataclasses import dataclass

from cdp_stream.core.model.definition import Workspace
from cdp_stream.definitions.criteria.scope import Place, Scope, or_list, read_input_list
from cdp_stream.definitions.source.nodes import Mapping, Mark, Node, shown
from cdp_stream.definitions.source.problems import Problems

INPUTS = "inputs"
WORKSPACE = "workspace"


@dataclass(frozen=True, slots=True)
class Written:
    """One subject of a criterion, in its mapping.

    Attributes:
        head: the subject key, or group.
        path: from the audience on, as `criteria.all[0]`.
        alone: false where the mapping has several heads; its other keys are then no problems.
    """

    head: str
    node: Mapping
    path: str
    scope: Scope
    alone: bool = True

    @property
    def problems(self) -> Problems:
        """Where problems are noted."""
        return self.scope.problems

    @property
    def value(self) -> Node:
        """The value of the subject key."""
        return self.node.entries[self.head].value

    @property
    def mark(self) -> Mark:
        """The place of the subject key."""
        return self.node.mark_of(self.head)

    def at(self, key: str | None = None) -> str:
        """The whole path of a key; of the subject's where none is named."""
        return f"{self.scope.prefix}{self.path}.{self.head if key is None else key}"

    def text(self, expected: str) -> str | None:
        """The value of the subject key, where it is text; else the problem is noted."""
        return self.problems.text_of(self.value, self.at(), expected)


def read_places(criterion: Written, every_input: bool = False) -> tuple[Place, ...] | None:
    """Where an event criterion reads, at least one place; None when that is unknown."""
    scope, before = criterion.scope, len(criterion.problems.found)
    own = read_workspace(criterion)
    workspaces = scope.workspaces if own is None else (own,)
    inputs = None if every_input else scope.reads
    named = criterion.node.get(INPUTS)
    if named is not None and not every_input:
        inputs = read_input_list(named, criterion.at(INPUTS), workspaces, scope)
    places = scope.places(workspaces, inputs)
    if len(criterion.problems.found) > before:
        return None
    if not places and own is not None and scope.certain:
        message = f"none of the audience's `inputs` is of workspace `{own.id}`"
        advice = f"give the criterion inputs of its own, as `inputs: [{own.inputs[0].id}]`"
        mark, at = criterion.node.mark_of(WORKSPACE), criterion.at(WORKSPACE)
        criterion.problems.error("unread-event", mark, at, message, advice)
    return places or None


def read_workspace(criterion: Written) -> Workspace | None:
    """The workspace that a criterion names; None where it names none, or a wrong one."""
    node, scope, problems = criterion.node.get(WORKSPACE), criterion.scope, criterion.problems
    if node is None:
        return None
    path = criterion.at(WORKSPACE)
    name = problems.text_of(node, path, "the id of a workspace")
    if name is None:
        return None
    own = {workspace.id: workspace for workspace in scope.workspaces}
    if name in own or not scope.complete:
        return own.get(name)
    if name in scope.around.workspaces.by_id:
        message = f"the audience is not over the workspace `{name}`"
        advice = f"write {or_list(own)}, or add it to the audience's `workspaces`"
        problems.error("workspace-outside-audience", node.mark, path, message, advice)
    else:
        message, advice = f"there is no workspace `{shown(name)}`", problems.near_or_list(name, own)
        problems.error("unknown-reference", node.mark, path, message, advice)
    return None


def read_profile_workspace(criterion: Written) -> str | None:
    """The one workspace whose profile a criterion reads; None when that is unknown."""
    scope = criterion.scope
    if WORKSPACE in criterion.node.entries:
        own = read_workspace(criterion)
        return None if own is None else own.id
    if len(scope.workspaces) == 1:
        return scope.workspaces[0].id
    if scope.workspaces:
        message = "the key `workspace` is missing: the audience is over several"
        names = or_list(workspace.id for workspace in scope.workspaces)
        advice = f"name the one whose profile is read, {names}"
        criterion.problems.error(
            "missing-key", criterion.node.mark, criterion.at(WORKSPACE), message, advice
        )
    return None
