"""What is different between two sets of definitions, definition by definition.

Definitions are compared as they are written, defaults filled in, so the order of keys and the
layout of a file are no difference. Whether memberships are worked out anew is asked of what they
mean: an audience that only refers to an edited one is calculated anew too, and is listed.

Source: docs/changing-definitions.md, the plan; docs/commands.md, plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cdp_stream.core.model.definition import Account
from cdp_stream.core.model.meaning import meaning_text
from cdp_stream.core.plan.build import build_plan, calculated_audiences
from cdp_stream.definitions.account.schema import (
    AudienceRecord,
    CalculatedAttributeRecord,
    InputRecord,
    JourneyRecord,
    MilestoneRecord,
    Record,
    WorkspaceRecord,
)
from cdp_stream.definitions.load import Loaded
from cdp_stream.definitions.records.journeys import REMAINING_NAME
from cdp_stream.definitions.source.nodes import Mapping as MappingNode
from cdp_stream.definitions.source.nodes import Node, Scalar, Sequence

__all__ = ["DefinitionChange", "changes_between", "parents_removed"]

ADD: Final = "add"
CHANGE: Final = "change"
REMOVE: Final = "remove"

POSITION: Final = "position"
"""The field of a milestone for its position: its parent, and the siblings before it."""

_RECALCULATING: Final = {
    "workspace": frozenset({"lookback", "event_tiers"}),
    "input": frozenset({"tier", "workspace"}),
}

_Key = tuple[str, str]
_Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DefinitionChange:
    """One definition that is added, changed or removed.

    Attributes:
        kind: `workspace`, `input`, `calculated_attribute`, `audience`, `journey`, `milestone`,
            `output`, `connection`; `account` for the order of definitions alone.
        action: `add`, `change` or `remove`.
        recalculates: whether memberships are worked out anew, from the event history as far as
            criteria that were not there before read it.
        fields: the keys that differ, of a change; none where only what it refers to does.
        stops: whether it is a connection that sends its output nothing from now on, a milestone
            that no active connection needs any more, or an audience that became a draft.
        values: what each of the fields was and is; None where it is not written and has no default.
    """

    kind: str
    id: str
    action: str
    recalculates: bool
    fields: tuple[str, ...] = ()
    stops: bool = False
    values: Mapping[str, tuple[Any, Any]] = field(default_factory=dict, compare=False)

    @property
    def audience(self) -> str | None:
        """The audience or milestone that it changes or removes, or whose connection; None for what
        is new, and for all else.
        """
        if self.action == ADD or self.kind not in ("audience", "milestone", "connection"):
            return None
        return self.id.rpartition("@")[0].partition("#")[0] or self.id

    def as_json(self, members: int | None = None) -> dict[str, Any]:
        """As `--json` has it.

        Args:
            members: how many members its audience has; None where that is not known.
        """
        found: dict[str, Any] = {
            "kind": self.kind,
            "id": self.id,
            "action": self.action,
            "recalculates": self.recalculates,
            "fields": list(self.fields),
        }
        if self.values:
            found["values"] = {
                name: {"before": before, "after": after}
                for name, (before, after) in self.values.items()
            }
        if self.audience is not None:
            found["members"] = members
        return found


def changes_between(before: Loaded | None, after: Loaded) -> list[DefinitionChange]:
    """What must change for `after` to hold instead of `before` (None: nothing is defined yet).

    Args:
        before: without errors.
        after: without errors.

    Returns:
        Removals at their former places, among the present definitions in their order.
    """
    old, new = _written(before), _written(after)
    old_meanings, new_meanings = _meanings(before), _meanings(after)
    found = []
    for key in _both(old, new):
        if key not in new:
            found.append(DefinitionChange(*key, REMOVE, recalculates=False))
        elif key not in old:
            found.append(DefinitionChange(*key, ADD, _is_calculated(key, new_meanings)))
        else:
            change = _changed(key, (old[key], new[key]), (old_meanings, new_meanings))
            if change is not None:
                found.append(change)
    if not found and [key for key in old if key in new] != list(new):
        assert after.account is not None
        found.append(
            DefinitionChange("account", after.account.id, CHANGE, recalculates=False,
                             fields=("order",))
        )  # fmt: skip
    return found


def parents_removed(before: Loaded, after: Loaded) -> dict[str, list[str]]:
    """The milestones that `after` leaves out though they have children in `before`, each with
    those; not those of journeys that are left out as a whole.

    Source: docs/semantics.md, journeys.
    """
    old, new = _written(before), _written(after)
    found: dict[str, list[str]] = {}
    for (kind, name), fields in old.items():
        if kind != "milestone" or fields[POSITION][0] is None:
            continue
        journey = name.partition("/")[0]
        parent = f"{journey}/{fields[POSITION][0]}"
        if ("journey", journey) in new and ("milestone", parent) not in new:
            found.setdefault(parent, []).append(name)
    return found


def _changed(
    key: _Key,
    written: tuple[_Fields, _Fields],
    meanings: tuple[Mapping[_Key, str], Mapping[_Key, str]],
) -> DefinitionChange | None:
    old, new = written
    names = tuple(name for name in {**old, **new} if old.get(name) != new.get(name))
    before, after = (known.get(key) for known in meanings)
    anew = before != after and after is not None
    anew |= not _RECALCULATING.get(key[0], frozenset()).isdisjoint(names)
    # A milestone that no connection needs any more, an audience that became a draft, or a
    # connection that is made inactive.
    stops = before is not None and after is None
    stops |= key[0] == "connection" and "status" in names and new["status"] == "inactive"
    if not names and not anew and not stops:
        return None
    values = {name: (_shown(name, old), _shown(name, new)) for name in names}
    return DefinitionChange(*key, CHANGE, anew, names, stops, values)


def _shown(name: str, fields: _Fields) -> Any:
    """The value of a field as it may be written, in YAML or JSON."""
    value = fields.get(name)
    if name == POSITION and value is not None:
        return {"below": value[0], "after": list(value[1])}
    return list(value) if isinstance(value, tuple) else value


def _is_calculated(key: _Key, meanings: Mapping[_Key, str]) -> bool:
    """Whether what is new has members, or a value, to be worked out."""
    return key in meanings or key[0] == "journey"


def _both(old: Mapping[_Key, _Fields], new: Mapping[_Key, _Fields]) -> list[_Key]:
    """All keys: those defined now in their order, each removed one after its predecessor."""
    order = list(new)
    last: _Key | None = None
    for key in old:
        if key not in new:
            order.insert(0 if last is None else order.index(last) + 1, key)
        last = key
    return order


def _meanings(loaded: Loaded | None) -> dict[_Key, str]:
    """What each definition means whose state depends on it."""
    if loaded is None or loaded.account is None:
        return {}
    account = loaded.account
    calculated = calculated_audiences(account.audiences)
    found = {
        ("milestone" if "/" in audience.id else "audience", audience.id): audience.meaning
        for audience in build_plan(account).audiences
        if audience.id in calculated
    }
    for attribute in account.calculated_attributes:
        found["calculated_attribute", attribute.id] = meaning_text(attribute)
    return found


def _written(loaded: Loaded | None) -> dict[_Key, _Fields]:
    """Every definition by kind and id, with its keys as they are written."""
    if loaded is None or loaded.account is None:
        return {}
    found: dict[_Key, _Fields] = {}
    for document in loaded.documents:
        for workspace in _items(document, "workspaces"):
            found |= _workspace(workspace)
        for kind, model, name in (
            ("calculated_attribute", CalculatedAttributeRecord, "calculated_attributes"),
            ("audience", AudienceRecord, "audiences"),
        ):
            for node in _items(document, name):
                found[kind, _id(node)] = _fields(node, model)
        for journey in _items(document, "journeys"):
            found["journey", _id(journey)] = _fields(journey, JourneyRecord, "milestones")
            found |= _milestones(_id(journey), _items(journey, "milestones"), None)
    return found | _compiled(loaded.account)


def _workspace(node: MappingNode) -> dict[_Key, _Fields]:
    name = _id(node)
    found = {("workspace", name): _fields(node, WorkspaceRecord, "inputs")}
    for source in _items(node, "inputs"):
        found["input", _id(source)] = {**_fields(source, InputRecord), "workspace": name}
    return found


def _milestones(journey: str, nodes: list[MappingNode], parent: str | None) -> dict[_Key, _Fields]:
    found: dict[_Key, _Fields] = {}
    left: list[str] = []
    for node in nodes:
        name = _id(node)
        own = _fields(node, MilestoneRecord, "then")
        found["milestone", f"{journey}/{name}"] = {**own, POSITION: (parent, tuple(left))}
        found |= _milestones(journey, _items(node, "then"), name)
        left.append(name)
    return found


def _compiled(account: Account) -> dict[_Key, _Fields]:
    """What is compared as understood: a bulk connection is several, with ids of their own."""
    found: dict[_Key, _Fields] = {}
    for output in account.outputs:
        found["output", output.id] = {"connector": output.connector, "settings": output.settings}
    for connection in account.connections:
        found["connection", connection.id] = {
            "status": "active" if connection.active else "inactive",
            "settings": connection.settings,
            "user_attributes": connection.user_attributes,
            "on_audience_delete": connection.on_audience_delete,
        }
    return found


def _items(node: MappingNode, key: str) -> list[MappingNode]:
    value = node.get(key)
    items: Iterable[Node] = value.items if isinstance(value, Sequence) else ()
    return [item for item in items if isinstance(item, MappingNode)]


def _id(node: MappingNode) -> str:
    return node.text("id") or ""


def _fields(node: MappingNode, model: type[Record], *without: str) -> _Fields:
    """The keys of a record but its id, those that are not written at their defaults."""
    found = {
        name: _plain(value) if (value := node.get(name)) is not None else described.default
        for name, described in model.model_fields.items()
        if name != "id" and name not in without
    }
    # A name that is written as it would be without is no difference.
    default = REMAINING_NAME if found.get("remaining") is True else _id(node)
    if found.get("external_name") == (found.get("name") or default):
        found["external_name"] = None
    if found.get("name") == default:
        found["name"] = None
    if found.get("profile_lifetime", "") == found.get("lookback"):
        found["profile_lifetime"] = None
    return found


def _plain(node: Node) -> Any:
    match node:
        case Scalar():
            return node.value
        case Sequence():
            return [_plain(item) for item in node.items]
        case MappingNode():
            return dict(_plain_entries(node))


def _plain_entries(node: MappingNode) -> Iterator[tuple[str, Any]]:
    for key, entry in node.entries.items():
        yield key, _plain(entry.value)
