"""Random definition files.

Everything generated passes the rules of definitions.md, Checking; warnings are welcome.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.properties.criterion_strategies import (
    Scope,
    calculated_attributes,
    calculated_tests,
    conditions,
    criteria,
    profile_criteria,
    some_inputs,
    whens,
)
from tests.properties.recount_values import duration
from tests.properties.value_strategies import ACTIONS, cap, counts, event_names, some_durations

Json = Any


@st.composite
def workspaces(draw: st.DrawFn, number: int) -> Json:
    """A workspace `w<number>` of one or two inputs; the first is personalize throughout."""
    identity = f"w{number}"
    found: Json = {
        "id": identity,
        "inputs": [{"id": f"{identity}a", "kind": "platform", "api_key": f"key-{identity}a"}],
    }
    if draw(st.booleans()):
        second = {"id": f"{identity}b", "kind": "feed", "api_key": f"key-{identity}b"}
        tier = draw(st.sampled_from([None, "personalize", "preserve", "connect"]))
        found["inputs"].append(second | ({"tier": tier} if tier else {}))
        name = draw(event_names)
        subjects = [
            subject
            for subject in (
                {"event": name.casefold()},
                {"event": "any"},
                {"event": {"name": name, "custom_event_type": "other"}},
                {"screen_view": "home"},
                {"commerce": "purchase"},
                {"crash": "any"},
            )
            if draw(st.booleans())
        ]
        subjects = draw(st.permutations(subjects))
        if subjects:
            found["event_tiers"] = [
                {
                    **one,
                    "input": second["id"],
                    "tier": draw(
                        st.sampled_from(["personalize", "preserve", "personalize", "connect"])
                    ),
                }
                for one in subjects
            ]
    some = draw(some_durations)
    if lookback := draw(st.sampled_from([None, "unlimited", "unlimited", *some])):
        found["lookback"] = lookback
    if lifetime := draw(st.sampled_from([None, "unlimited", "unlimited", *some])):
        found["profile_lifetime"] = lifetime
    return found


def scope_of(around: Around, spaces: list[Json], holder: Json) -> Scope:
    """The scope of criteria of an audience or a journey, with its own inputs and lookback."""
    reaches = [cap(holder.get("lookback") or space.get("lookback", "30d")) for space in spaces]
    limited = [reach for reach in reaches if reach is not None]
    every = [source["id"] for space in spaces for source in space["inputs"]]
    return Scope(
        spaces=spaces,
        inputs=holder.get("inputs", every),
        lookback=min(limited, default=None),
        references=around.references,
        calculated=around.calculated,
    )


class Around:
    """What stands in the file already: its workspaces, calculated attributes and audiences."""

    def __init__(self, spaces: list[Json], calculated: list[Json]) -> None:
        self.spaces = spaces
        self.calculated = calculated
        self.references: list[str] = []


@st.composite
def chosen_spaces(draw: st.DrawFn, around: Around, holder: Json) -> list[Json]:
    """The workspaces of an audience or a journey, written into it unless they are all."""
    spaces = around.spaces
    if len(spaces) > 1 and draw(st.booleans()):
        spaces = [draw(st.sampled_from(spaces))]
    if len(spaces) < len(around.spaces) or draw(st.booleans()):
        spaces = draw(st.permutations(spaces))
        holder["workspaces"] = [one["id"] for one in spaces]
    if draw(st.integers(0, 3)) == 0:
        inputs = [[source["id"] for source in one["inputs"]] for one in spaces]
        holder["inputs"] = draw(some_inputs(inputs))
    return spaces


SHARES = [[50], [40, 40], [100], [33.33, 33.33], [0.01, 99.98], [25, 25, 25, 25], [12.5, 7, 80]]


@st.composite
def ab_tests(draw: st.DrawFn) -> Json:
    """A test of up to five variants with Control, at times of Control alone with one."""
    variants: list[Json] = [{"percent": share} for share in draw(st.sampled_from(SHARES))]
    for number, variant in enumerate(variants):
        if draw(st.booleans()):
            variant["name"] = f"Arm {number}"
    seed = draw(st.sampled_from([None, "s", "ß"]))
    return {"variants": variants} | ({"seed": seed} if seed else {})


@st.composite
def audiences(draw: st.DrawFn, number: int, around: Around) -> Json:
    """An audience `a<number>` in one workspace or all."""
    found: Json = {"id": f"a{number}"}
    spaces = draw(chosen_spaces(around, found))
    for key, value in (
        ("name", f"Name {number}"),
        ("external_name", f"external {number}"),
        ("tags", ["t"]),
    ):
        if draw(st.integers(0, 3)) == 0:
            found[key] = value
    if draw(st.integers(0, 2)) == 0:
        limits = [cap(space.get("lookback", "30d")) for space in spaces]
        widest = min((one for one in limits if one is not None), default=None)
        allowed = [*draw(some_durations), "unlimited"]
        if widest is not None:
            allowed = [one for one in allowed[:-1] if duration(one) <= widest]
        if allowed:
            found["lookback"] = draw(st.sampled_from(allowed))
    if draw(st.integers(0, 9)) == 0:
        found["status"] = "draft"
    if draw(st.integers(0, 4)) == 0:
        found["ab_test"] = draw(ab_tests())
    scope = scope_of(around, spaces, found)
    # Most are simple: in a deep group a wrong criterion seldom shows.
    found["criteria"] = draw(criteria(scope, depth=draw(st.sampled_from([0, 0, 0, 1, 3]))))
    return found


@st.composite
def counters(draw: st.DrawFn, number: int, around: Around) -> Json:
    """An audience `c<number>` that only counts a name, or certain commerce events: a wrong
    count shows in it at once.
    """
    spaces = around.spaces[:1]
    scope = scope_of(around, spaces, {})
    criterion: Json = {"when": draw(whens(scope))}
    if number == 0:
        criterion["commerce"] = action = draw(st.sampled_from(ACTIONS))
        criterion["where"] = [draw(conditions("commerce", action)) for _ in range(2)]
    else:
        criterion |= {"event": draw(event_names), "count": draw(counts)}
    return {"id": f"c{number}", "workspaces": [spaces[0]["id"]], "criteria": criterion}


@st.composite
def probes(draw: st.DrawFn, number: int, around: Around) -> Json:
    """An audience `p<number>` that only tests one value of the profile, or of what is calculated
    from its events.
    """
    spaces = around.spaces[:1]
    scope = scope_of(around, spaces, {})
    kinds = [profile_criteria, calculated_tests] if scope.calculated else [profile_criteria]
    kind = draw(st.sampled_from(kinds))
    return {"id": f"p{number}", "workspaces": [spaces[0]["id"]], "criteria": draw(kind(scope))}


CROSSING: list[Json] = [
    {"id": "x0", "workspaces": ["w1"], "criteria": {"audience": "c1"}},
    {"id": "x1", "workspaces": ["w1"], "criteria": {"all": [{"audience": "x0"}]}},
]
"""In the second workspace: who is active there too and in an audience of the first."""


@st.composite
def milestones(
    draw: st.DrawFn, journey: str, scope: Scope, counter: list[int], depth: int
) -> list[Json]:
    """Siblings, perhaps with a remaining-users split, and what hangs below them."""
    found = []
    size = draw(st.integers(1, 3))
    for position in range(size + draw(st.integers(0, 1))):
        counter[0] += 1
        one: Json = {"id": f"m{counter[0]}"}
        if position == size:
            one["remaining"] = True
        else:
            one["criteria"] = draw(criteria(scope, depth=1))
        if draw(st.integers(0, 3)) == 0:
            one["name"] = f"Milestone {counter[0]}"
        if draw(st.integers(0, 7)) == 0:
            one["ab_test"] = draw(ab_tests())
        scope.references.append(f"{journey}/{one['id']}")
        if depth > 0 and draw(st.integers(0, 2)) == 0:
            one["then"] = draw(milestones(journey, scope, counter, depth - 1))
        found.append(one)
    return found


@st.composite
def journeys(draw: st.DrawFn, number: int, around: Around) -> Json:
    """A journey `j<number>`; a milestone refers only to what stands before it: no cycle."""
    found: Json = {"id": f"j{number}"}
    spaces = draw(chosen_spaces(around, found))
    scope = scope_of(around, spaces, found)
    found["milestones"] = draw(milestones(found["id"], scope, [0], depth=2))
    return found


@st.composite
def definition_files(draw: st.DrawFn) -> Json:
    """A whole definition file; audiences stand in any order, so they may refer forwards."""
    spaces = [draw(workspaces(number)) for number in range(draw(st.integers(1, 2)))]
    if len(spaces) == 1 and len(spaces[0]["inputs"]) == 1 and draw(st.booleans()):
        del spaces[0]["inputs"][0]["api_key"]
    size = draw(st.sampled_from([0, 1, 2, 3]))
    calculated = [draw(calculated_attributes(number, spaces)) for number in range(size)]
    around = Around(spaces, calculated)
    found_journeys = []
    found_audiences = []
    for number in range(draw(st.sampled_from([0, 0, 1, 2]))):
        found_journeys.append(draw(journeys(number, around)))
    for number in range(draw(st.integers(3, 8))):
        found_audiences.append(draw(audiences(number, around)))
        around.references.append(f"a{number}")
    for number in range(3):
        found_audiences.append(draw(counters(number, around)))
        found_audiences.append(draw(probes(number, around)))
    if len(spaces) > 1:
        found_audiences += CROSSING
    found: Json = {"version": 1, "account": "acme", "workspaces": spaces}
    if calculated:
        found["calculated_attributes"] = calculated
    found["audiences"] = draw(st.permutations(found_audiences))
    if found_journeys:
        found["journeys"] = found_journeys
    return found
