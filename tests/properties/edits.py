"""Random edits of a definition file, such that everything the new one reads of events was read by
the old one: copies of what is new stand in the old one under other ids.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from tests.properties.definition_strategies import ab_tests, definition_files

Json = Any


@st.composite
def edits(draw: st.DrawFn) -> tuple[Json, Json]:
    """A definition file, and one that it is changed to."""
    old = draw(definition_files())
    new = deepcopy(old)
    for _ in range(draw(st.integers(1, 5))):
        draw(st.sampled_from(_EDITS))(draw, new)
    old = deepcopy(old)
    known = {one["id"] for one in (*old["audiences"], *old.get("journeys", []))}
    for one in new["audiences"]:
        if one["id"] in known:
            old["audiences"].append({**deepcopy(one), "id": f"was-{one['id']}"})
        else:
            old["audiences"].append({**deepcopy(one), "status": "draft"})
    copies = [{**deepcopy(one), "id": f"was-{one['id']}"} for one in new.get("journeys", [])]
    if copies:
        old["journeys"] = [*old["journeys"], *copies]
    return old, new


@st.composite
def edited(draw: st.DrawFn, definitions: Json) -> Json:
    """Definitions after some more edits; what they read of events may be new."""
    new = deepcopy(definitions)
    for _ in range(draw(st.integers(1, 3))):
        draw(st.sampled_from(_EDITS))(draw, new)
    return new


def referred_to(definitions: Json) -> set[str]:
    """The ids that criteria refer to."""
    found: set[str] = set()

    def walk(node: Json) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("audience"), str):
                found.add(node["audience"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk([definitions["audiences"], definitions.get("journeys", [])])
    return found


def _remove(draw: st.DrawFn, new: Json) -> None:
    named = referred_to(new)
    free = [one for one in new["audiences"] if one["id"] not in named]
    if len(free) > 1:
        gone = draw(st.sampled_from(free))
        new["audiences"] = [one for one in new["audiences"] if one is not gone]


def _status(draw: st.DrawFn, new: Json) -> None:
    one = draw(st.sampled_from(new["audiences"]))
    one["status"] = "draft" if one.get("status", "active") == "active" else "active"


def _split(draw: st.DrawFn, new: Json) -> None:
    one = draw(st.sampled_from(new["audiences"]))
    if draw(st.booleans()):
        one["ab_test"] = draw(ab_tests())
    else:
        one.pop("ab_test", None)


def _end_tests(draw: st.DrawFn, new: Json) -> None:
    """A/B tests end, all or some; the audiences stay."""
    for one in new["audiences"]:
        if "ab_test" in one and draw(st.integers(0, 3)):
            del one["ab_test"]


def _negate(draw: st.DrawFn, new: Json) -> None:
    one = draw(st.sampled_from(new["audiences"]))
    one["criteria"] = {"not": one["criteria"]}


def _add(draw: st.DrawFn, new: Json) -> None:
    """Another audience in the scope of one that is there, on what user attributes say too."""
    one = deepcopy(draw(st.sampled_from(new["audiences"])))
    one["id"] = f"new{len(new['audiences'])}"
    for key in ("name", "external_name", "ab_test", "status"):
        one.pop(key, None)
    space = one.get("workspaces", [new["workspaces"][0]["id"]])[0]
    wanted = {"user_attribute": draw(st.sampled_from(["k", "K"])), "exists": True}
    if len(new["workspaces"]) > 1:
        wanted["workspace"] = space
    group = draw(st.sampled_from(["all", "any"]))
    one["criteria"] = {group: [one["criteria"], wanted]}
    new["audiences"].insert(draw(st.integers(0, len(new["audiences"]))), one)


def _reorder(draw: st.DrawFn, new: Json) -> None:
    new["audiences"] = draw(st.permutations(new["audiences"]))


def _move(draw: st.DrawFn, new: Json) -> None:
    """Siblings in another order, save that the remaining split stays the last."""
    for journey in new.get("journeys", []):
        splits = [one for one in journey["milestones"] if not one.get("remaining")]
        rest = [one for one in journey["milestones"] if one.get("remaining")]
        journey["milestones"] = [*draw(st.permutations(splits)), *rest]


def _exchange(draw: st.DrawFn, new: Json) -> None:
    """Two calculated attributes of one workspace change names."""
    found = new.get("calculated_attributes", [])
    pairs = [
        (one, other)
        for place, one in enumerate(found)
        for other in found[:place]
        if one["workspace"] == other["workspace"]
    ]
    if pairs:
        one, other = draw(st.sampled_from(pairs))
        one["id"], other["id"] = other["id"], one["id"]


def _other_first(_draw: st.DrawFn, new: Json) -> None:
    """Workspaces in another order."""
    new["workspaces"] = new["workspaces"][::-1]


_EDITS = [
    _remove,
    _status,
    _split,
    _end_tests,
    _negate,
    _add,
    _add,
    _reorder,
    _move,
    _exchange,
    _other_first,
]
