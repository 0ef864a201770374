"""Words of other languages: what is suggested for them, and what never is."""

import pytest

from cdp_stream.core.model.criterion import Calculation
from cdp_stream.definitions.account.subjects import COMMERCE_ACTIONS
from cdp_stream.definitions.criteria.conditions import SOURCES
from cdp_stream.definitions.criteria.consents import STATES
from cdp_stream.definitions.criteria.counts import COUNT_FORMS
from cdp_stream.definitions.criteria.criterion_keys import (
    CRITERION_SUBJECTS,
    EVENT_KEYS,
    EXCLUDE,
    GROUPS,
)
from cdp_stream.definitions.criteria.tests_on_values import VALUE_OPERATORS
from cdp_stream.definitions.criteria.windows import DATE_OPERATORS
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.definitions.synonyms import _FAMILIES, _Family, advice_on, is_negative

IN_GROUPS = (*GROUPS, *CRITERION_SUBJECTS)
BESIDE_EVENTS = (*EVENT_KEYS, EXCLUDE)
IN_WHERE = (*SOURCES, *VALUE_OPERATORS)
PLACES = (
    IN_GROUPS,
    BESIDE_EVENTS,
    IN_WHERE,
    COUNT_FORMS,
    DATE_OPERATORS,
    COMMERCE_ACTIONS,
    tuple(calculation.value for calculation in Calculation),
    *(tuple(states) for states in STATES.values()),
)


@pytest.mark.parametrize(
    ("word", "place", "right"),
    [
        ("and", IN_GROUPS, "all"),
        ("or", IN_GROUPS, "any"),
        ("none", IN_GROUPS, "not"),
        ("none", BESIDE_EVENTS, "exclude"),
        ("nor", IN_GROUPS, "not"),
        ("attribute", IN_GROUPS, "user_attribute"),
        ("gte", IN_WHERE, "at_least"),
        ("gte", COUNT_FORMS, "at_least"),
        (">=", COUNT_FORMS, "at_least"),
        ("$lte", IN_WHERE, "at_most"),
        ("greaterThanOrEqual", IN_WHERE, "at_least"),
        ("==", IN_WHERE, "equals"),
        ("!=", IN_WHERE, "does_not_equal"),
        ("is not", IN_WHERE, "does_not_equal"),
        ("in", IN_WHERE, "one_of"),
        ("nin", IN_WHERE, "not_one_of"),
        ("none_of", IN_WHERE, "not_one_of"),
        ("any_of", IN_WHERE, "one_of"),
        ("any_of", IN_GROUPS, "any"),
        ("like", IN_WHERE, "pattern"),
        ("regex", IN_WHERE, "pattern"),
        ("is_null", IN_WHERE, "exists: false"),
        ("not_null", IN_WHERE, "exists: true"),
        ("within", DATE_OPERATORS, "last"),
        ("within", BESIDE_EVENTS, "when"),
        ("during", BESIDE_EVENTS, "when"),
        ("since", DATE_OPERATORS, "after"),
        ("until", DATE_OPERATORS, "before"),
        ("max", IN_WHERE, "at_most"),
        ("avg", [calculation.value for calculation in Calculation], "average"),
        ("opted_in", STATES["ccpa"], "not_opted_out"),
    ],
)
def test_the_right_word_is_the_one_of_its_place(word: str, place: list[str], right: str) -> None:
    assert f"`{right}" in Problems().word_or_list(word, place)


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("and", ("any", "not")),
        ("gte", BESIDE_EVENTS),
        ("!=", COUNT_FORMS),
        ("not_contain", ("contains", "starts_with")),
        ("does_not_begin", ("begins", "contains")),
        ("does_contain", ("does_not_contain",)),
        ("nonequals", ("equals",)),
    ],
)
def test_nothing_is_suggested_that_means_something_else(word: str, place: list[str]) -> None:
    assert Problems().word_for(word, place) is None


def test_typos_of_the_languages_own_words_are_still_found() -> None:
    for typo, right in (
        ("contian", "contains"),
        ("exclud", "exclude"),
        ("dos_not_equal", "does_not_equal"),
    ):
        found = Problems().word_for(typo, (*IN_WHERE, EXCLUDE))
        assert found == f"did you mean `{right}`?"


@pytest.mark.parametrize("family", _FAMILIES, ids=lambda family: family.words.split()[0])
def test_every_word_leads_to_its_own_family_somewhere(family: _Family) -> None:
    where = [place for place in PLACES if family.right in place]
    assert where
    for word in family.words.split():
        assert word not in where[0] or family.right == word
        assert any(
            advice_on(word, place) == family.advice.format(family.right) for place in where
        ), word
        if is_negative(word) and family.right in VALUE_OPERATORS and family.right != "exists":
            assert is_negative(family.right) or family.right in ("at_least", "at_most"), word
