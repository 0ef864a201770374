"""What good definitions mean to the engine: windows, counts, subjects, tests, groups, scope."""

import pytest

from cdp_stream.core.model.criterion import (
    All,
    AnyOf,
    Condition,
    EventCriterion,
    MemberOf,
    Not,
    ProfileCriterion,
    Source,
)
from cdp_stream.core.model.operators import DATED, OPERATORS
from cdp_stream.core.model.operators import Test as ValueTest
from cdp_stream.core.model.subject import Subject
from cdp_stream.core.model.windows import Window
from tests.definitions.definition_texts import (
    audience_of,
    audiences_in,
    expression_of,
    problems_of,
)

DAY = 86_400_000
SEP_7, SEP_9 = 1_536_278_400_000, 1_536_451_200_000


def event_in(criteria: str, own: str = "", lookback: str = "unlimited") -> EventCriterion:
    expression = expression_of(criteria, own, lookback)
    if isinstance(expression, Not):
        expression = expression.child
    assert isinstance(expression, EventCriterion)
    return expression


@pytest.mark.parametrize(
    ("when", "window"),
    [
        ("", Window(oldest=30 * DAY, newest=0)),
        ("{last: 3d}", Window(oldest=3 * DAY, newest=0)),
        ("{last: 250ms}", Window(oldest=250, newest=0)),
        ("{last: 2w}", Window(oldest=14 * DAY, newest=0)),
        ("{between: [6d, 4d]}", Window(oldest=6 * DAY, newest=4 * DAY)),
        ("{between: [6d, 0d]}", Window(oldest=6 * DAY, newest=0)),
        ("{between: [1h, 30m]}", Window(oldest=3_600_000, newest=1_800_000)),
        ("{before: 2018-09-09}", Window(end=SEP_9, newest=0)),
        ("{after: 2018-09-09}", Window(start=SEP_9, newest=0)),
        ("{on: 2018-09-09}", Window(start=SEP_9, end=SEP_9 + DAY, newest=0)),
        ("{on: '2018-09-09'}", Window(start=SEP_9, end=SEP_9 + DAY, newest=0)),
        (
            "{between: [2018-09-07, 2018-09-09]}",
            Window(start=SEP_7, end=SEP_9 + DAY, newest=0),
        ),
        ("{between: [2018-09-09, 2018-09-09]}", Window(start=SEP_9, end=SEP_9 + DAY, newest=0)),
        ("{before: 1960-02-29}", Window(end=-310_521_600_000, newest=0)),
        ("any_time", Window(newest=0)),
    ],
)
def test_a_window_without_a_lookback(when: str, window: Window) -> None:
    criteria = f"{{event: A, when: {when}}}" if when else "{event: A}"
    assert event_in(criteria).reaches[0].window == window


@pytest.mark.parametrize(
    ("when", "window"),
    [
        ("any_time", Window(oldest=10 * DAY, newest=0)),
        ("{last: 60d}", Window(oldest=10 * DAY, newest=0)),
        ("{last: 3d}", Window(oldest=3 * DAY, newest=0)),
        ("{before: 2018-09-09}", Window(end=SEP_9, oldest=10 * DAY, newest=0)),
        ("{between: [20d, 10d]}", Window(oldest=10 * DAY, newest=10 * DAY)),
        ("{between: [20d, 9d]}", Window(oldest=10 * DAY, newest=9 * DAY)),
    ],
)
def test_a_window_is_cut_by_the_lookback(when: str, window: Window) -> None:
    assert event_in(f"{{event: A, when: {when}}}", lookback="10d").reaches[0].window == window


def test_the_default_window_is_cut_too() -> None:
    assert event_in("{event: A}", lookback="10d").reaches[0].window == Window(
        oldest=10 * DAY, newest=0
    )


def test_an_own_lookback_is_what_cuts() -> None:
    cut = event_in("{event: A, when: any_time}", own="lookback: 2d", lookback="10d")
    assert cut.reaches[0].window == Window(oldest=2 * DAY, newest=0)


@pytest.mark.parametrize(
    ("count", "bounds", "is_complement"),
    [
        ("", (1, None), False),
        ("{greater_than: 0}", (1, None), False),
        ("{greater_than: 4}", (5, None), False),
        ("{at_least: 3}", (3, None), False),
        ("{less_than: 1}", (1, None), True),
        ("{less_than: 5}", (5, None), True),
        ("{at_most: 0}", (1, None), True),
        ("{at_most: 4}", (5, None), True),
        ("{equals: 0}", (1, None), True),
        ("{equals: 2}", (2, 2), False),
        ("{between: [0, 3]}", (4, None), True),
        ("{between: [2, 3]}", (2, 3), False),
    ],
)
def test_a_count(count: str, bounds: tuple[int, int | None], is_complement: bool) -> None:
    criteria = f"{{event: A, count: {count}}}" if count else "{event: A}"
    expression = expression_of(criteria)
    assert isinstance(expression, Not) is is_complement
    event = event_in(criteria)
    assert (event.minimum, event.maximum) == bounds
    assert (event.text, event.path) == ("event: A", "criteria")


@pytest.mark.parametrize(
    ("criteria", "subject", "text"),
    [
        ("event: Play Video", Subject("event", "play video"), "event: Play Video"),
        ("event: STRASSE", Subject("event", "strasse"), "event: STRASSE"),
        ("event: Straße", Subject("event", "strasse"), "event: Straße"),
        ("event: any", Subject("event"), "event: any"),
        ("event: Any", Subject("event", "any"), "event: Any"),
        ("event: ''", Subject("event", ""), "event: "),
        ("event: {name: any}", Subject("event"), "event: any"),
        (
            "event: {name: Find, custom_event_type: Search}",
            Subject("event", "find", "search"),
            "event: Find (Search)",
        ),
        (
            "event: {custom_event_type: search}",
            Subject("event", None, "search"),
            "event: any (search)",
        ),
        (
            "event: {name: X, custom_event_type: attribution}",
            Subject("attribution", "x"),
            "event: X (attribution)",
        ),
        ("screen_view: Home", Subject("screen_view", "home"), "screen_view: Home"),
        ("screen_view: any", Subject("screen_view"), "screen_view: any"),
        ("commerce: purchase", Subject("commerce", "purchase"), "commerce: purchase"),
        ("commerce: any", Subject("commerce"), "commerce: any"),
        ("commerce: impression", Subject("commerce", "impression"), "commerce: impression"),
        ("session: start", Subject("session", "start"), "session: start"),
        ("session: end", Subject("session", "end"), "session: end"),
        ("install: any", Subject("install"), "install: any"),
        ("upgrade: any", Subject("upgrade"), "upgrade: any"),
        ("uninstall: any", Subject("uninstall"), "uninstall: any"),
        ("crash: any", Subject("crash"), "crash: any"),
        ("attribution: any", Subject("attribution"), "attribution: any"),
        ("attribution: Spring", Subject("attribution", "spring"), "attribution: Spring"),
    ],
)
def test_a_subject(criteria: str, subject: Subject, text: str) -> None:
    event = event_in(f"{{{criteria}}}")
    assert (event.subject, event.text) == (subject, text)


NAMED = {
    "equals": ("x", "x"),
    "does_not_equal": ("42", 42),
    "contains": ("''", ""),
    "does_not_contain": ("true", True),
    "starts_with": ("1.50", 1.5),
    "ends_with": ("2018-09-09", "2018-09-09"),
    "pattern": ("'*'", "*"),
    "does_not_match_pattern": ("a?c", "a?c"),
    "one_of": ("[a, 1, 2.5, false]", ("a", 1, 2.5, False)),
    "not_one_of": ("[on]", ("on",)),
    "greater_than": ("-3", -3),
    "at_least": ("0", 0),
    "less_than": ("1e3", 1000.0),
    "at_most": ("0x10", 16),
    "between": ("[5, 1.5]", (5, 1.5)),
    "is": ("false", False),
    "exists": ("true", True),
    "includes": ("x", "x"),
    "does_not_include": ("7", 7),
    "partial_match": ("x", "x"),
}


def test_every_operator_of_the_engine_can_be_written() -> None:
    assert set(NAMED) == set(OPERATORS)


@pytest.mark.parametrize("operator", NAMED)
def test_an_operator_and_its_operand(operator: str) -> None:
    written, operand = NAMED[operator]
    attribute = expression_of(f"{{user_attribute: k, {operator}: {written}}}")
    assert isinstance(attribute, ProfileCriterion)
    assert attribute.test == ValueTest(operator, operand)
    assert type(attribute.test.operand) is type(operand)
    event = event_in(f"{{event: A, where: [{{attribute: k, {operator}: {written}}}]}}")
    assert event.where == (Condition(Source.ATTRIBUTE, "k", ValueTest(operator, operand)),)


@pytest.mark.parametrize(
    ("written", "window"),
    [
        ("last: 60d", Window(oldest=60 * DAY, newest=0)),
        ("between: [6d, 4d]", Window(oldest=6 * DAY, newest=4 * DAY)),
        ("between: [60d, 45d]", Window(oldest=60 * DAY, newest=45 * DAY)),
        ("before: 2018-09-09", Window(end=SEP_9)),
        ("after: 2018-09-09", Window(start=SEP_9)),
        ("on: 2018-09-09", Window(start=SEP_9, end=SEP_9 + DAY)),
        ("between: [2018-09-07, 2018-09-09]", Window(start=SEP_7, end=SEP_9 + DAY)),
    ],
)
def test_a_date_test_is_a_window_that_no_lookback_cuts(written: str, window: Window) -> None:
    attribute = expression_of(f"{{user_attribute: k, {written}}}", lookback="10d")
    assert isinstance(attribute, ProfileCriterion)
    assert attribute.test == ValueTest(DATED, window)


def test_where_looks_in_every_source() -> None:
    event = event_in(
        "{commerce: any, where: [{attribute: $Key, exists: true}, {attribute: Key, exists: true},"
        " {field: total_amount, exists: true}, {product: Brand, exists: true},"
        " {product_attribute: $Size, exists: true}, {app: version, exists: true},"
        " {app: build, exists: true}, {device: os_version, exists: true}]}"
    )
    assert [(condition.source, condition.key) for condition in event.where] == [
        (Source.ATTRIBUTE, "$key"),
        (Source.ATTRIBUTE, "Key"),
        (Source.FIELD, "total_amount"),
        (Source.PRODUCT, "Brand"),
        (Source.PRODUCT_ATTRIBUTE, "$size"),
        (Source.APP, "version"),
        (Source.APP, "build"),
        (Source.DEVICE, "os_version"),
    ]


def test_reserved_user_attribute_keys_ignore_case_and_others_do_not() -> None:
    keys = []
    for key in ("$Age", "Age"):
        expression = expression_of(f"{{user_attribute: {key}, exists: true}}")
        assert isinstance(expression, ProfileCriterion)
        keys.append((expression.key, expression.text))
    assert keys == [("$age", "user_attribute: $Age"), ("Age", "user_attribute: Age")]


def test_groups_and_what_they_exclude() -> None:
    expression = expression_of(
        "{all: [{event: A}, {not: {event: B}}], exclude: [{any: [{event: C}]}, {event: D}]}"
    )
    a, b, c, d = (event_in(f"{{event: {name}}}") for name in "ABCD")
    assert expression == All((All((a, Not(b))), Not(AnyOf((AnyOf((c,)), d)))))


def test_a_bare_subject_takes_exclude_as_a_group_does() -> None:
    expression = expression_of("{event: A, exclude: [{event: B}]}")
    assert expression == All((event_in("{event: A}"), Not(AnyOf((event_in("{event: B}"),)))))


def test_every_criterion_knows_its_path() -> None:
    audiences = audiences_in(
        "audiences:\n"
        "  - id: a\n"
        "    criteria:\n"
        "      any: [{event: A}, {not: {user_attribute: k, exists: true}}]\n"
        "      exclude: [{audience: b}]\n"
        "  - {id: b, criteria: {event: B}}\n"
    )
    expression = audiences["a"].expression
    assert isinstance(expression, All)
    group, excluded = expression.children
    assert isinstance(group, AnyOf)
    assert isinstance(excluded, Not)
    first, negated = group.children
    assert isinstance(first, EventCriterion)
    assert isinstance(negated, Not)
    assert isinstance(negated.child, ProfileCriterion)
    assert isinstance(excluded.child, AnyOf)
    referred = excluded.child.children[0]
    assert isinstance(referred, MemberOf)
    assert [first.path, negated.child.path, referred.path, referred.text] == [
        "criteria.any[0]",
        "criteria.any[1].not",
        "criteria.exclude[0]",
        "audience: b",
    ]


@pytest.mark.parametrize(
    ("criteria", "own", "inputs"),
    [
        ("{event: A}", "", None),
        ("{event: A}", "inputs: [web]", {"web"}),
        ("{event: A}", "inputs: [app, web]", None),
        ("{event: A, inputs: [app]}", "inputs: [web]", {"app"}),
        ("{event: A, inputs: [web, app]}", "inputs: [web]", None),
        ("{crash: any}", "inputs: [web]", None),
        ("{install: any}", "inputs: [web]", None),
        ("{upgrade: any}", "inputs: [web]", None),
        ("{uninstall: any}", "inputs: [web]", None),
        ("{attribution: any}", "inputs: [web]", {"web"}),
    ],
)
def test_the_inputs_that_a_criterion_reads(
    criteria: str, own: str, inputs: set[str] | None
) -> None:
    assert event_in(criteria, own).reaches[0].inputs == inputs


def test_the_deepest_nesting_that_is_allowed_is_read() -> None:
    depth = 190
    assert isinstance(expression_of("{not: " * depth + "{event: A}" + "}" * depth), Not)
    assert problems_of("{not: " * 200 + "{event: A}" + "}" * 200) == ["too-deep"]


def test_spelling_makes_no_difference_to_a_criterion_or_its_digest() -> None:
    spellings = [
        "{event: Play, when: {last: 6d}, count: {at_most: 2}, inputs: [web, app]}",
        "{count: {less_than: 3}, when: {between: [144h, 0d]}, event: PLAY}",
        "{event: {name: play}, when: {last: 518400s}, count: {between: [0, 2]}}",
    ]
    audiences = [audience_of(spelling) for spelling in spellings]
    assert len({audience.expression for audience in audiences}) == 1
    assert len({audience.digest for audience in audiences}) == 1
