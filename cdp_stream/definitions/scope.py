"""What a criterion is read within: a workspace, and its audience's inputs and lookback."""

from __future__ import annotations

from dataclasses import dataclass, field

from cdp_stream.core.definition import EventTier, Input
from cdp_stream.definitions.nodes import Mark, Node, Scalar, Sequence, shown
from cdp_stream.definitions.problems import Problems


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a criterion names another audience or milestone."""

    target: str
    mark: Mark
    path: str


@dataclass(slots=True)
class Scope:
    """The surroundings of the criteria of one audience or milestone.

    Attributes:
        workspace: its id; empty when it could not be told, and then nothing is held against its
            inputs.
        inputs: the inputs of the workspace by id.
        reads: ids of the inputs that event criteria read unless they name their own; None is all.
        lookback_ms: None is unlimited.
        certain: whether nothing was wrong with the workspace, so that absence proves something.
        everywhere: the workspace of every input of the account.
        prefix: the path of the audience, put before the paths of its criteria in problems.
        references: collected while criteria are read.
    """

    workspace: str
    inputs: dict[str, Input]
    event_tiers: tuple[EventTier, ...]
    reads: frozenset[str] | None
    lookback_ms: int | None
    certain: bool
    everywhere: dict[str, str]
    prefix: str
    problems: Problems
    references: list[Reference] = field(default_factory=list)

    def inputs_read(self, named: frozenset[str] | None) -> list[Input]:
        """The inputs that a criterion with these `inputs` (None: all) reads."""
        return [found for name, found in self.inputs.items() if named is None or name in named]


def read_inputs(
    named: list[tuple[str, Mark, str]], scope: Scope, of_whom: str
) -> frozenset[str] | None:
    """The inputs that ids, each with its place, name; None when that is every input."""
    known = set()
    for name, mark, path in named:
        if name in scope.inputs:
            known.add(name)
        elif not scope.workspace:
            continue
        elif name in scope.everywhere:
            message = (
                f"the input `{name}` is of workspace `{scope.everywhere[name]}`, not of {of_whom}"
            )
            advice = scope.problems.near_or_list(name, scope.inputs)
            scope.problems.error("input-outside-workspaces", mark, path, message, advice)
        else:
            message = f"there is no input `{shown(name)}`"
            scope.problems.error(
                "unknown-reference",
                mark,
                path,
                message,
                scope.problems.near_or_list(name, scope.inputs),
            )
    return None if known == set(scope.inputs) or not known else frozenset(known)


def read_input_list(node: Node, path: str, scope: Scope) -> frozenset[str] | None:
    """A criterion's own `inputs`: a list, not empty, of inputs of its workspace."""
    problems = scope.problems
    if not isinstance(node, Sequence):
        problems.wrong_type(node, path, "a list of input ids", "as `[ios, web]`")
        return None
    if not node.items:
        problems.error(
            "empty-list", node.mark, path, "the list is empty", "leave the key out, which means all"
        )
        return None
    named = []
    for index, item in enumerate(node.items):
        if isinstance(item, Scalar) and isinstance(item.value, str):
            named.append((item.value, item.mark, f"{path}[{index}]"))
        else:
            problems.wrong_type(item, f"{path}[{index}]", "text, the id of an input")
    return read_inputs(named, scope, f"`{scope.workspace}`")
