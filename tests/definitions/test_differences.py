"""What was and what is, line by line."""

from cdp_stream.definitions.differences import difference

CRITERIA = {
    "all": [
        {
            "event": "Play Video",
            "where": [
                {"attribute": "category", "equals": "Intro"},
                {"attribute": "destination", "contains": "France"},
            ],
            "count": {"at_least": 2},
        },
        {"user_attribute": "status", "equals": "Premium"},
        {"user_attribute": "country", "equals": "FR"},
        {"user_attribute": "city", "equals": "Paris"},
        {"user_attribute": "tier", "equals": "Gold"},
    ],
    "exclude": [{"commerce": "purchase", "when": {"last": "7d"}}],
}


def test_scalars_share_a_line() -> None:
    assert difference("lookback", "30d", "90d") == ["lookback: 30d -> 90d"]
    assert difference("name", None, "1") == ['name: (not set) -> "1"']
    assert difference("remaining", False, True) == ["remaining: false -> true"]


def test_lines_of_criteria_that_differ_are_shown_with_some_around_them() -> None:
    after = {**CRITERIA, "exclude": [{"commerce": "purchase", "when": {"last": "14d"}}]}
    assert difference("criteria", CRITERIA, after) == [
        "criteria:",
        "  ...",
        "    - {user_attribute: tier, equals: Gold}",
        "  exclude:",
        "-   - {commerce: purchase, when: {last: 7d}}",
        "+   - {commerce: purchase, when: {last: 14d}}",
    ]


def test_what_is_added_whole_has_a_plus_in_every_line() -> None:
    assert difference("ab_test", None, {"variants": [{"percent": 50}]}) == [
        "ab_test:",
        "+ variants:",
        "+   - {percent: 50}",
    ]


def test_the_end_that_is_left_out_is_said() -> None:
    before = ["a", {"b": 1}, {"c": 1}, {"d": 1}]
    assert difference("list", before, ["x", *before[1:]])[-1] == "  ..."
