"""Whatever a definition holds, it becomes a file of ours or is refused; nothing is raised."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp_stream.definitions import load_text
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.definitions.source.yaml_reader import parse
from cdp_stream.imports import audience_sdk as sdk
from cdp_stream.imports.convert import Converter
from cdp_stream.imports.models import Models
from cdp_stream.imports.read_audience_sdk import DefinitionReader
from cdp_stream.imports.write import Frame, written
from tests.imports.conversions import aggregate, ago, compare, count, day, every, path, some

FILES = sorted((Path(__file__).parent / "audience_sdk").glob("*.json"))
DEFINITIONS = [json.loads(path.read_text()) for path in FILES if path.stem != "wrong"]

UNITS = st.sampled_from(sorted(sdk.UNITS_MS))
DATES = st.builds(
    lambda offset, unit: {"date": {"relative": {"offset": offset, "unit": unit}}},
    st.integers(-400, 400) | st.floats(-9, 9),
    UNITS,
) | st.builds(
    lambda text: {"date": {"absolute": text}},
    st.sampled_from(
        ["2024-01-01", "2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z", "x", "0001-01-01"]
    )
    | st.text(max_size=4),
)
CONSTANTS = (
    st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6) | st.sampled_from(["A", "any", "custom_event", "purchase", ".*", "a*"])
    | st.lists(st.text(max_size=3) | st.integers(0, 9), min_size=1, max_size=3)
)  # fmt: skip
PATHS = st.builds(
    lambda model, path: {"model": model, "path": path},
    st.sampled_from(["user", "events", "commerce_events", "screen_views", "session_end", "order"]),
    st.sampled_from(
        [
            *("id", "name", "event_type", "action", "timestamp", "last_seen", "a", "location"),
            *("identities.email", "location.city", "products.id", "app.version"),
            "custom_event_type",
        ]
    ),
)
PLAIN = CONSTANTS | DATES | PATHS | st.just({"model": "events"}) | st.just({"audience": "1"})


def compared(operands: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda operator, left, right: {"operator": operator, "left": left, "right": right},
        st.sampled_from(sdk.BINARY),
        operands,
        operands,
    ) | st.builds(
        lambda operator, operand: {"operator": operator, "operand": operand},
        st.sampled_from(sdk.UNARY),
        operands,
    )


def combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda operator, expressions: {"operator": operator, "expressions": expressions},
        st.sampled_from(sdk.LOGICAL),
        st.lists(inner, min_size=1, max_size=3),
    )


CONDITIONS = st.recursive(compared(PLAIN), combined, max_leaves=4)
AGGREGATES = st.builds(
    lambda operator, operand, condition: {
        "operator": operator,
        "group_by_model": "user",
        "operand": operand,
        "condition": condition,
    },
    st.sampled_from(sdk.AGGREGATIONS),
    PATHS,
    CONDITIONS,
)
STEPS = st.builds(
    lambda alias, operand, condition: {"alias": alias, "operand": operand, "condition": condition},
    st.sampled_from("ab"),
    PATHS,
    CONDITIONS,
)
SEQUENCES = st.builds(
    lambda steps: {"operator": "then", "sequence": steps}, st.lists(STEPS, min_size=1, max_size=3)
)
WILD = compared(PLAIN | AGGREGATES) | SEQUENCES

# What is likely to be converted, for most of the above is not.
ORDER = st.sampled_from(
    ["less_than", "less_than_equal", "greater_than", "greater_than_equal", "equals"]
)
PAST = st.builds(ago, st.integers(0, 60), st.sampled_from(["hour", "day", "week", "year"]))
DAYS = st.sampled_from(["2024-01-01", "2024-02-29", "2024-03-01T00:00:00Z"]).map(day)
TIMES = PAST | DAYS
USER = (
    st.builds(compare, st.sampled_from(sdk.BINARY), st.just("user.a"), CONSTANTS)
    | st.builds(compare, ORDER, st.sampled_from(["user.since", "user.last_seen"]), TIMES)
)  # fmt: skip
NAMED = st.sampled_from(["A", "B"]).map(lambda name: compare("equals", "events.name", name))
ROW = (
    st.builds(compare, st.sampled_from(sdk.BINARY), st.just("events.genre"), CONSTANTS)
    | st.builds(compare, ORDER, st.just("events.timestamp"), TIMES)
)  # fmt: skip
ROWS = st.builds(lambda named, rows: every(named, *rows), NAMED, st.lists(ROW, max_size=2))
COUNTS = st.builds(
    lambda operator, rows, number: compare(operator, count(rows), number),
    ORDER,
    ROWS | st.builds(some, ROWS, ROWS),
    st.integers(0, 3),
)
CALCULATED = st.builds(
    lambda operator, aggregation, rows: compare(
        operator, aggregate(aggregation, "events.price", rows), 5
    ),
    ORDER,
    st.sampled_from(["min", "max", "sum", "avg"]),
    ROWS,
)
FOLLOWED = st.builds(
    lambda first, second, hours: {
        "operator": "then",
        "sequence": [
            {"alias": "a", "operand": path("events.timestamp"), "condition": first},
            {
                "alias": "b",
                "operand": path("events.timestamp"),
                "condition": every(
                    second,
                    compare("less_than", "events.timestamp", ago(-hours, "hour", relative_to="a")),
                ),
            },
        ],
    },
    NAMED,
    NAMED,
    st.integers(1, 90),
)
LIKELY = USER | ROWS | COUNTS | CALCULATED | FOLLOWED
AUDIENCES = st.recursive(LIKELY | WILD, combined, max_leaves=5)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(AUDIENCES)
def test_what_comes_out_has_no_error(audience: Any) -> None:
    problems = Problems()
    text = json.dumps({"schema_version": "1.6.0", "audience": audience})
    document = parse(text.encode(), "a.json", problems)
    assert document is not None
    definition = DefinitionReader(problems).definition(document)
    assert problems.found == []
    assert definition is not None
    converted = Converter("a", "main", Models({}), {}).convert(definition)
    if converted.criteria is None:
        assert converted.left_out
        return
    ours = written(converted, Frame("acme", "main", "a", "a.json"))
    assert load_text(ours).errors == [], ours


@settings(deadline=None)
@given(st.sampled_from(DEFINITIONS), st.data())
def test_a_definition_with_anything_in_one_place(document: Any, data: st.DataObject) -> None:
    text = json.dumps(document)
    tokens = [position for position, char in enumerate(text) if char in '"{[,:0123456789']
    at = data.draw(st.sampled_from(tokens))
    filling = data.draw(st.sampled_from(["", "null", "{}", "[]", '"x"', "-1", "operator", "\t"]))
    problems = Problems()
    changed = text[:at] + filling + text[at + 1 :]
    parsed = parse(changed.encode(), "a.json", problems)
    definition = None if parsed is None else DefinitionReader(problems).definition(parsed)
    assert (definition is None) is bool(problems.found)
    if definition is not None:
        Converter("a", "main", Models({}), {}).convert(definition)
