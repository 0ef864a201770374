"""The recount's reading of a definition file: workspaces, inputs, tiers, audiences, milestones.

Shares no code with `cdp_stream`: see `recount.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
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
    """One audience or milestone; also what a calculated attribute reads, which has no criteria.

    `lookbacks` is by workspace. `criteria` is None for a remaining-users split.
    """

    id: str
    name: str
    emits: bool
    workspaces: list[str]
    inputs: list[str]
    lookbacks: dict[str, int | None]
    criteria: Json
    parent: str | None = None
    excluded_siblings: list[str] = field(default_factory=list)
    ab_test: Json = None

    def variants(self) -> list[str]:
        """The names of the variants of its test, Control the last; none where there is no test."""
        if self.ab_test is None:
            return []
        written = enumerate(self.ab_test["variants"], 1)
        found = [str(one.get("name", f"Variant {number}")) for number, one in written]
        return [*found, "Control"]

    def variant_of(self, mpid: int) -> str | None:
        """semantics.md, A/B tests: the first variant whose cumulative share exceeds the bucket."""
        if self.ab_test is None:
            return None
        seed = self.ab_test.get("seed", self.id)
        digest = sha256(f"{seed}:{mpid}".encode()).digest()
        bucket = int.from_bytes(digest[:8], "big") % 10_000
        share = Decimal(0)
        for number, variant in enumerate(self.ab_test["variants"], 1):
            share += Decimal(str(variant["percent"])) * 100
            if share > bucket:
                return str(variant.get("name", f"Variant {number}"))
        return "Control"


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
        self.calculated = {one["id"]: one for one in definitions.get("calculated_attributes", [])}
        for entry in definitions.get("audiences", []):
            default = entry.get("name", entry["id"])
            self._add_audience(entry["id"], default, entry, entry)
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

    def inputs_of(self, workspaces: list[str]) -> list[str]:
        """Every input of some workspaces."""
        return [one for space in workspaces for one in self.workspaces[space].tiers]

    def scope_of_calculated(self, attribute_id: str) -> Audience:
        """semantics.md, Scope: every input of its workspace, and the workspace's lookback."""
        workspace = self.workspaces[self.calculated[attribute_id]["workspace"]]
        return Audience(
            id=attribute_id,
            name=attribute_id,
            emits=False,
            workspaces=[workspace.id],
            inputs=list(workspace.tiers),
            lookbacks={workspace.id: workspace.lookback},
            criteria=None,
        )

    def _add_audience(self, identity: str, default_name: str, entry: Json, holder: Json) -> None:
        """`holder` has the workspaces, inputs and lookback: the audience itself, or the journey."""
        spaces = holder.get("workspaces", list(self.workspaces))
        self.audiences[identity] = Audience(
            id=identity,
            name=entry.get("external_name", default_name),
            emits=entry.get("status", "active") == "active",
            workspaces=spaces,
            inputs=holder.get("inputs", self.inputs_of(spaces)),
            lookbacks={
                one: reach(holder.get("lookback"), self.workspaces[one].lookback) for one in spaces
            },
            criteria=entry.get("criteria"),
            ab_test=entry.get("ab_test"),
        )

    def _add_milestones(self, journey: Json, siblings: list[Json], parent: str | None) -> None:
        left: list[str] = []
        for entry in siblings:
            identity = f"{journey['id']}/{entry['id']}"
            default = "Remaining Users" if entry.get("remaining") else entry["id"]
            self._add_audience(identity, entry.get("name", default), entry, journey)
            self.audiences[identity].parent = parent
            self.audiences[identity].excluded_siblings = list(left)
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
