"""What a warning says of memberships is true of every history: checked against a recount of random
definitions and streams, whose audiences are made to resemble each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from cdp_stream.definitions import load_text
from cdp_stream.lint import warnings_of
from tests.properties.definition_strategies import definition_files
from tests.properties.recount import recount
from tests.properties.recount_events import arrival
from tests.properties.stream_strategies import Surroundings, batches
from tests.properties.value_strategies import DAY

Json = Any
CODES = ("never-true", "always-true", "unreachable-milestone", "equal", "contains")


@st.composite
def varied(draw: st.DrawFn, criteria: Json) -> Json:
    """The same criteria with one thing changed, or as part of a group."""
    kind = draw(
        st.sampled_from(["same", "count", "when", "where", "any", "all", "not", "and not", "merge"])
    )
    if kind == "count" and any(key in criteria for key in ("event", "commerce", "screen_view")):
        return {**criteria, "count": draw(st.sampled_from(COUNTS))}
    if kind == "when" and any(key in criteria for key in ("event", "commerce", "screen_view")):
        return {**criteria, "when": draw(st.sampled_from(WHENS))}
    if kind == "where" and any(key in criteria for key in ("event", "commerce", "screen_view")):
        more = draw(st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=2))
        return {**criteria, "where": [*criteria.get("where", ()), *more]}
    if kind == "any":
        return {"any": [criteria, draw(st.sampled_from(OTHERS))]}
    if kind == "all":
        return {"all": [criteria, draw(st.sampled_from(OTHERS))]}
    if kind == "not":
        return {"not": criteria}
    if kind == "and not":
        return {"all": [draw(st.sampled_from(OTHERS))], "exclude": [criteria]}
    return {"all": [criteria, criteria]}


COUNTS = [{"at_least": 1}, {"at_least": 2}, {"at_most": 1}, {"equals": 2}, {"between": [1, 2]}]
WHENS = [{"last": "2d"}, {"last": "1d"}, {"between": ["2d", "1d"]}, "any_time"]
CONDITIONS = [
    {"attribute": "k", "equals": "a"},
    {"attribute": "k", "equals": "42"},
    {"attribute": "k", "one_of": ["a", 42]},
    {"attribute": "k", "does_not_equal": "a"},
    {"attribute": "k", "starts_with": "a"},
    {"attribute": "k", "at_least": 42},
    {"attribute": "k", "less_than": 42},
    {"attribute": "k", "does_not_equal": 42},
    {"attribute": "k", "last": "1d"},
    {"attribute": "k", "before": "2024-01-15"},
    {"attribute": "k", "exists": True},
    {"field": "k", "equals": "a"},
    {"field": "k", "less_than": 42},
    {"product_attribute": "k", "equals": "a"},
    {"product_attribute": "k", "at_least": 42},
]
OTHERS = [
    {"event": "any"},
    {"event": "any", "count": {"at_most": 2}},
    {"user_attribute": "k", "exists": True},
    {"user_attribute": "k", "equals": "a"},
    {"user_attribute": "k", "greater_than": 41},
    {"user_attribute": "k", "less_than": 43},
    {"user_attribute": "k", "contains": "a"},
]


@st.composite
def resembling(draw: st.DrawFn) -> Json:
    """A definition file with variations of its audiences beside them, none of them a draft, and in
    each workspace an audience of all who are active there.
    """
    found = draw(definition_files())
    originals = list(found["audiences"])
    for number in range(draw(st.integers(2, 5))):
        like = draw(st.sampled_from(originals))
        criteria = draw(varied(like["criteria"]))
        variation = {**like, "id": f"v{number}", "criteria": criteria}
        # A window may lie beyond the audience's lookback, a user criterion may lack its workspace.
        if is_right({**found, "audiences": [*found["audiences"], variation]}):
            found["audiences"].append(variation)
    for audience in found["audiences"]:
        audience.pop("status", None)
    for space in found["workspaces"]:
        everyone = {"id": f"in-{space['id']}", "workspaces": [space["id"]], "criteria": EVERYONE}
        found["audiences"].append(everyone)
    return found


def is_right(definitions: Json) -> bool:
    return load_text(json.dumps(definitions, ensure_ascii=False)).problems == []


EVERYONE = {"any": [{"event": "any"}, {"not": {"event": "any"}}]}


@pytest.mark.timeout(900)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_no_history_contradicts_a_warning(data: st.DataObject) -> None:
    definitions = data.draw(resembling())
    loaded = load_text(json.dumps(definitions, ensure_ascii=False))
    assert loaded.problems == []
    warnings = [w for w in warnings_of(loaded) if w.code in CODES]
    for warning in warnings:
        note(str(warning))
        event(warning.code)
    around = Surroundings(data.draw, definitions)
    stream = [data.draw(batches(around)) for _ in range(data.draw(st.integers(4, 10)))]
    assert loaded.account is not None
    spaces = {audience.id: audience.workspaces for audience in loaded.account.audiences}
    for members in memberships_in(definitions, stream):
        for warning in warnings:
            check(warning.code, warning.related, members, spaces)


def memberships_in(definitions: Json, stream: list[Json]) -> Iterator[set[str]]:
    """What each profile is a member of, at every instant at which that changes."""
    until = max(arrival(batch) for batch in stream) + 40 * DAY
    changes = recount(definitions, stream, until)
    for mpid in {change["mpid"] for change in changes}:
        own = [change for change in changes if change["mpid"] == mpid]
        members: set[str] = set()
        for _, together in groupby(own, key=itemgetter("effective_at")):
            for change in together:
                if change["action"] == "add":
                    members.add(change["audience_id"])
                else:
                    members.discard(change["audience_id"])
            yield set(members)


def check(
    code: str, related: tuple[str, ...], members: set[str], spaces: dict[str, tuple[str, ...]]
) -> None:
    """Whether what a warning says holds of these memberships."""
    if code in ("never-true", "unreachable-milestone"):
        assert related[0] not in members
    elif code == "always-true":
        active = any(f"in-{space}" in members for space in spaces[related[0]])
        assert (related[0] in members) == active
    else:
        first, second = related
        assert second not in members or first in members
        assert code == "contains" or first not in members or second in members
