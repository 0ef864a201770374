"""Warnings that definitions accept."""

import pytest

from cdp_stream.definitions import load_text
from cdp_stream.lint import warnings_of
from tests.lint.accounts import HEAD

WHY = "meant so"
ACCEPT = "accept: [{warning: CODE, reason: meant so}]"


def found_in(body: str, top: str = "") -> list[tuple[str, str | None]]:
    """Every warning but `unconnected`: its code, and the reason for which it is accepted."""
    loaded = load_text(HEAD.format(lookback="30d") + top + body)
    assert loaded.problems == []
    return [(w.code, w.accepted) for w in warnings_of(loaded) if w.code != "unconnected"]


@pytest.mark.parametrize("accepting", ["some", "more"])
def test_a_containment_is_accepted_in_either_audience(accepting: str) -> None:
    body = """audiences:
  - {id: some, criteria: {event: X}, SOME}
  - {id: more, criteria: {event: X, count: {at_least: 2}}, MORE}
"""
    accept = ACCEPT.replace("CODE", "contains")
    for name in ("some", "more"):
        body = body.replace(f", {name.upper()}", f", {accept}" if name == accepting else "")
    assert found_in(body) == [("contains", WHY)]


def test_another_code_is_not_accepted_and_an_acceptance_of_nothing_is_a_warning() -> None:
    body = """audiences:
  - {id: some, criteria: {event: X}, accept: [{warning: equal, reason: r}]}
  - {id: more, criteria: {event: X, count: {at_least: 2}}}
"""
    assert found_in(body) == [("contains", None), ("needless-acceptance", None)]


def test_an_audience_accepts_nothing_for_the_others() -> None:
    body = """audiences:
  - id: a
    criteria: {event: X, when: {last: 40d}}
    accept: [{warning: beyond-lookback, reason: r}]
  - {id: b, criteria: {event: Z, when: {last: 40d}}}
"""
    assert found_in(body) == [("beyond-lookback", "r"), ("beyond-lookback", None)]


@pytest.mark.parametrize("place", ["top", "journey", "parent", "milestone"])
def test_what_accepts_covers_all_that_is_written_below_it(place: str) -> None:
    body = """journeys:
  - id: j
    JOURNEY
    milestones:
      - id: m
        criteria: {event: X}
        PARENT
        then:
          - id: n
            criteria: {event: Y, when: {last: 40d}}
            MILESTONE
"""
    accept = ACCEPT.replace("CODE", "beyond-lookback")
    for name in ("journey", "parent", "milestone"):
        body = body.replace(name.upper(), accept if name == place else "# none")
    assert found_in(body, accept + "\n" if place == "top" else "") == [("beyond-lookback", WHY)]


def test_a_calculated_attribute_accepts_too() -> None:
    body = """calculated_attributes:
  - id: n
    calculation: count
    of: {event: X}
    within: 40d
    ACCEPT
""".replace("ACCEPT", ACCEPT.replace("CODE", "beyond-lookback"))
    assert found_in(body) == [("beyond-lookback", WHY)]


def test_while_there_are_errors_no_acceptance_is_called_needless() -> None:
    body = """audiences:
  - {id: some, criteria: {event: X}, accept: [{warning: contains, reason: r}]}
  - {id: more, criteria: {event: X, count: {at_least: 0}}}
"""
    loaded = load_text(HEAD.format(lookback="30d") + body)
    assert [problem.code for problem in loaded.problems] == ["bad-count"]
    assert warnings_of(loaded) == []
