"""Reads the workspaces of an account with their inputs and event tiers.

Source: docs/definitions.md, workspaces.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cdp_stream.core.model.definition import Input, Tier, Workspace
from cdp_stream.definitions.account.event_tiers import read_event_tiers
from cdp_stream.definitions.account.ids import Ids
from cdp_stream.definitions.account.records import Read, read_record
from cdp_stream.definitions.account.schema import InputRecord, WorkspaceRecord, span_ms
from cdp_stream.definitions.source.nodes import Node, Sequence
from cdp_stream.definitions.source.problems import Problems


@dataclass(slots=True)
class Workspaces:
    """The workspaces that were read, with what audiences look up in them.

    Attributes:
        input_workspaces: the workspace of every input.
        uncertain: ids of workspaces with something wrong in them.
        complete: whether every one is known; otherwise a reference to an unknown one is no problem.
    """

    by_id: dict[str, Workspace] = field(default_factory=dict)
    input_workspaces: dict[str, str] = field(default_factory=dict)
    uncertain: set[str] = field(default_factory=set)
    complete: bool = True


class WorkspaceReader:
    """Reads workspaces over all files; ids and api keys are unique over all of them."""

    def __init__(self, problems: Problems) -> None:
        self.workspaces = Workspaces()
        self._problems = problems
        self._workspace_ids = Ids("the workspace", problems)
        self._input_ids = Ids("the input", problems)
        self._api_keys: dict[str, str] = {}

    def read(self, node: Node, path: str) -> None:
        """Read one workspace; what is wrong with it is noted."""
        before = len(self._problems.found)
        read = read_record(WorkspaceRecord, node, path, self._problems)
        if read is None or "id" in read.wrong:
            self.workspaces.complete = False
        if read is None:
            return
        record = read.record
        inputs = self._read_inputs(read)
        tiers = read_event_tiers(read.items("event_tiers"), inputs, self._problems)
        if "id" in read.wrong or not self._workspace_ids.claim(
            record.id, read.mark("id"), f"{path}.id"
        ):
            return
        lookback_ms = span_ms(record.lookback)
        lifetime_ms = (
            lookback_ms if record.profile_lifetime is None else span_ms(record.profile_lifetime)
        )
        self.workspaces.by_id[record.id] = Workspace(
            record.id, lookback_ms, lifetime_ms, tuple(inputs.values()), tiers
        )
        if len(self._problems.found) > before:
            self.workspaces.uncertain.add(record.id)
        for name in inputs:
            self.workspaces.input_workspaces.setdefault(name, record.id)

    def _read_inputs(self, workspace: Read[WorkspaceRecord]) -> dict[str, Input]:
        value = workspace.node.get("inputs")
        if isinstance(value, Sequence) and not value.items:
            path = f"{workspace.path}.inputs"
            self._problems.error(
                "empty-list", value.mark, path, "a workspace has at least one input", "add one"
            )
        inputs: dict[str, Input] = {}
        for node, path in workspace.items("inputs"):
            read = read_record(InputRecord, node, path, self._problems)
            if read is None:
                continue
            record = read.record
            self._check_api_key(read)
            if "id" not in read.wrong and self._input_ids.claim(
                record.id, read.mark("id"), f"{path}.id"
            ):
                inputs[record.id] = Input(
                    record.id, workspace.record.id, record.api_key, Tier(record.tier)
                )
        return inputs

    def _check_api_key(self, read: Read[InputRecord]) -> None:
        """Two inputs with one key could not be distinguished; the key itself is never printed."""
        key = read.record.api_key
        if key is None:
            return
        earlier = self._api_keys.setdefault(key, read.record.id)
        if earlier != read.record.id:
            path = f"{read.path}.api_key"
            message = f"the input `{earlier}` has the same api_key"
            self._problems.error(
                "duplicate-api-key", read.mark("api_key"), path, message, "every input has its own"
            )
