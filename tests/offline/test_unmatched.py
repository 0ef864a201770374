"""What definitions ask for and the events never had."""

from typing import Any

import orjson
import pytest

from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_text
from cdp_stream.offline.replay import Replay
from cdp_stream.offline.unmatched import MAX_LINES, Unmatched

HEAD = """version: 1
account: shop
workspaces:
  - id: main
    inputs: [{id: web, kind: platform}, {id: app, kind: platform}]
    event_tiers: [{event: Beat, input: web, tier: preserve}]
"""


def event(name: str, **attributes: Any) -> dict[str, Any]:
    data = {"event_name": name, "timestamp_unixtime_ms": 1000, "custom_attributes": attributes}
    return {"event_type": "custom_event", "data": data}


def lines_for(
    body: str, *events: dict[str, Any], attributes: dict[str, Any] | None = None
) -> list[str]:
    """What is told about definitions after a batch with these events and user attributes."""
    loaded = load_text(HEAD + body)
    assert loaded.account is not None, loaded.problems
    plan = build_plan(loaded.account)
    unmatched = Unmatched(plan)
    replay = Replay(plan, input_id="web", on_batch=unmatched.see)
    batch = {"mpid": 7, "events": events, "user_attributes": attributes or {}}
    replay.feed(orjson.dumps(batch), [])
    return unmatched.lines()


def audience(criteria: str) -> str:
    return f"audiences: [{{id: a, criteria: {criteria}}}]\n"


@pytest.mark.parametrize(
    ("criteria", "line"),
    [
        (
            "{event: Play Vidoe}",
            "`Play Vidoe` was never received; `Play Video` was, 2 times (used in `a`)",
        ),
        (
            "{event: play_video}",
            "`play_video` was never received; `Play Video` was, 2 times (used in `a`)",
        ),
        ("{event: Sign Up}", "`Sign Up` was never received (used in `a`)"),
        ("{screen_view: any}", "`screen_view: any` was never received (used in `a`)"),
        (
            "{event: Play Video, where: [{attribute: categry, equals: Intro}]}",
            "no `event: Play Video` had the attribute `categry`; `category` was there 2 times"
            " (used in `a`)",
        ),
        (
            # A negative operator holds for what is not there.
            "{event: Play Video, where: [{attribute: colour, does_not_equal: red}]}",
            "no `event: Play Video` had the attribute `colour` (used in `a`)",
        ),
        (
            "{event: Play Video, where: [{attribute: category, equals: Outro}]}",
            "`event: Play Video` was received 2 times, and none met the `where` (used in `a`)",
        ),
        (
            "{event: Play Video, inputs: [app]}",
            "`event: Play Video` was received 2 times, only by inputs and tiers that are not read"
            " (used in `a`)",
        ),
        (
            "{event: Beat}",
            "`event: Beat` was received once, only by inputs and tiers that are not read"
            " (used in `a`)",
        ),
        (
            "{user_attribute: staus, exists: true}",
            "no batch had the user attribute `staus`; `status` came once (used in `a`)",
        ),
    ],
)  # fmt: skip
def test_what_matched_nothing_is_reported_with_what_is_almost_the_same(
    criteria: str, line: str
) -> None:
    played = event("Play Video", category="Intro")
    found = lines_for(
        audience(criteria), played, played, event("Beat"), attributes={"status": "Premium"}
    )
    assert found == [line]


@pytest.mark.parametrize(
    "criteria",
    [
        "{event: play video}",
        "{event: any}",
        "{event: Play Video, count: {at_least: 9}, when: {last: 1ms}}",
        "{event: Play Video, where: [{attribute: category, equals: intro}]}",
        "{event: Play Video, where: [{attribute: $Amount, exists: true}]}",
        "{user_attribute: status, equals: Other}",
    ],
)
def test_what_matched_something_is_not_reported(criteria: str) -> None:
    played = event("Play Video", category="Intro", **{"$amount": 3})
    assert lines_for(audience(criteria), event("X"), played, attributes={"status": "P"}) == []


def test_names_that_are_like_nothing_share_a_line_after_those_that_are() -> None:
    body = """audiences:
  - {id: a, criteria: {any: [{event: Sign Up}, {event: Play Vidoe}]}}
  - {id: b, criteria: {sequence: [{event: Open}, {event: Sign Up}], within: 2h}}
calculated_attributes:
  - {id: n, calculation: count, of: {commerce: purchase}}
"""
    assert lines_for(body, event("Play Video")) == [
        "`Play Vidoe` was never received; `Play Video` was, once (used in `a`)",
        "`Sign Up`, `open` and `commerce: purchase` were never received (used in `a`, `b` and `n`)",
    ]


def test_of_very_many_lines_the_rest_are_counted() -> None:
    many = ", ".join(f"{{user_attribute: k{number}, exists: true}}" for number in range(30))
    found = lines_for(audience(f"{{any: [{many}]}}"))
    assert len(found) == MAX_LINES + 1
    assert found[-1] == "and 10 more that matched nothing"


def test_ever_new_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdp_stream.offline.unmatched._MOST_NAMES", 10)
    events = [event(f"name {number}") for number in range(100)]
    loaded = load_text(HEAD + audience("{event: Late}"))
    assert loaded.account is not None
    plan = build_plan(loaded.account)
    unmatched = Unmatched(plan)
    replay = Replay(plan, input_id="web", on_batch=unmatched.see)
    replay.feed(orjson.dumps({"mpid": 7, "events": [*events, event("Late")]}), [])
    assert len(unmatched._received) == 10
    assert unmatched.lines() == []
