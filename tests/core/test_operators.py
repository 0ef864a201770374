"""Every operator on every kind of value: one row each."""

import json
import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.model.operators import (
    MISSING,
    OPERATORS,
    dated_change,
    dated_test,
    instant_of,
    number_of,
    text_of,
    utc_instant,
    value_test,
)
from cdp_stream.core.model.operators import Test as Operator
from cdp_stream.core.model.windows import Window

HUGE = 10**30
MANY_DIGITS = "1" * 5_000
NONE_OF_IT = [None, MISSING, []]

# operator, operand, values for which it holds, values for which it does not
TABLE = [
    ("equals", "Paris", ["paris", "PARIS", ["Rome", "Paris"]], ["Par", 1, True, *NONE_OF_IT]),
    ("equals", "straße", ["STRASSE", "Straße", "strasse"], ["strase"]),
    ("equals", "İ", ["i̇", "İ"], ["i", "I"]),
    ("equals", "42", ["42", 42], ["42.0", 42.0, " 42", True]),
    ("equals", 42, [42, 42.0, "42", " 42.0 ", "+42", "4.2e1", ["x", 42]], ["42x", 43, True]),
    ("equals", 42, [], [MISSING, None, "", "٤٢"]),
    ("equals", 0.5, [0.5, ".5", "5e-1"], ["0,5", "½"]),
    ("equals", HUGE, [HUGE, str(HUGE)], [1e31, HUGE + 1]),
    ("equals", 42, ["0" * 5_000 + "42"], [MANY_DIGITS]),
    ("equals", True, [True, "true", "TRUE"], [1, "1", False, *NONE_OF_IT]),
    ("equals", False, [False, "False"], [0, "", *NONE_OF_IT]),
    ("equals", "", [""], [" ", 0, *NONE_OF_IT]),
    ("equals", "1.0", [1.0, "1.0"], [1, "1"]),
    ("does_not_equal", "Paris", ["Rome", 1, *NONE_OF_IT], ["paris", ["Rome", "PARIS"]]),
    ("contains", "ari", ["Paris", ["Rome", "PARIS"]], ["Pari"[::-1], *NONE_OF_IT]),
    ("contains", "ss", ["Straße"], ["Strae"]),
    ("contains", "", ["", "x", 1, False], NONE_OF_IT),
    ("contains", 4, [142, "1.4", 0.4], [12, *NONE_OF_IT]),
    ("contains", "ru", [True, "rum"], [False]),
    ("does_not_contain", "ari", ["Rome", *NONE_OF_IT], ["paris", ["Rome", "PARIS"]]),
    ("starts_with", "pa", ["Paris", "PA", ["x", "pa"]], ["spa", *NONE_OF_IT]),
    ("starts_with", "1", [1, 10.5, "1x"], [21, True]),
    ("ends_with", "is", ["Paris", ["is"]], ["island", *NONE_OF_IT]),
    ("ends_with", ".0", [1.0], [1]),
    ("pattern", "pa*s", ["Paris", "PAS", "pa\ns"], ["Pari", "spas!", *NONE_OF_IT]),
    ("pattern", "p?ris", ["Paris", "p.ris"], ["pris", "paaris"]),
    ("pattern", "stra??e", ["Straße"], ["strae"]),
    ("pattern", "*", ["", "x", 1, True], NONE_OF_IT),
    ("pattern", "", [""], ["x", *NONE_OF_IT]),
    ("pattern", "**a*b**", ["ab", "xaxbx", "ab\n"], ["ba", ""]),
    ("pattern", "a.c", ["A.C"], ["abc"]),
    ("pattern", "*ab?b", ["aabbb", "xab-b"], ["abb"]),
    ("pattern", "4?", [42], [4.2]),
    ("does_not_match_pattern", "pa*", ["Rome", *NONE_OF_IT], ["paris", ["x", "pa"]]),
    ("one_of", ("a", 2), ["A", 2, "2.0", ["x", "a"]], ["b", 3, *NONE_OF_IT]),
    ("not_one_of", ("a", 2), ["b", 3, *NONE_OF_IT], ["A", 2, ["x", "a"]]),
    ("greater_than", 5, [6, 5.1, "6", HUGE, [1, 9]], [5, "x", True, "1e999", *NONE_OF_IT]),
    ("greater_than", 5, [], [math.inf, math.nan, MANY_DIGITS, "inf", "nan", "0x10", "1_000"]),
    ("greater_than", HUGE, [1e31, HUGE + 1], [HUGE, 1e29]),
    ("at_least", 5, [5, 5.0, " 5 ", "5."], [4, "4.99", "", ".", "e5", *NONE_OF_IT]),
    ("less_than", 5, [4, -1, "-1e3", "-.5"], [5, -math.inf, "--1", "- 1", *NONE_OF_IT]),
    ("at_most", 5, [5, "+5", 0], [5.01, False, *NONE_OF_IT]),
    ("between", (5, 7), [5, 7, "6.5", [1, 6]], [4, 8, [1, 9], "six", *NONE_OF_IT]),
    ("is", True, [True, "true", "True", [False, True]], [1, "1", "yes", False, *NONE_OF_IT]),
    ("is", False, [False, "FALSE"], [0, "", True, *NONE_OF_IT]),
    ("exists", True, [None, "", 0, False, [], ["x"]], [MISSING]),
    ("exists", False, [MISSING], [None, "", 0, False, []]),
    ("includes", "a", [["b", "A"], "a"], [["ab"], "b", *NONE_OF_IT]),
    ("includes", 1, [[2, 1.0], "1"], [["11"], True, *NONE_OF_IT]),
    ("does_not_include", "a", [["ab"], "b", *NONE_OF_IT], [["b", "A"], "a"]),
    ("partial_match", "a", [["b", "cAd"], "xa"], [["b"], *NONE_OF_IT]),
]


@pytest.mark.parametrize(("operator", "operand", "yes", "no"), TABLE)
def test_an_operator_holds_for_these_values_and_not_for_those(operator, operand, yes, no):
    holds = value_test(Operator(operator, operand))
    assert [value for value in yes if not holds(value)] == []
    assert [value for value in no if holds(value)] == []


def test_every_operator_is_in_the_table():
    assert {row[0] for row in TABLE} == set(OPERATORS)


def test_an_unknown_operator_is_refused():
    with pytest.raises(KeyError):
        value_test(Operator("resembles", "x"))


def test_values_of_no_scalar_kind_have_no_text_and_no_number():
    for value in (None, {}, [], MISSING, object(), math.inf, -math.inf):
        assert text_of(value) is None
        assert number_of(value) is None
        assert instant_of(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((1e-7, "1e-7"), (1e16, "1e16"), (-1.5e-7, "-1.5e-7"), (1e-300, "1e-300")),
        *((0.0001, "0.0001"), (1e15, "1000000000000000.0"), (1.0, "1.0"), (-0.0, "-0.0")),
    ],
)
def test_the_text_of_a_number_is_its_shortest_form(value, text):
    assert text_of(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_reads_back_and_none_that_encoders_write_is_shorter(value):
    text = text_of(value)
    assert repr(json.loads(text)) == repr(value)
    assert len(text) <= min(len(repr(value)), len(orjson.dumps(value)))


def test_an_infinity_is_there_and_passes_no_positive_test():
    for operator, operand in [
        *(("equals", "inf"), ("contains", ""), ("pattern", "*"), ("one_of", ("inf", 5))),
        *(("greater_than", 5), ("less_than", 5), ("between", (0, 5)), ("is", True)),
        ("exists", False),
    ]:
        assert not value_test(Operator(operator, operand))(math.inf)
    assert value_test(Operator("exists", True))(math.inf)
    assert value_test(Operator("does_not_contain", ""))(math.inf)


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2018-09-09", 1_536_451_200_000),
        ("2018-09-09T00:00:00", 1_536_451_200_000),
        ("2018-09-09T02:00:00+02:00", 1_536_451_200_000),
        ("2018-09-09T00:00:00.0019Z", 1_536_451_200_001),
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00+14:00", -62_135_647_200_000),
        ("9999-12-31T23:59:59-14:00", 253_402_351_199_000),
        ("1536451200000", 1_536_451_200_000),
        (1_536_451_200_000, 1_536_451_200_000),
        (1_536_451_200_000.0, 1_536_451_200_000),
        (0.5, None),
        (True, None),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("2018-13-01", None),
        ("٢٠١٨", None),
        (HUGE, 2**62),
        (-1e300, -(2**62)),
        (math.inf, None),
        (math.nan, None),
        (MANY_DIGITS, 2**62),
        ("0" * 5_000 + "7", 7),
    ],
)
def test_a_date_value_means_this_instant(value, instant):
    assert instant_of(value) == instant


def test_midnight_of_a_day_is_utc():
    assert utc_instant(2018, 9, 9) == 1_536_451_200_000


def test_a_date_test_holds_while_some_element_is_in_the_window():
    holds = dated_test(Window(oldest=10, newest=0))
    assert holds(100, 110)
    assert not holds(100, 111)
    assert holds(["x", None, 105], 111)
    assert not holds(MISSING, 110)
    assert not holds([], 110)


@pytest.mark.parametrize(
    ("value", "after", "change"),
    [
        (100, 50, 100),
        (100, 100, 111),
        (100, 111, None),
        (MISSING, 0, None),
        (["x", 100, 105], 50, 100),
        (["x", 100, 105], 105, 116),
        (["x", 100, 120], 105, 111),
    ],
)
def test_a_date_test_may_change_next(value, after, change):
    assert dated_change(Window(oldest=10, newest=0), value, after) == change


def test_a_date_test_that_holds_for_ever_never_changes():
    assert dated_change(Window(start=50), [100, 40], 0) is None


@given(
    value=st.lists(st.integers(0, 60), max_size=5),
    after=st.integers(0, 60),
    reach=st.integers(0, 8),
)
def test_a_date_test_does_not_change_before_it_says(value, after, reach):
    window = Window(oldest=reach, newest=0)
    holds = dated_test(window)
    change = dated_change(window, value, after)
    last = 100 if change is None else change - 1
    assert len({holds(value, at) for at in range(after, last + 1)}) == 1


def test_a_hostile_value_takes_a_pattern_no_more_than_a_moment():
    holds = value_test(Operator("pattern", "*a*a*a*a*a*a*a*a*b"))
    assert not holds("a" * 100_000)


def test_a_missing_value_names_itself():
    assert repr(MISSING) == "MISSING"
