"""The alphabets of the property tests, and strategies for values, operators, counts and durations.

The alphabets are small on purpose: few names (with the pairs that case folding makes equal), few
attributes, few durations, so that things meet. Of names and durations each case uses only two or
three (`st.shared`), so that they meet in a case of a dozen batches.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from hypothesis import strategies as st

from tests.properties.recount_values import duration

Json = Any
START = 1_705_276_800_000  # 2024-01-15T00:00:00Z
DAY = 86_400_000

DURATIONS = ["1ms", "2ms", "3ms", "5ms", "10ms", "1s", "1h", "1d", "24h", "2d", "3d", "1w", "30d"]
DATES = ["2024-01-14", "2024-01-15", "2024-01-16", "2024-01-18"]
EVENT_NAMES = ["Buy", "BUY", "View", "straße", "STRASSE", "İ", "i̇"]
NAMES_THAT_MEET = [["Buy", "BUY", "View"], ["straße", "STRASSE"], ["İ", "i̇", "Buy"]]
SCREEN_NAMES = ["Home", "hOME", "Cart"]
ACTIONS = ["purchase", "add_to_cart", "refund"]
DEVICE_NUMBERS = [0, 1, 2, 3, 7, 42]
ATTRIBUTES = ["k", "K", "$v", "$V"]
EVENT_TYPES = ["navigation", "other"]
TEXTS = [
    *(
        "",
        "a",
        "A",
        "ab",
        "ß",
        "ss",
        "SS",
        "İ",
        "i̇",
        "true",
        "False",
        "42",
        "42.0",
        " 42 ",
        "-1",
        "1e1",
        "+7",
    ),
    *(
        "2024-01-15",
        "2024-01-15T00:00:00Z",
        "2024-01-16T01:00:00.005+01:00",
        "2024-01-15T00:00:00.001",
    ),
    str(START),
    str(START + 5),
]
NUMBERS = [0, 1, 7, 42, -1, 0.5, 42.0, 1e-7, START, START + 5, START + DAY]
PATTERNS = ["", "*", "?", "??", "a*", "*S", "?b", "i?", "s*s", "4?*", "*-01-*"]
OPERANDS = ["", "a", "B", "ß", "ß", "SS", "İ", "İ", "4", "42", "42.0", "1e-7", "true", "-"]

texts = st.sampled_from(TEXTS)
scalars = st.one_of(texts, st.sampled_from(NUMBERS), st.booleans())
nullable_scalars = st.one_of(scalars, scalars, scalars, st.none())
operands = st.one_of(st.sampled_from(OPERANDS), st.sampled_from([0, 1, 7, 42, 42.0, 0.5, -1]))
some_durations = st.shared(
    st.lists(st.sampled_from(DURATIONS), min_size=2, max_size=3, unique_by=duration),
    key="durations",
)
durations = some_durations.flatmap(st.sampled_from)
event_names = st.shared(st.sampled_from(NAMES_THAT_MEET), key="event names").flatmap(
    st.sampled_from
)


def _ago_bounds(some: list[str]) -> st.SearchStrategy[list[str]]:
    """Two of the durations, the older bound first; the newer may also be now."""
    lengths = sorted(some, key=duration)
    pairs = [list(pair) for pair in combinations(lengths[::-1], 2)]
    return st.sampled_from([*pairs, *pairs, [lengths[-1], "0d"]])


ago_bounds = some_durations.flatmap(_ago_bounds)
date_bounds = st.tuples(st.sampled_from(DATES), st.sampled_from(DATES)).map(sorted)
number_bounds = st.sampled_from([list(pair) for pair in combinations(sorted(set(NUMBERS)), 2)])
date_tests = st.one_of(
    durations.map(lambda d: {"last": d}),
    ago_bounds.map(lambda pair: {"between": pair}),
    date_bounds.map(lambda pair: {"between": pair}),
    st.builds(
        lambda op, d: {op: d}, st.sampled_from(["before", "after", "on"]), st.sampled_from(DATES)
    ),
)
text_tests = st.one_of(
    st.builds(
        lambda op, value: {op: value},
        st.sampled_from(
            [
                *("equals", "equals", "does_not_equal"),
                *("contains", "does_not_contain", "starts_with", "ends_with"),
            ]
        ),
        st.sampled_from(OPERANDS),
    ),
    st.builds(
        lambda op, value: {op: value},
        st.sampled_from(["pattern", "does_not_match_pattern"]),
        st.sampled_from(PATTERNS),
    ),
    st.builds(
        lambda op, values: {op: values},
        st.sampled_from(["one_of", "not_one_of"]),
        st.lists(st.sampled_from(OPERANDS), min_size=1, max_size=3, unique=True),
    ),
    st.booleans().map(lambda flag: {"exists": flag}),
)
"""The operators that fit what is always text."""
number_tests = st.one_of(
    st.builds(
        lambda op, number: {op: number},
        st.sampled_from(["greater_than", "at_least", "less_than", "at_most", "equals"]),
        st.sampled_from([0, 1, 2, 3, 7, 42, 0.5]),
    ),
    st.sampled_from([(0, 1), (1, 2), (2, 42)]).map(lambda pair: {"between": list(pair)}),
    st.sampled_from(["0", "1", "2", "42", "0.5"]).map(lambda text: {"equals": text}),
)
value_tests = st.one_of(
    st.builds(
        lambda op, value: {op: value},
        st.sampled_from(["equals", "does_not_equal", "includes", "does_not_include"]),
        operands,
    ),
    st.builds(
        lambda op, value: {op: value},
        st.sampled_from(
            ["contains", "does_not_contain", "starts_with", "ends_with", "partial_match"]
        ),
        st.sampled_from(OPERANDS),
    ),
    st.builds(
        lambda op, value: {op: value},
        st.sampled_from(["pattern", "does_not_match_pattern"]),
        st.sampled_from(PATTERNS),
    ),
    st.builds(
        lambda op, values: {op: values},
        st.sampled_from(["one_of", "not_one_of"]),
        st.lists(operands, min_size=1, max_size=3, unique_by=lambda value: (type(value), value)),
    ),
    st.builds(
        lambda op, value: {op: value},
        st.sampled_from(["greater_than", "at_least", "less_than", "at_most"]),
        st.sampled_from(NUMBERS),
    ),
    number_bounds.map(lambda pair: {"between": pair}),
    st.builds(lambda op, value: {op: value}, st.sampled_from(["is", "exists"]), st.booleans()),
    date_tests,
)
counts = st.one_of(
    st.builds(lambda n: {"greater_than": n}, st.integers(0, 3)),
    st.builds(lambda n: {"at_least": n}, st.integers(1, 4)),
    st.builds(lambda n: {"less_than": n}, st.integers(1, 3)),
    st.builds(lambda n: {"at_most": n}, st.integers(0, 2)),
    st.builds(lambda n: {"equals": n}, st.integers(0, 3)),
    st.sampled_from([(0, 1), (1, 2), (1, 3), (2, 4)]).map(lambda pair: {"between": list(pair)}),
)


def cap(text: str) -> int | None:
    """A lookback in ms; None is unlimited."""
    return None if text == "unlimited" else duration(text)
