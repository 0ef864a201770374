"""An explanation as text and as JSON."""

from __future__ import annotations

import json

from cdp_stream.explain.rendering import as_json, as_text
from tests.explain.profiles import DAY, NOON, batch, custom, defined, explained

CRITERIA = {
    "all": [
        {"event": "Play", "count": {"at_least": 2}, "when": {"last": "3d"}},
        {"user_attribute": "status", "equals": "Premium"},
    ],
    "exclude": [{"event": "Buy", "count": {"at_most": 3}, "when": {"last": "7d"}}],
}


def test_the_text_is_an_indented_tree() -> None:
    history = batch(custom("Play", 0, "m1"), at=0, user_attributes={"status": "Premium"})
    assert as_text(explained(defined(CRITERIA), history, at=1)).splitlines() == [
        "x, profile 7, at 2024-01-15T12:00:00.001Z: not a member",
        "no   all",
        "no     all",
        "no       event: Play (at least 2, in the last 3d)",
        "           - 2024-01-15T12:00Z [m1] Play (1 of at least 2)",
        "           - needs 1 more event, before 2024-01-18T12:00:00.001Z",
        "yes      user_attribute: status",
        '           - 2024-01-15T12:00Z status = "Premium"',
        "no     exclude (none of these)",
        "yes      event: Buy (at most 3, in the last 7d)",
        "           - 4 more events would end it",
    ]


def test_a_member_is_shown_until_when() -> None:
    text = as_text(explained(defined({"event": "A"}), batch(custom("A", 0)), at=1))
    head, *_, last = text.splitlines()
    assert head.endswith(": a member, until 2024-02-14T12:00:00.001Z")
    assert last == "       - becomes no by itself at 2024-02-14T12:00:00.001Z"


def test_of_many_events_the_text_has_the_newest_ten() -> None:
    events = [custom("A", number, f"m{number}") for number in range(25)]
    lines = as_text(explained(defined({"event": "A"}), batch(*events), at=30)).splitlines()
    assert lines[2] == "       - the newest 10 of 25 events that count:"
    assert lines[3].endswith("[m15] A (16 of at least 1)")
    assert lines[12].endswith("[m24] A (25 of at least 1)")
    assert len(lines) == 14


def test_no_line_is_wider_than_a_hundred_columns_and_nothing_reaches_the_terminal() -> None:
    name = f"\x1b[31m{'long ' * 40}"
    criteria = {"event": name, "where": [{"attribute": "k", "contains": "v"}]}
    history = batch(custom(name, 0, f"\x9b2J{'i' * 90}", k=f"\x07{'v' * 4000}"))
    text = as_text(explained(defined(criteria), history, at=1))
    assert max(map(len, text.splitlines())) <= 100
    assert text.replace("\n", "").isprintable()


def test_json_has_exactly_the_keys_of_the_page() -> None:
    found = json.loads(as_json(explained(defined(CRITERIA), batch(custom("Play", 0)), at=1)))
    assert list(found) == ["audience_id", "mpid", "at", "member", "tree"]
    assert (found["audience_id"], found["mpid"], found["at"]) == ("x", "7", NOON + 1)
    pending = [found["tree"]]
    while pending:
        node = pending.pop()
        assert list(node) == [
            "criterion",
            "path",
            "value",
            "because",
            "next_change_at",
            "children",
        ]
        for reason in node["because"]:
            assert list(reason) == ["event_id", "time", "detail"]
        pending.extend(node["children"])


def test_a_tree_of_any_depth_is_written() -> None:
    count = 2000
    chain = [
        {"id": f"c{number}", "criteria": {"audience": after}}
        for number, after in enumerate([*(f"c{number}" for number in range(1, count)), "x"])
    ]
    found = explained(defined({"event": "A"}, *chain), batch(at=0), at=DAY, audience="c0")
    text = as_json(found)
    assert text.count('"children": [') == count + 1
    assert text.endswith(f"[]{'}]' * count}}}}}")
    assert max(map(len, as_text(found).splitlines())) <= 100
