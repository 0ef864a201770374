"""Random criteria of every kind, and groups of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.properties.profile_strategies import profile_tests
from tests.properties.recount_values import duration
from tests.properties.value_strategies import (
    ACTIONS,
    ATTRIBUTES,
    DURATIONS,
    EVENT_TYPES,
    SCREEN_NAMES,
    ago_bounds,
    counts,
    date_tests,
    durations,
    event_names,
    number_tests,
    some_durations,
    value_tests,
)

Json = Any
NUMERIC = ("count", "sum", "min", "max", "average", "unique_values_count")
OTHER_CALCULATIONS = ("most_frequent", "unique_list", "first_occurrence", "last_occurrence")
TIMESTAMPS = ("first_occurrence_timestamp", "last_occurrence_timestamp")


class Scope:
    """Where criteria are generated.

    `spaces` are the ids of the workspaces, `inputs` the inputs that the audience reads, `own` all
    inputs by workspace, `lookback` the shortest in ms or None, `references` what `audience` may
    name, `calculated` the calculated attributes of the workspaces.
    """

    def __init__(
        self,
        spaces: list[Json],
        inputs: list[str],
        lookback: int | None,
        references: list[str],
        calculated: list[Json],
    ) -> None:
        self.spaces = [one["id"] for one in spaces]
        self.own = {one["id"]: [source["id"] for source in one["inputs"]] for one in spaces}
        self.inputs = inputs
        self.lookback = lookback
        self.references = references
        self.calculated = [one for one in calculated if one["workspace"] in self.spaces]


ago_windows = ago_bounds.map(lambda pair: {"between": pair})
any_windows = st.one_of(date_tests, durations.map(lambda length: {"last": length}), ago_windows)


@st.composite
def whens(draw: st.DrawFn, scope: Scope, windows: st.SearchStrategy[Json] = any_windows) -> Json:
    """A window whose newer bound lies within the lookback."""
    if draw(st.integers(0, 7)) == 7:
        return "any_time"
    when = draw(windows)
    (bounds,) = when.values()
    ago = isinstance(bounds, list) and bounds[0] in DURATIONS
    if ago and scope.lookback is not None and duration(bounds[1]) > scope.lookback:
        return {"between": [bounds[0], "0d"]}
    return when


def places_of(subject: str, wanted: Json) -> list[tuple[str, str]]:
    """Where events of a subject have values to look at."""
    places = [("attribute", key) for key in ATTRIBUTES]
    places += [("app", "version"), ("app", "build")]
    places += [("device", "platform"), ("device", "os_version")]
    if subject == "commerce" and not str(wanted).startswith("promotion"):
        places += [*PRODUCT_PLACES, *PRODUCT_PLACES]
        places += [("field", name) for name in ("total_amount", "transaction_id", "currency_code")]
    if subject == "session" and wanted == "end":
        places += [("field", "session_duration_ms")]
    if subject == "crash":
        places += [("field", "severity"), ("field", "message")]
    return places


PRODUCT_PLACES = [
    *[("product", name) for name in ("id", "price", "quantity", "brand")],
    ("product_attribute", "k"),
    ("product_attribute", "$v"),
]


@st.composite
def conditions(draw: st.DrawFn, subject: str, wanted: Json) -> Json:
    """One `where` entry that fits the subject."""
    place, key = draw(st.sampled_from(places_of(subject, wanted)))
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
EVERY_INPUT = ("install", "upgrade", "uninstall", "crash")


@st.composite
def subjects_with_where(draw: st.DrawFn) -> Json:
    """A subject and, at times, conditions on its events."""
    subject, wanted = draw(draw(st.sampled_from(SUBJECTS)))
    found: Json = {subject: wanted}
    if draw(st.integers(0, 4)) == 4:
        found["where"] = draw(st.lists(conditions(subject, wanted), min_size=1, max_size=2))
    return found


@st.composite
def read_from(draw: st.DrawFn, scope: Scope, criterion: Json, every_input: bool = False) -> Json:
    """The criterion, at times with a workspace or inputs of its own."""
    spaces = [one for one in scope.spaces if every_input or scope.own[one][0] in scope.inputs]
    if len(scope.spaces) > 1 and draw(st.integers(0, 2)) == 2:
        criterion["workspace"] = draw(st.sampled_from(spaces))
        spaces = [criterion["workspace"]]
    if not every_input and draw(st.integers(0, 5)) == 5:
        criterion["inputs"] = draw(some_inputs([scope.own[one] for one in spaces]))
    return criterion


@st.composite
def some_inputs(draw: st.DrawFn, inputs: list[list[str]]) -> list[str]:
    """Of one workspace at least the first input, whose every event is `personalize`: a criterion
    must read one such.
    """
    kept = draw(st.integers(0, len(inputs) - 1))
    return [
        one
        for number, own in enumerate(inputs)
        for one in own
        if (number == kept and one == own[0]) or draw(st.booleans())
    ]


@st.composite
def event_criteria(draw: st.DrawFn, scope: Scope) -> Json:
    """An event criterion with any of its parts."""
    criterion = draw(subjects_with_where())
    if draw(st.booleans()):
        criterion["count"] = draw(counts)
    if draw(st.integers(0, 3)) < 3:
        criterion["when"] = draw(whens(scope))
    every_input = any(subject in criterion for subject in EVERY_INPUT)
    return draw(read_from(scope, criterion, every_input))


@st.composite
def carts(draw: st.DrawFn, scope: Scope) -> Json:
    """A cart abandonment whose wait lies within the lookback."""
    waits = [
        one
        for one in draw(some_durations)
        if scope.lookback is None or duration(one) <= scope.lookback
    ]
    asked: Json = {"wait": draw(st.sampled_from(waits or ["1ms"]))}
    if draw(st.booleans()):
        asked["closing"] = draw(
            st.sampled_from([["any"], ["any"], ["refund", "purchase"], ["remove_from_cart"]])
        )
    criterion: Json = {"cart_abandonment": asked}
    if draw(st.integers(0, 3)) == 3:
        place, key = draw(st.sampled_from(PRODUCT_PLACES))
        criterion["where"] = [{place: key, **draw(value_tests)}]
    return draw(read_from(scope, criterion))


@st.composite
def sequences(draw: st.DrawFn, scope: Scope) -> Json:
    """A sequence whose steps fit into its duration."""
    size = draw(st.sampled_from([2, 2, 2, 3]))
    steps = [draw(subjects_with_where()) for _ in range(size)]
    lengths = [one for one in draw(some_durations) if duration(one) >= size - 1]
    criterion: Json = {"sequence": steps, "within": draw(st.sampled_from(lengths or ["5ms"]))}
    # Those that enter their window late are the hardest to keep.
    if draw(st.integers(0, 2)):
        criterion["when"] = draw(whens(scope, draw(st.sampled_from([any_windows, ago_windows]))))
    every_input = all(any(subject in step for subject in EVERY_INPUT) for step in steps)
    return draw(read_from(scope, criterion, every_input))


@st.composite
def calculated_tests(draw: st.DrawFn, scope: Scope) -> Json:
    """A test on a calculated attribute, most often one that fits what it calculates."""
    entry = draw(st.sampled_from(scope.calculated))
    fitting = value_tests
    if entry["calculation"] in NUMERIC:
        fitting = number_tests
    elif entry["calculation"] in TIMESTAMPS:
        fitting = date_tests
    tests = draw(st.sampled_from([fitting, fitting, fitting, value_tests]))
    found = {"calculated_attribute": entry["id"], **draw(tests)}
    if len(scope.spaces) > 1:
        found["workspace"] = entry["workspace"]
    return found


@st.composite
def profile_criteria(draw: st.DrawFn, scope: Scope) -> Json:
    """A test on what the profile has in a workspace; over several it names one."""
    found = draw(profile_tests)
    if len(scope.spaces) > 1 and ("identity" not in found or draw(st.booleans())):
        found["workspace"] = draw(st.sampled_from(scope.spaces))
    return found


KINDS = [
    *["event"] * 6,
    *["profile"] * 5,
    *["reference"] * 2,
    *["group"] * 5,
    *["cart"] * 2,
    *["sequence"] * 2,
    *["calculated"] * 3,
]

kinds = st.shared(
    st.sampled_from(
        [
            *[KINDS] * 3,
            *(["cart", "cart", "cart", "group"], ["sequence", "sequence", "sequence", "group"]),
            *(["calculated"], ["calculated", "calculated", "group"]),
            *(["profile"], ["profile", "profile", "profile", "group"]),
        ]
    ),
    key="kinds",
).flatmap(st.sampled_from)
"""Some cases are about one kind alone, so that its events and values meet."""


@st.composite
def criteria(draw: st.DrawFn, scope: Scope, depth: int = 3) -> Json:
    """A criterion or a group of them, any depth up to `depth`."""
    kind = draw(kinds)
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
    elif kind == "calculated" and scope.calculated:
        found = draw(calculated_tests(scope))
    elif kind == "profile":
        found = draw(profile_criteria(scope))
    elif kind == "cart":
        found = draw(carts(scope))
    elif kind == "sequence":
        found = draw(sequences(scope))
    else:
        found = draw(event_criteria(scope))
    if depth > 0 and draw(st.integers(0, 6)) == 6:
        found["exclude"] = [draw(criteria(scope, depth - 1))]
    return found


@st.composite
def calculated_attributes(draw: st.DrawFn, number: int, spaces: list[Json]) -> Json:
    """A calculated attribute `v<number>`."""
    calculation = draw(st.sampled_from([*NUMERIC, *OTHER_CALCULATIONS, *TIMESTAMPS]))
    of = draw(subjects_with_where())
    optional = calculation == "count" or calculation in TIMESTAMPS
    if not optional or draw(st.booleans()):
        (subject,) = [key for key in of if key != "where"]
        place, key = draw(st.sampled_from(places_of(subject, of[subject])))
        of[place] = key
    found: Json = {
        "id": f"v{number}",
        "workspace": draw(st.sampled_from(spaces))["id"],
        "calculation": calculation,
        "of": of,
    }
    span = draw(
        st.one_of(
            st.just({}),
            durations.map(lambda length: {"within": length}),
            durations.map(lambda length: {"within": length}),
            st.sampled_from(["2024-01-14", "2024-01-15", "2024-01-16"]).map(
                lambda day: {"since": day}
            ),
        )
    )
    return found | span
