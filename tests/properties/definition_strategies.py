"""Random definition files.

Everything generated passes the rules of definitions.md, Checking; warnings are welcome.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.properties.recount_values import duration
from tests.properties.value_strategies import (
    ACTIONS,
    ATTRIBUTES,
    DURATIONS,
    EVENT_TYPES,
    SCREEN_NAMES,
    ago_bounds,
    cap,
    counts,
    date_tests,
    durations,
    event_names,
    some_durations,
    value_tests,
)

Json = Any


class Scope:
    """Where criteria are generated: their inputs and lookback, and what they may refer to."""

    def __init__(self, inputs: list[str], lookback: int | None, references: list[str]) -> None:
        self.inputs = inputs
        self.lookback = lookback
        self.references = references


@st.composite
def whens(draw: st.DrawFn, scope: Scope) -> Json:
    """A window whose newer bound lies within the lookback."""
    if draw(st.integers(0, 7)) == 7:
        return "any_time"
    when = draw(
        st.one_of(
            date_tests,
            durations.map(lambda length: {"last": length}),
            ago_bounds.map(lambda pair: {"between": pair}),
        )
    )
    (bounds,) = when.values()
    ago = isinstance(bounds, list) and bounds[0] in DURATIONS
    if ago and scope.lookback is not None and duration(bounds[1]) > scope.lookback:
        return {"between": [bounds[0], "0d"]}
    return when


@st.composite
def conditions(draw: st.DrawFn, subject: str, wanted: Json) -> Json:
    """One `where` entry that fits the subject."""
    places = [("attribute", key) for key in ATTRIBUTES]
    places += [
        ("app", "version"),
        ("app", "build"),
        ("device", "platform"),
        ("device", "os_version"),
    ]
    if subject == "commerce" and not str(wanted).startswith("promotion"):
        places += [("product", name) for name in ("id", "price", "quantity", "brand")]
        places += [("product", name) for name in ("id", "price", "quantity", "brand")]
        places += [("product_attribute", "k"), ("product_attribute", "$v")]
        places += [
            ("field", "total_amount"),
            ("field", "transaction_id"),
            ("field", "currency_code"),
        ]
    if subject == "session" and wanted == "end":
        places += [("field", "session_duration_ms")]
    if subject == "crash":
        places += [("field", "severity"), ("field", "message")]
    place, key = draw(st.sampled_from(places))
    return {place: key, **draw(value_tests)}


PLAIN = event_names.map(lambda name: ("event", name))
COMMERCE = st.sampled_from(
    [*ACTIONS, *ACTIONS, "promotion_view", "promotion_click", "impression", "any"]
).map(lambda action: ("commerce", action))
SUBJECTS: list[st.SearchStrategy[tuple[str, Json]]] = [
    *[PLAIN] * 7,
    st.just(("event", "any")),
    st.builds(
        lambda name, kind: ("event", {"name": name, "custom_event_type": kind}),
        event_names,
        st.sampled_from(EVENT_TYPES),
    ),
    st.sampled_from([*SCREEN_NAMES, "any"]).map(lambda name: ("screen_view", name)),
    *[COMMERCE] * 4,
    st.sampled_from(["start", "end"]).map(lambda edge: ("session", edge)),
    st.sampled_from(["install", "upgrade", "uninstall", "crash"]).map(lambda kind: (kind, "any")),
    st.one_of(event_names, st.just("any")).map(lambda name: ("attribution", name)),
]
"""How criteria name what they read, plain event names most often, so that several read the same."""


@st.composite
def event_criteria(draw: st.DrawFn, scope: Scope) -> Json:
    """An event criterion with any of its parts."""
    subject, wanted = draw(draw(st.sampled_from(SUBJECTS)))
    criterion: Json = {subject: wanted}
    if draw(st.booleans()):
        criterion["count"] = draw(counts)
    if draw(st.integers(0, 3)) < 3:
        criterion["when"] = draw(whens(scope))
    if draw(st.integers(0, 4)) == 4:
        criterion["where"] = draw(st.lists(conditions(subject, wanted), min_size=1, max_size=2))
    if subject not in ("install", "upgrade", "uninstall", "crash") and draw(st.integers(0, 5)) == 5:
        criterion["inputs"] = draw(some_inputs(scope.inputs))
    return criterion


@st.composite
def some_inputs(draw: st.DrawFn, inputs: list[str]) -> list[str]:
    """Always with the first, whose every event is `personalize`: a criterion must read one such."""
    return [inputs[0], *(one for one in inputs[1:] if draw(st.booleans()))]


@st.composite
def criteria(draw: st.DrawFn, scope: Scope, depth: int = 3) -> Json:
    """A criterion or a group of them, any depth up to `depth`."""
    kind = draw(
        st.sampled_from(["event"] * 5 + ["attribute"] * 2 + ["reference"] * 2 + ["group"] * 4)
    )
    found: Json
    if kind == "group" and depth > 0:
        group = draw(st.sampled_from(["all", "any", "not"]))
        if group == "not":
            found = {"not": draw(criteria(scope, depth - 1))}
        else:
            found = {
                group: [draw(criteria(scope, depth - 1)) for _ in range(draw(st.integers(1, 3)))]
            }
    elif kind == "reference" and scope.references:
        found = {"audience": draw(st.sampled_from(scope.references))}
    elif kind == "attribute":
        found = {"user_attribute": draw(st.sampled_from(ATTRIBUTES)), **draw(value_tests)}
    else:
        found = draw(event_criteria(scope))
    if depth > 0 and draw(st.integers(0, 6)) == 6:
        found["exclude"] = [draw(criteria(scope, depth - 1))]
    return found


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
    if lifetime := draw(st.sampled_from([None, "unlimited", "unlimited", "unlimited", *some])):
        found["profile_lifetime"] = lifetime
    return found


def scope_of(workspace: Json, references: list[str], own_lookback: str | None = None) -> Scope:
    """The scope of criteria in a workspace, for an audience with its own lookback or none."""
    return Scope(
        inputs=[one["id"] for one in workspace["inputs"]],
        lookback=cap(own_lookback or workspace.get("lookback", "30d")),
        references=references,
    )


@st.composite
def audiences(draw: st.DrawFn, number: int, spaces: list[Json], references: list[str]) -> Json:
    """An audience `a<number>` in one workspace."""
    workspace = draw(st.sampled_from(spaces))
    found: Json = {"id": f"a{number}"}
    if len(spaces) > 1 or draw(st.booleans()):
        found["workspaces"] = [workspace["id"]]
    for key, value in (
        ("name", f"Name {number}"),
        ("external_name", f"external {number}"),
        ("tags", ["t"]),
    ):
        if draw(st.integers(0, 3)) == 0:
            found[key] = value
    if draw(st.integers(0, 3)) == 0:
        found["inputs"] = draw(some_inputs([one["id"] for one in workspace["inputs"]]))
    if draw(st.integers(0, 2)) == 0:
        widest = cap(workspace.get("lookback", "30d"))
        allowed = [*draw(some_durations), "unlimited"]
        if widest is not None:
            allowed = [one for one in allowed[:-1] if duration(one) <= widest]
        if allowed:
            found["lookback"] = draw(st.sampled_from(allowed))
    if draw(st.integers(0, 9)) == 0:
        found["status"] = "draft"
    scope = scope_of(workspace, references, found.get("lookback"))
    # Most are simple: in a deep group a wrong criterion seldom shows.
    found["criteria"] = draw(criteria(scope, depth=draw(st.sampled_from([0, 0, 0, 1, 3]))))
    return found


@st.composite
def counters(draw: st.DrawFn, number: int, spaces: list[Json]) -> Json:
    """An audience `c<number>` that only counts a name, or certain commerce events: a wrong
    count shows in it at once.
    """
    scope = scope_of(spaces[0], [])
    criterion: Json = {"when": draw(whens(scope))}
    if number == 0:
        criterion["commerce"] = action = draw(st.sampled_from(ACTIONS))
        criterion["where"] = [draw(conditions("commerce", action)) for _ in range(2)]
    else:
        criterion |= {"event": draw(event_names), "count": draw(counts)}
    return {"id": f"c{number}", "workspaces": [spaces[0]["id"]], "criteria": criterion}


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
        scope.references.append(f"{journey}/{one['id']}")
        if depth > 0 and draw(st.integers(0, 2)) == 0:
            one["then"] = draw(milestones(journey, scope, counter, depth - 1))
        found.append(one)
    return found


@st.composite
def journeys(draw: st.DrawFn, number: int, spaces: list[Json], references: list[str]) -> Json:
    """A journey `j<number>`; a milestone refers only to what stands before it: no cycle."""
    workspace = draw(st.sampled_from(spaces))
    found: Json = {"id": f"j{number}"}
    if len(spaces) > 1 or draw(st.booleans()):
        found["workspaces"] = [workspace["id"]]
    scope = scope_of(workspace, references)
    if draw(st.integers(0, 3)) == 0:
        found["inputs"] = draw(some_inputs(scope.inputs))
    found["milestones"] = draw(milestones(found["id"], scope, [0], depth=2))
    return found


@st.composite
def definition_files(draw: st.DrawFn) -> Json:
    """A whole definition file; audiences stand in any order, so they may refer forwards."""
    spaces = [draw(workspaces(number)) for number in range(draw(st.sampled_from([1, 1, 2])))]
    if len(spaces) == 1 and len(spaces[0]["inputs"]) == 1 and draw(st.booleans()):
        del spaces[0]["inputs"][0]["api_key"]
    references: list[str] = []
    found_journeys = []
    found_audiences = []
    for number in range(draw(st.sampled_from([0, 0, 1, 2]))):
        found_journeys.append(draw(journeys(number, spaces, references)))
    for number in range(draw(st.integers(2, 6))):
        found_audiences.append(draw(audiences(number, spaces, references)))
        references.append(f"a{number}")
    for number in range(3):
        found_audiences.append(draw(counters(number, spaces)))
    if len(spaces) > 1:
        found_audiences += CROSSING
    found: Json = {"version": 1, "account": "acme", "workspaces": spaces}
    found["audiences"] = draw(st.permutations(found_audiences))
    if found_journeys:
        found["journeys"] = found_journeys
    return found
