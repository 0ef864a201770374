"""Properties of element properties: what is said of two holds for every value tried."""

from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.model import operators
from cdp_stream.core.model.operators import MISSING, value_test
from cdp_stream.lint.conditions import forms_imply, of_one_value
from cdp_stream.lint.values import excludes, form_excludes, form_implies, form_of

TEXTS = st.sampled_from(["", "a", "A", "ab", "ba", "*", "a*", "*a", "?", "a?b", "42", "4", "true"])
NUMBERS = st.sampled_from([0, 4, 42, 42.0, 4.5, -1])
OPERANDS = st.one_of(TEXTS, NUMBERS, st.booleans())
TESTS = st.one_of(
    st.builds(
        operators.Test,
        st.sampled_from(
            [
                *("equals", "does_not_equal", "contains", "does_not_contain", "starts_with"),
                *("ends_with", "pattern", "does_not_match_pattern", "includes", "partial_match"),
            ]
        ),
        OPERANDS,
    ),
    st.builds(
        operators.Test,
        st.sampled_from(["one_of", "not_one_of"]),
        st.lists(OPERANDS, min_size=1).map(tuple),
    ),
    st.builds(
        operators.Test,
        st.sampled_from(["greater_than", "at_least", "less_than", "at_most"]),
        NUMBERS,
    ),
    st.builds(operators.Test, st.just("between"), st.tuples(NUMBERS, NUMBERS)),
    st.builds(operators.Test, st.sampled_from(["is", "exists"]), st.booleans()),
)
SCALARS = [
    *("", "a", "AB", "ba", "bab", "abb", "42", "42.0", " 42 ", "4", "4.50", "1E1", "TRUE", "x"),
    *(0, 4, 42, 42.0, 4.5, -1, 1e300, True, False, None),
]
VALUES = st.one_of(st.sampled_from(SCALARS), st.lists(st.sampled_from(SCALARS), max_size=3))


@given(TESTS, TESTS, st.lists(VALUES, min_size=20, max_size=60))
def test_a_test_that_implies_another_implies_it_for_every_value(
    one: operators.Test, other: operators.Test, values: list[object]
) -> None:
    passes, passes_other = value_test(one), value_test(other)
    if form_implies(form_of(one), form_of(other)):
        assert [value for value in values if passes(value) and not passes_other(value)] == []
    if form_excludes(form_of(one), form_of(other)):
        assert [value for value in values if passes(value) and passes_other(value)] == []


@given(TESTS, TESTS)
def test_properties_that_exclude_each_other_never_meet_in_one_scalar(
    one: operators.Test, other: operators.Test
) -> None:
    forms = form_of(one), form_of(other)
    if not all(form.properties for form in forms) or any(
        form.shape.name != "SOME" for form in forms
    ):
        return
    if all(excludes(own, wanted) for own in forms[0].properties for wanted in forms[1].properties):
        tests = value_test(one), value_test(other)
        assert [value for value in SCALARS if tests[0](value) and tests[1](value)] == []


@given(st.lists(TESTS, min_size=1, max_size=4), TESTS)
def test_tests_on_one_value_come_to_what_every_value_shows(
    tests: list[operators.Test], wanted: operators.Test
) -> None:
    passes = [value_test(test) for test in tests]
    passing = [
        value for value in (*SCALARS, MISSING) if all(passes_one(value) for passes_one in passes)
    ]
    found = of_one_value([form_of(test) for test in tests])
    if found is None:
        assert passing == []
    elif forms_imply(found, form_of(wanted), is_single=True):
        assert [value for value in passing if not value_test(wanted)(value)] == []


@given(st.lists(TESTS, min_size=1, max_size=4))
def test_what_tests_on_one_value_come_to_loses_none_of_them(tests: list[operators.Test]) -> None:
    found = of_one_value([form_of(test) for test in tests])
    for one in tests if found is not None else ():
        assert forms_imply(found or (), form_of(one), is_single=True)
