"""What a criterion is read within: its audience's workspaces, inputs and lookback."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cdp_stream.core.model.criterion import CalculatedAttribute, Reach
from cdp_stream.core.model.definition import Workspace
from cdp_stream.core.model.subject import WORKSPACE_WIDE, Subject
from cdp_stream.core.model.windows import Window
from cdp_stream.definitions.account.event_tiers import may_be_read
from cdp_stream.definitions.account.workspaces import Workspaces
from cdp_stream.definitions.source.nodes import Mark, Node, Scalar, Sequence, shown
from cdp_stream.definitions.source.problems import Problems


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a criterion names another audience or milestone."""

    target: str
    mark: Mark
    path: str


@dataclass(slots=True)
class CalculatedAttributes:
    """The calculated attributes that were read.

    Attributes:
        by_id: None is one with something wrong in it.
        complete: whether every one is known; otherwise a reference to an unknown one is no problem.
    """

    by_id: dict[str, CalculatedAttribute | None] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all audiences of the account have in common."""

    workspaces: Workspaces
    calculated: CalculatedAttributes
    problems: Problems


@dataclass(frozen=True, slots=True)
class Place:
    """Inputs of one workspace that an event criterion reads.

    Attributes:
        inputs: None is every input of the workspace. Workspace-wide subjects are read by every
            input whatever these are.
        lookback_ms: the one that applies here; None is unlimited.
    """

    workspace: Workspace
    inputs: frozenset[str] | None
    lookback_ms: int | None

    def reads(self, subject: Subject) -> bool:
        """Whether some event of the subject may be `personalize` here."""
        read = [
            source
            for source in self.workspace.inputs
            if self.inputs is None or subject.kind in WORKSPACE_WIDE or source.id in self.inputs
        ]
        return may_be_read(subject, read, self.workspace.event_tiers)


def reaches_of(places: Iterable[Place], window: Window) -> tuple[Reach, ...]:
    """A window in each place, cut by its lookback; not where the lookback leaves nothing of it."""
    return tuple(
        Reach(place.workspace.id, window.cut_to(place.lookback_ms), place.inputs)
        for place in places
        if place.lookback_ms is None or (window.newest or 0) <= place.lookback_ms
    )


@dataclass(slots=True)
class Scope:
    """The surroundings of the criteria of one audience or milestone.

    Attributes:
        workspaces: in the order of the account; none when none is known, and then its
            inputs are not checked.
        reads: ids of the inputs that event criteria read unless they name their own; None is all.
        own_lookback_ms: the audience's own; None where it has none.
        complete: whether all of its workspaces are known.
        certain: whether nothing was wrong with them, so that absence proves something.
        prefix: the path of the audience, put before the paths of its criteria in problems.
        references: collected while criteria are read.
    """

    around: Surroundings
    workspaces: tuple[Workspace, ...]
    complete: bool
    certain: bool
    prefix: str
    reads: frozenset[str] | None = None
    own_lookback_ms: int | None = None
    references: list[Reference] = field(default_factory=list)

    @property
    def problems(self) -> Problems:
        """Where problems are noted."""
        return self.around.problems

    def places(
        self, workspaces: tuple[Workspace, ...], inputs: frozenset[str] | None
    ) -> tuple[Place, ...]:
        """Where a criterion with these inputs (None: all) reads in these workspaces."""
        found = []
        for workspace in workspaces:
            ids = frozenset(source.id for source in workspace.inputs)
            own = ids if inputs is None else ids & inputs
            if own:
                lookback_ms = workspace.lookback_ms
                if self.own_lookback_ms is not None:
                    lookback_ms = self.own_lookback_ms
                found.append(Place(workspace, None if own == ids else own, lookback_ms))
        return tuple(found)


def or_list(names: Iterable[str]) -> str:
    """Names in a message: `a`, `b` or `c`."""
    quoted = [f"`{name}`" for name in names]
    if len(quoted) > 1:
        return f"{', '.join(quoted[:-1])} or {quoted[-1]}"
    return "".join(quoted)


def read_inputs(
    named: list[tuple[str, Mark, str]], workspaces: tuple[Workspace, ...], scope: Scope
) -> frozenset[str] | None:
    """The inputs that ids, each with its place, name; None when that is none or every input."""
    problems, everywhere = scope.problems, scope.around.workspaces.input_workspaces
    inputs = [source.id for workspace in workspaces for source in workspace.inputs]
    known = set()
    for name, mark, path in named:
        if name in inputs:
            known.add(name)
            continue
        if not scope.complete:
            continue
        advice = problems.near_or_list(name, inputs)
        if name in everywhere:
            whose = or_list(workspace.id for workspace in workspaces)
            message = f"the input `{name}` is of workspace `{everywhere[name]}`, not of {whose}"
            problems.error("input-outside-workspaces", mark, path, message, advice)
        else:
            message = f"there is no input `{shown(name)}`"
            problems.error("unknown-reference", mark, path, message, advice)
    return None if known == set(inputs) or not known else frozenset(known)


def read_input_list(
    node: Node, path: str, workspaces: tuple[Workspace, ...], scope: Scope
) -> frozenset[str] | None:
    """A criterion's own `inputs`: a list, not empty, of inputs of the workspaces that it reads."""
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
    return read_inputs(named, workspaces, scope)
