"""The recount's reading of a definition file: workspaces, inputs, tiers, audiences, milestones.

Shares no code with `cdp_stream`: see `recount.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.properties.recount_events import subject_matches
from tests.properties.recount_values import DAY, duration, is_duration

Json = Any


def reach(value: Json, default: int | None) -> int | None:
    """A lookback or a lifetime in ms; None is unlimited."""
    if value is None:
        return default
    return None if value == "unlimited" else duration(value)


@dataclass
class Workspace:
    """One workspace: its reach, and the tier of each of its inputs and events."""

    id: str
    lookback: int | None
    lifetime: int | None
    tiers: dict[str, str]
    event_tiers: list[Json]

    def personalizes(self, input_id: str, event: Json) -> bool:
        """definitions.md: a tier by event wins over the tier of its input.

        Of several entries the one that names its input wins, then a name over `any`, then a custom
        event type over none.
        """
        fitting = [
            entry
            for entry in self.event_tiers
            if entry.get("input", input_id) == input_id and subject_matches(entry, event)
        ]
        if fitting:
            return bool(max(fitting, key=_specificity)["tier"] == "personalize")
        return self.tiers[input_id] == "personalize"


def _specificity(entry: Json) -> tuple[bool, bool, bool]:
    event = entry.get("event")
    subject = event if isinstance(event, dict) else {}
    return (
        "input" in entry,
        "any" not in entry.values() and subject.get("name") != "any",
        "custom_event_type" in subject,
    )


@dataclass
class Audience:
    """One audience or milestone. `criteria` is None for a remaining-users split."""

    id: str
    name: str
    emits: bool
    workspace: str
    inputs: list[str]
    lookback: int | None
    criteria: Json
    parent: str | None = None
    excluded_siblings: list[str] = field(default_factory=list)


class Account:
    """The definitions, looked up by id; `audiences` is in the order of emission."""

    def __init__(self, definitions: Json) -> None:
        self.workspaces: dict[str, Workspace] = {}
        self.audiences: dict[str, Audience] = {}
        self.inputs: dict[str, str] = {}
        self.api_keys: dict[str, str] = {}
        self.durations = set(durations_in(definitions)) | {0, 30 * DAY}
        for entry in definitions["workspaces"]:
            self._add_workspace(entry)
        for entry in definitions.get("audiences", []):
            self._add_audience(entry)
        for entry in definitions.get("journeys", []):
            self._add_milestones(entry, entry["milestones"], None)

    def _add_workspace(self, entry: Json) -> None:
        lookback = reach(entry.get("lookback"), 30 * DAY)
        self.workspaces[entry["id"]] = Workspace(
            id=entry["id"],
            lookback=lookback,
            lifetime=reach(entry.get("profile_lifetime"), lookback),
            tiers={i["id"]: i.get("tier", "personalize") for i in entry["inputs"]},
            event_tiers=entry.get("event_tiers", []),
        )
        for source in entry["inputs"]:
            self.inputs[source["id"]] = entry["id"]
            if "api_key" in source:
                self.api_keys[source["api_key"]] = source["id"]

    def _workspace_of(self, entry: Json) -> Workspace:
        return self.workspaces[entry.get("workspaces", list(self.workspaces))[0]]

    def _add_audience(self, entry: Json) -> None:
        workspace = self._workspace_of(entry)
        self.audiences[entry["id"]] = Audience(
            id=entry["id"],
            name=entry.get("external_name", entry.get("name", entry["id"])),
            emits=entry.get("status", "active") == "active",
            workspace=workspace.id,
            inputs=entry.get("inputs", list(workspace.tiers)),
            lookback=reach(entry.get("lookback"), workspace.lookback),
            criteria=entry["criteria"],
        )

    def _add_milestones(self, journey: Json, siblings: list[Json], parent: str | None) -> None:
        workspace = self._workspace_of(journey)
        left: list[str] = []
        for entry in siblings:
            identity = f"{journey['id']}/{entry['id']}"
            default = "Remaining Users" if entry.get("remaining") else entry["id"]
            self.audiences[identity] = Audience(
                id=identity,
                name=entry.get("external_name", entry.get("name", default)),
                emits=True,
                workspace=workspace.id,
                inputs=journey.get("inputs", list(workspace.tiers)),
                lookback=workspace.lookback,
                criteria=entry.get("criteria"),
                parent=parent,
                excluded_siblings=list(left),
            )
            left.append(identity)
            self._add_milestones(journey, entry.get("then", []), identity)

    def input_of(self, batch: Json) -> str | None:
        """events.md, Record: the input by `api_key`, else the only one; None is rejected."""
        if batch.get("api_key") in self.api_keys:
            return self.api_keys[batch["api_key"]]
        return next(iter(self.inputs)) if len(self.inputs) == 1 else None


def durations_in(node: Json) -> list[int]:
    """Every text in the definitions that reads as a duration, wherever it stands."""
    if isinstance(node, dict):
        return [d for value in node.values() for d in durations_in(value)]
    if isinstance(node, list):
        return [d for value in node for d in durations_in(value)]
    return [duration(node)] if is_duration(node) else []
