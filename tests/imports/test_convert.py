"""What becomes of each part of the audience-sdk's language."""

from typing import Any

import pytest

from tests.imports.conversions import (
    aggregate,
    ago,
    compare,
    convert,
    count,
    criteria,
    day,
    every,
    left_out,
    path,
    some,
)


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("equals", "gold", {"equals": "gold"}),
        ("equals", 20.0, {"equals": 20}),
        ("equals", True, {"is": True}),
        ("not_equals", True, {"does_not_equal": True}),
        ("less_than", 1, {"less_than": 1}),
        ("less_than_equal", 1.5, {"at_most": 1.5}),
        ("greater_than", 1, {"greater_than": 1}),
        ("greater_than_equal", 1, {"at_least": 1}),
        ("contains", "a", {"contains": "a"}),
        ("not_contains", "a", {"does_not_contain": "a"}),
        ("starts_with", "a", {"starts_with": "a"}),
        ("not_starts_with", "a", {"does_not_match_pattern": "a*"}),
        ("ends_with", "a", {"ends_with": "a"}),
        ("not_ends_with", "a", {"does_not_match_pattern": "*a"}),
        ("matches", "Par*", {"pattern": "Par*"}),
        ("matches", "^Par.*$", {"pattern": "Par*"}),
        ("matches", r"a.+@b\.com", {"pattern": "a?*@b.com"}),
        ("not_matches", "a.b.*", {"does_not_match_pattern": "a?b*"}),
        ("in", ["a", 1], {"one_of": ["a", 1]}),
        ("in", "a", {"one_of": ["a"]}),
        ("not_in", ["a"], {"not_one_of": ["a"]}),
        ("match_any", ["a"], {"one_of": ["a"]}),
        ("between", [1, 2], {"between": [1, 2]}),
    ],
)
def test_an_operator_has_its_like(operator: str, value: Any, expected: Any) -> None:
    assert criteria(compare(operator, "user.k", value)) == {"user_attribute": "k", **expected}


@pytest.mark.parametrize(
    ("operator", "value", "why"),
    [
        ("less_than", "m", "`less_than` compared with 'm', which is not a number"),
        ("matches", "[a-z]+", "the regular expression `[a-z]+`"),
        ("matches", r"\d\d", r"the regular expression `\d\d`"),
        ("matches", r"a\*.*", r"the regular expression `a\*.*`"),
        ("matches", "a|b", "the regular expression `a|b`"),
        ("not_starts_with", "a*", "`not_starts_with` of text with `*` or `?` in it"),
        ("between", [1], "`between` without two numbers"),
        ("match_all", ["a"], "`match_all` with a list"),
        ("within", 3, "the operator `within` here"),
    ],
)
def test_an_operator_without_its_like_is_left_out(operator: str, value: Any, why: str) -> None:
    assert left_out(compare(operator, "user.k", value)) == why


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("user.plan", {"user_attribute": "plan"}),
        ("people.plan.name", {"user_attribute": "plan.name"}),
        ("user.user_attributes.plan", {"user_attribute": "plan"}),
        ("user.attributes.plan", {"user_attribute": "plan"}),
        ("user.identities.email", {"identity": "email"}),
        ("user.device_info.platform", {"device": "platform"}),
        ("user.location.state", {"location": "region"}),
        ("user.location.mood", {"user_attribute": "location.mood"}),
    ],
)
def test_a_path_of_the_profile_has_its_subject(where: str, expected: Any) -> None:
    found = criteria(compare("equals", where, "x"), "people=user")
    assert found == {**expected, "equals": "x"}


@pytest.mark.parametrize(
    ("operator", "exists"),
    [("exists", True), ("not_null", True), ("not_exists", False), ("null", False)],
)
def test_a_value_exists_or_does_not(operator: str, exists: bool) -> None:
    found = criteria({"operator": operator, "operand": path("user.email")})
    assert found == {"user_attribute": "email", "exists": exists}


def test_everybody_has_an_id() -> None:
    everybody = {"first_seen": {"last": "36500d"}}
    assert criteria({"operator": "exists", "operand": path("user.id")}) == everybody
    why = left_out({"operator": "null", "operand": path("user.mpid")})
    assert why == "`null` of `mpid`, which every profile has"
    assert left_out(compare("equals", "user.id", "7")) == "a test of the profile's own id"


@pytest.mark.parametrize(
    ("operator", "when", "expected"),
    [
        ("greater_than_equal", ago(7), {"last": "7d"}),
        ("greater_than", ago(90, "minute"), {"last": "90m"}),
        ("greater_than", ago(1, "month"), {"last": "30d"}),
        ("less_than", ago(7), {"between": ["36500d", "7d"]}),
        ("less_than_equal", ago(0), {"between": ["36500d", "0d"]}),
        ("greater_than_equal", day("2024-02-29"), {"after": "2024-02-29"}),
        ("greater_than", day("2024-02-29"), {"after": "2024-03-01"}),
        ("greater_than", day("2024-02-29T00:00:00Z"), {"after": "2024-02-29"}),
        ("less_than", day("2024-03-01"), {"before": "2024-03-01"}),
        ("less_than_equal", day("2024-03-01"), {"before": "2024-03-02"}),
        ("less_than_equal", day("2024-03-01T01:00:00+01:00"), {"before": "2024-03-01"}),
        ("equals", day("2024-03-01"), {"on": "2024-03-01"}),
    ],
)
def test_a_date_has_its_window(operator: str, when: Any, expected: Any) -> None:
    found = criteria(compare(operator, "user.since", when))
    assert found == {"user_attribute": "since", **expected}
    assert criteria(compare(operator, "user.last_seen", when)) == {"last_seen": expected}


@pytest.mark.parametrize(
    ("operator", "when", "why"),
    [
        ("greater_than", ago(-3), "a time in the future"),
        ("less_than", ago(-3), "a window that can contain nothing, or of the future"),
        ("equals", ago(3), "`equals` of a moment that moves"),
        ("not_equals", day("2024-01-01"), "`not_equals` of a date"),
        ("greater_than", day("soon"), "`soon`, which is not a date"),
        (
            "greater_than",
            day("2024-01-01T12:00:00Z"),
            "`2024-01-01T12:00:00Z`, an instant within a day: windows have whole days",
        ),
        ("greater_than", ago(0, "month", boundary="start"), "the start of a calendar month"),
        ("greater_than", ago(1, relative_to="a"), "a time relative to another event"),
        ("greater_than", ago(0.0001, "second"), "a fraction of a millisecond"),
    ],
)
def test_a_date_without_its_window_is_left_out(operator: str, when: Any, why: str) -> None:
    assert left_out(compare(operator, "user.since", when)) == why


def test_a_calendar_unit_and_the_future_are_noted() -> None:
    (note,) = convert(compare("greater_than", "user.since", ago(1, "year"))).notes
    assert str(note) == (
        "read as: audience: a year is 365 days of 24 hours here; "
        "a date in the future does not count"
    )


def test_a_value_on_the_left_changes_sides() -> None:
    found = criteria({"operator": "less_than", "left": 3, "right": path("user.age")})
    assert found == {"user_attribute": "age", "greater_than": 3}
    swapped = {"operator": "contains", "left": "x", "right": path("user.age")}
    assert left_out(swapped) == "`contains` with a value on its left"


def test_groups_are_kept_and_flattened() -> None:
    one, two, three = (compare("equals", f"user.{key}", 1) for key in "abc")
    a, b, c = ({"user_attribute": key, "equals": 1} for key in "abc")
    assert criteria(every(one, every(two, three))) == {"all": [a, b, c]}
    assert criteria(some(one, every(two, three))) == {"any": [a, {"all": [b, c]}]}
    assert criteria(every(every(some(one)))) == a


def test_what_is_left_out_is_named_and_the_rest_is_kept() -> None:
    lost = compare("equals", "user.a", path("user.b"))
    converted = convert(every(compare("equals", "user.a", 1), some(lost, every(lost))))
    assert converted.criteria == {"user_attribute": "a", "equals": 1}
    assert converted.left_out
    assert [note.at for note in converted.notes] == [
        "audience.expressions[1].expressions[0]",
        "audience.expressions[1].expressions[1].expressions[0]",
    ]


NAMED = compare("equals", "events.name", "Play")
BOUGHT = every(
    compare("equals", "events.event_type", "commerce_event"),
    compare("equals", "events.action", "purchase"),
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, {"event": "any"}),
        (NAMED, {"event": "Play"}),
        (
            every(NAMED, compare("equals", "events.custom_event_type", "media")),
            {"event": {"name": "Play", "custom_event_type": "media"}},
        ),
        (BOUGHT, {"commerce": "purchase"}),
        (
            every(
                compare("equals", "events.name", "Home"),
                compare("equals", "events.event_type", "screen_view"),
            ),
            {"screen_view": "Home"},
        ),
        (compare("equals", "events.event_type", "session_end"), {"session": "end"}),
        (compare("equals", "events.event_type", "uninstall"), {"uninstall": "any"}),
        (
            every(NAMED, compare("contains", "events.custom_attributes.genre", "dr")),
            {"event": "Play", "where": [{"attribute": "genre", "contains": "dr"}]},
        ),
        (
            every(BOUGHT, compare("equals", "events.products.id", "p")),
            {"commerce": "purchase", "where": [{"product": "id", "equals": "p"}]},
        ),
        (
            every(BOUGHT, compare("greater_than", "events.total_amount", 3)),
            {"commerce": "purchase", "where": [{"field": "total_amount", "greater_than": 3}]},
        ),
        (
            every(NAMED, compare("equals", "events.app.version", "2")),
            {"event": "Play", "where": [{"app": "version", "equals": "2"}]},
        ),
        (
            every(NAMED, {"operator": "exists", "operand": path("events.genre")}),
            {"event": "Play", "where": [{"attribute": "genre", "exists": True}]},
        ),
        (
            every(NAMED, compare("less_than", "events.due", day("2024-01-01"))),
            {"event": "Play", "where": [{"attribute": "due", "before": "2024-01-01"}]},
        ),
        (
            every(NAMED, {"operator": "not_null", "operand": path("events.id")}),
            {"event": "Play"},
        ),
    ],
)
def test_a_condition_on_events_names_and_narrows_them(condition: Any, expected: Any) -> None:
    found = criteria(compare("greater_than", count(condition), 0))
    assert found == {**expected, "when": "any_time"}


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ([("greater_than", ago(7))], {"last": "7d"}),
        ([("greater_than", ago(7)), ("less_than", ago(0))], {"last": "7d"}),
        ([("greater_than", ago(7)), ("greater_than", ago(3))], {"last": "3d"}),
        ([("greater_than", ago(6)), ("less_than", ago(4))], {"between": ["6d", "4d"]}),
        ([("less_than", ago(4))], {"between": ["36500d", "4d"]}),
        (
            [("greater_than_equal", day("2024-01-01")), ("less_than", day("2024-02-01"))],
            {"between": ["2024-01-01", "2024-01-31"]},
        ),
        ([("equals", day("2024-01-01"))], {"on": "2024-01-01"}),
        ([("less_than", ago(0))], "any_time"),
    ],
)
def test_the_time_of_events_is_a_window(bounds: Any, expected: Any) -> None:
    times = [compare(operator, "events.timestamp", when) for operator, when in bounds]
    found = criteria(compare("greater_than", count(every(NAMED, *times)), 0))
    assert found == {"event": "Play", "when": expected}


@pytest.mark.parametrize(
    ("operator", "number", "expected"),
    [
        ("greater_than", 0, {}),
        ("greater_than", 2.0, {"count": {"greater_than": 2}}),
        ("greater_than_equal", 2, {"count": {"at_least": 2}}),
        ("less_than", 1, {"count": {"less_than": 1}}),
        ("less_than_equal", 1, {"count": {"at_most": 1}}),
        ("equals", 0, {"count": {"equals": 0}}),
    ],
)
def test_counts_are_counts(operator: str, number: float, expected: Any) -> None:
    found = criteria(compare(operator, count(NAMED), number))
    assert found == {"event": "Play", "when": "any_time", **expected}


def test_not_so_many_is_a_not() -> None:
    found = criteria(compare("not_equals", count(NAMED), 2))
    assert found == {"not": {"event": "Play", "when": "any_time", "count": {"equals": 2}}}


def test_counting_a_path_counts_the_events_that_have_it() -> None:
    found = criteria(compare("greater_than", count(NAMED, path("events.genre")), 0))
    assert found["where"] == [{"attribute": "genre", "exists": True}]


EITHER = some(NAMED, compare("equals", "events.name", "Pause"))
ALTERNATIVES = [{"event": "Play", "when": "any_time"}, {"event": "Pause", "when": "any_time"}]


@pytest.mark.parametrize("name", ["event_name", "name", "event_type", "timestamp", "event_id"])
def test_counting_what_every_event_has_counts_events(name: str) -> None:
    found = criteria(compare("greater_than", count(of=path(f"events.{name}")), 0))
    assert found == {"event": "any", "when": "any_time"}


def test_the_fields_of_an_event_are_not_looked_for_among_its_attributes() -> None:
    found = criteria(compare("greater_than", count(of=path("events.custom_event_type")), 0))
    assert found["where"] == [{"field": "custom_event_type", "exists": True}]
    found = convert(compare("contains", aggregate("list", "screen_views.name"), "Home"))
    assert found.calculated[0]["of"] == {"screen_view": "any", "field": "screen_name"}


def test_alternatives_are_some_or_none() -> None:
    assert criteria(compare("greater_than", count(EITHER), 0)) == {"any": ALTERNATIVES}
    assert criteria(compare("equals", count(EITHER), 0)) == {"not": {"any": ALTERNATIVES}}
    assert left_out(compare("greater_than", count(EITHER), 1)) == "a count over alternatives"


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        (compare("greater_than_equal", count(), 0), "a count that can never or always hold"),
        (compare("less_than", count(), 0), "a count that can never or always hold"),
        (compare("greater_than", count(), 1.5), "a count that `greater_than` 1.5"),
        (compare("contains", count(), 1), "a count that `contains` 1"),
        (
            compare("greater_than", count(by="order"), 0),
            "an aggregation by `order`, which is not the profile",
        ),
        (
            compare("greater_than", count(compare("equals", "user.a", 1)), 0),
            "a condition on something else than `events`",
        ),
        (
            compare("greater_than", count(compare("contains", "events.name", "P")), 0),
            "`contains` of `name`: events are identified by equality",
        ),
        (
            compare("greater_than", count(every(NAMED, compare("equals", "events.name", "B"))), 0),
            "events with two names, or with the name `any`",
        ),
        (
            compare("greater_than", count(compare("equals", "events.event_type", "nap")), 0),
            "the event type `nap` here",
        ),
        (
            compare("greater_than", count(every(*[some(NAMED, NAMED)] * 5)), 0),
            "more than 16 alternatives",
        ),
        (
            compare("greater_than", count(compare("less_than", "events.due", ago(3))), 0),
            "`due` compared with the present, of an event",
        ),
        (
            compare("greater_than", count(compare("equals", "events.location.city", "L")), 0),
            "`location.city` of an event",
        ),
        (
            compare("greater_than", aggregate("sum", {"model": "events"}), 0),
            "`sum` of whole rows",
        ),
        (
            compare("greater_than", aggregate("sum", "events.v", EITHER), 0),
            "`sum` over alternatives",
        ),
        (
            compare(
                "greater_than",
                aggregate("avg", "events.v", compare("less_than", "events.timestamp", ago(3))),
                0,
            ),
            "an aggregation over a window that has ended",
        ),
        (compare("equals", "user.a", path("user.b")), "a comparison of two fields"),
        (
            compare("greater_than", {"operator": "plus", "left": 1, "right": 2}, 3),
            "`greater_than` between these two",
        ),
    ],
)
def test_what_event_criteria_cannot_say_is_left_out(expression: Any, why: str) -> None:
    converted = convert(expression)
    assert converted.criteria is None
    reasons = [note.text for note in converted.notes if note.kind == "left out"]
    assert reasons == [f"cannot be expressed: {why}"]


def test_bare_tests_of_one_model_are_about_one_event() -> None:
    recent = compare("greater_than", "events.timestamp", ago(7))
    converted = convert(every(NAMED, compare("equals", "user.a", 1), recent))
    assert converted.criteria == {
        "all": [{"event": "Play", "when": {"last": "7d"}}, {"user_attribute": "a", "equals": 1}]
    }
    (note,) = converted.notes
    assert note.text == (
        "expressions[0], expressions[2] are read as tests of one and the same `events`"
    )


def test_a_model_exists_or_does_not() -> None:
    crash = {"crash": "any", "when": "any_time"}
    model = {"model": "crash_reports"}
    assert criteria({"operator": "exists", "operand": model}) == crash
    none = criteria({"operator": "not_exists", "operand": model})
    assert none == {**crash, "count": {"less_than": 1}}


def test_a_model_may_be_named_and_one_that_is_not_is_guessed_with_a_note() -> None:
    bought = compare("greater_than", "orders.total_amount", 3)
    assert criteria(bought, "orders=commerce:purchase") == {
        "commerce": "purchase",
        "where": [{"field": "total_amount", "greater_than": 3}],
        "when": "any_time",
    }
    guessed = convert(bought)
    assert guessed.criteria is not None
    assert guessed.criteria["event"] == "orders"
    assert [note.text for note in guessed.notes] == [
        "the model `orders` is read as custom events named `orders`; set its subject with "
        "--model orders=SUBJECT"
    ]


def test_a_worked_out_value_is_a_calculated_attribute() -> None:
    since = compare("greater_than_equal", "events.timestamp", day("2024-01-01"))
    within = compare("greater_than_equal", "events.timestamp", ago(90))
    converted = convert(
        every(
            compare("less_than", aggregate("sum", "events.price", every(NAMED, since)), 9),
            compare("contains", aggregate("list", "events.genre", within), "drama"),
            compare("greater_than", aggregate("avg", "events.products.price", BOUGHT), 5),
        )
    )
    assert converted.criteria == {
        "all": [
            {"calculated_attribute": "a-sum-1", "less_than": 9},
            {"calculated_attribute": "a-list-2", "includes": "drama"},
            {"calculated_attribute": "a-avg-3", "greater_than": 5},
        ]
    }
    head = {"workspace": "main"}
    assert converted.calculated == [
        {
            "id": "a-sum-1",
            **head,
            "calculation": "sum",
            "of": {"event": "Play", "attribute": "price"},
            "since": "2024-01-01",
        },
        {
            "id": "a-list-2",
            **head,
            "calculation": "unique_list",
            "of": {"event": "any", "attribute": "genre"},
            "within": "90d",
        },
        {
            "id": "a-avg-3",
            **head,
            "calculation": "average",
            "of": {"commerce": "purchase", "product": "price"},
        },
    ]


def test_membership_needs_to_know_which_audience_of_ours_it_is() -> None:
    member = compare("in", {"model": "user"}, {"audience": "4711"})
    assert criteria(member, **{"4711": "vips"}) == {"audience": "vips"}
    negated = compare("not_matches", {"model": "user"}, {"audience": "4711"})
    assert criteria(negated, **{"4711": "vips"}) == {"not": {"audience": "vips"}}
    assert left_out(member) == "membership in the audience `4711` without --audience 4711=ID"


def test_a_distance_is_a_location() -> None:
    point = {"location": {"latitude": 48.85, "longitude": 2.35}}
    near = {**point["location"], "distance": {"value": 2.5, "unit": "kilometers"}}
    found = criteria(compare("within", "user.location", {"location": near}))
    assert found == {"location": {"within": "2.5km", "of": [48.85, 2.35]}}
    why = "`within` of `location` and a point"
    assert left_out(compare("within", "user.location", point)) == why


def step(alias: str, *tests: Any) -> Any:
    condition = {"condition": every(*tests)} if tests else {}
    return {"alias": alias, "operand": path("events.timestamp"), **condition}


def then(*steps: Any) -> Any:
    return {"operator": "then", "sequence": list(steps)}


PAUSED = compare("equals", "events.name", "Pause")
AFTER = compare("greater_than", "events.timestamp", {"alias": "a", "path": "timestamp"})
SOON = compare("less_than", "events.timestamp", ago(-2, "hour", relative_to="a"))


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        (then(step("a", NAMED), step("b", PAUSED, SOON, AFTER)), {"within": "2h"}),
        (then(step("a", NAMED), step("b", PAUSED)), {"within": "36500d"}),
    ],
)
def test_a_sequence_is_one(sequence: Any, expected: Any) -> None:
    found = criteria(sequence)
    steps = [{"event": "Play"}, {"event": "Pause"}]
    assert found == {"sequence": steps, "when": "any_time", **expected}


def test_a_sequence_may_have_a_window_and_one_step_is_an_event() -> None:
    recent = compare("greater_than", "events.timestamp", ago(7))
    found = criteria(then(step("a", NAMED, recent), step("b", PAUSED, recent, SOON)))
    assert found["when"] == {"last": "7d"}
    assert criteria(then(step("a", NAMED))) == {"event": "Play", "when": "any_time"}


@pytest.mark.parametrize(
    ("sequence", "why"),
    [
        (
            then(step("a", NAMED), step("b", PAUSED, SOON), step("c", NAMED)),
            "a limit between steps that are not first and last",
        ),
        (then(step("a", EITHER), step("b")), "alternatives within a step of a sequence"),
        (
            then(step("a", compare("greater_than", "events.timestamp", ago(7))), step("b")),
            "steps of a sequence with different windows",
        ),
        (
            then(step("a"), step("b", compare("equals", "events.s", {"alias": "a", "path": "s"}))),
            "a comparison with a field of another step",
        ),
        (
            then(step("b", AFTER), step("a")),
            "a step that comes after a later one",
        ),
    ],
)
def test_what_sequences_cannot_say_is_left_out(sequence: Any, why: str) -> None:
    assert left_out(sequence) == why
