"""Words of other languages for what has another name here: SQL's, JSON-logic's, mParticle's, a
programmer's.

Spelling is no guide to them: `and` is spelt almost like `any`, and means `all`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, NamedTuple

_NO_REGEX: Final = (
    "there are no regular expressions: `{}` compares the whole value, with `*` for any run and `?`"
    " for one character"
)
_WILDCARDS: Final = "did you mean `{}`? `*` is any run, `?` one character"


class _Family(NamedTuple):
    """Words that mean the same.

    Attributes:
        right: what it is called here.
        words: folded, with a space between two.
        advice: with `{}` for `right`.
    """

    right: str
    words: str
    advice: str = "did you mean `{}`?"


_FAMILIES: Final = (
    # Operators. A word of two families belongs to the first whose `right` fits where it is written.
    _Family(
        "equals", "eq = == === equal equal_to equals_to is_equal is_equal_to is_exactly same_as"
    ),
    _Family(
        "does_not_equal",
        "ne neq != !== <> is_not not_equal not_equals not_equal_to is_not_equal is_not_equal_to"
        " isnt isn't does_not_equal_to doesnt_equal not_eq differs_from",
    ),
    _Family(
        "greater_than",
        "gt > greater more more_than over above exceeds larger_than bigger_than is_greater_than",
    ),
    _Family(
        "at_least",
        "gte ge >= => min minimum least no_less_than not_less_than is_at_least greater_or_equal"
        " greater_than_equal greater_than_equals greater_than_or_equal greater_than_or_equal_to"
        " greater_or_equal_to from",
    ),
    _Family(
        "less_than", "lt < less fewer fewer_than under below smaller_than lower_than is_less_than"
    ),
    _Family(
        "at_most",
        "lte le <= =< max maximum most no_more_than not_more_than not_greater_than is_at_most"
        " less_or_equal less_than_equal less_than_equals less_than_or_equal less_than_or_equal_to"
        " less_or_equal_to up_to",
    ),
    _Family("between", "range in_range is_between from_to during"),
    _Family("one_of", "in is_in in_list in_set any_of is_any_of is_one_of match_any equals_any_of"),
    _Family(
        "not_one_of",
        "nin not_in is_not_in not_in_list none_of is_none_of not_any_of not_equals_any_of",
    ),
    _Family("contains", "has include contains_text substring icontains contains_any"),
    _Family(
        "does_not_contain",
        "not_contain not_contains doesnt_contain doesn't_contain does_not_include_text",
    ),
    _Family("does_not_include", "not_include not_includes doesnt_include"),
    _Family("includes", "has_element contains_element array_contains any_element some_element"),
    _Family("starts_with", "prefix begins_with begin_with has_prefix"),
    _Family("ends_with", "suffix finishes_with has_suffix"),
    _Family(
        "does_not_match_pattern",
        "not_starts_with not_start_with does_not_start_with doesnt_start_with not_begins_with",
        'write `{}: "text*"`',
    ),
    _Family(
        "does_not_match_pattern",
        "not_ends_with not_end_with does_not_end_with doesnt_end_with",
        'write `{}: "*text"`',
    ),
    _Family("pattern", "like ilike matches match glob wildcard matches_pattern", _WILDCARDS),
    _Family(
        "does_not_match_pattern",
        "not_like not_ilike not_matches not_match does_not_match doesnt_match not_pattern",
        _WILDCARDS,
    ),
    _Family("pattern", "regex regexp re rlike =~ ~ matches_regex match_regex", _NO_REGEX),
    _Family(
        "does_not_match_pattern", "not_regex not_regexp not_rlike !~ not_matches_regex", _NO_REGEX
    ),
    _Family(
        "exists",
        "is_set is_present present has_value is_defined defined is_not_null not_null is_known !!",
        "did you mean `{}: true`?",
    ),
    _Family(
        "exists",
        "is_null isnull null missing absent not_exists does_not_exist doesnt_exist is_not_set"
        " not_set is_missing is_undefined undefined not_defined is_unknown",
        "did you mean `{}: false`?",
    ),
    _Family(
        "equals", "empty is_empty", 'write `{}: ""` for empty text, `exists: false` for no value'
    ),
    _Family("does_not_equal", "not_empty is_not_empty", 'write `{}: ""`'),
    _Family("is", "is_true", "did you mean `{}: true`?"),
    _Family("is", "is_false", "did you mean `{}: false`?"),
    # Windows: in `when`, and beside an event.
    _Family(
        "last",
        "within within_last within_the_last in_last in_the_last past in_past in_the_past newer_than"
        " recent",
    ),
    _Family("before", "until prior_to earlier_than is_before before_date"),
    _Family("after", "since later_than is_after after_date from"),
    _Family("on", "on_date same_day is_on at"),
    _Family(
        "when",
        "within during window time period since until timeframe time_frame time_window recency"
        " date",
    ),
    # Groups.
    _Family("all", "and && all_of every must conjunction intersect"),
    _Family("any", "or || any_of some either should disjunction union"),
    _Family(
        "exclude",
        "none nor none_of neither must_not except unless without excluding excludes and_not"
        " but_not",
    ),
    _Family(
        "not",
        "none nor none_of neither must_not except unless without excluding excludes and_not"
        " ! is_not",
        "did you mean `{}`? It has one criterion, as `not: {{any: [...]}}`; beside a criterion "
        "`exclude` has a list",
    ),
    # Subjects, and what is beside an event.
    _Family("event", "custom_event event_name custom did track"),
    _Family("screen_view", "page page_view pageview screen view_page page_viewed"),
    _Family("commerce", "product_action ecommerce commerce_event order transaction"),
    _Family("attribute", "property event_attribute custom_attribute event_property prop"),
    _Family(
        "user_attribute",
        "attribute property trait profile user user_property user_trait profile_attribute"
        " user_attributes person_property",
    ),
    _Family("calculated_attribute", "computed_attribute computed_trait calculated computed metric"),
    _Family("audience", "segment cohort member_of in_audience in_segment membership milestone"),
    _Family("sequence", "then funnel followed_by steps"),
    _Family("count", "times frequency occurrences how_many times_performed number"),
    _Family("where", "filter filters having properties attributes conditions condition with"),
    # States of consent.
    _Family("given", "granted accepted consented"),
    _Family("rejected", "denied revoked withdrawn refused declined"),
    _Family("opted_out", "out rejected denied refused"),
    _Family("not_opted_out", "opted_in in given granted"),
    _Family("unset", "unknown missing none"),
    # Product actions and calculations.
    _Family("purchase", "buy bought order ordered purchased transaction"),
    _Family("add_to_cart", "cart_add added_to_cart"),
    _Family("average", "avg mean"),
    _Family("sum", "total"),
    _Family("min", "minimum smallest"),
    _Family("max", "maximum largest"),
    _Family(
        "unique_values_count", "distinct_count count_distinct cardinality nunique unique_count"
    ),
    _Family("unique_list", "list distinct distinct_values unique_values set"),
    _Family("most_frequent", "mode most_common top"),
    _Family("first_occurrence", "first"),
    _Family("last_occurrence", "latest newest"),
)

_BY_WORD: Final[dict[str, list[_Family]]] = {}
for _family in _FAMILIES:
    for _word in _family.words.split():
        _BY_WORD.setdefault(_word, []).append(_family)

_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NEGATION: Final = re.compile(
    r"not|^non|(^|_)(no|never|nor|without)(_|$)|(^|_)(is|does?)?_?n'?t(_|$)"
)


def folded(word: str) -> str:
    """A word as it is compared: `doesNotEqual`, `does-not-equal` and `$does not equal` are one."""
    return re.sub(r"[\s-]+", "_", _CAMEL.sub("_", word.strip()).lower().removeprefix("$"))


def meanings_of(word: str) -> tuple[str, ...]:
    """What a word of another language may mean here; none where it is not known."""
    return tuple(family.right for family in _BY_WORD.get(folded(word), ()))


def advice_on(word: str, known: Collection[str]) -> str | None:
    """What to write for a word of another language where one of `known` can be written."""
    for family in _BY_WORD.get(folded(word), ()):
        if family.right in known:
            return family.advice.format(family.right)
    return None


def is_negative(word: str) -> bool:
    """Whether a word negates."""
    return _NEGATION.search(folded(word)) is not None
