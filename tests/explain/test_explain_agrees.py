"""An explanation says what the engine does: the same membership, the same next change, and a tree
whose groups follow from their children.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from cdp_stream.core.model.change import Change
from cdp_stream.core.model.criterion import EventCriterion
from cdp_stream.core.plan.build import build_plan
from cdp_stream.core.plan.plan import Plan
from cdp_stream.definitions import load_text
from cdp_stream.explain import Explained, Explanation, History, explain
from cdp_stream.explain.evidence import range_of
from cdp_stream.explain.tree import Kind
from cdp_stream.offline.replay import Replay
from tests.properties.recount_events import arrival
from tests.properties.strategies import cases
from tests.properties.value_strategies import DAY

Json = Any
LONG = 3000 * DAY


def explained(plan: Plan, lines: list[bytes], audience_id: str, mpid: int, at: int) -> Explanation:
    history = History(plan, audience_id, mpid, at)
    for line in lines:
        history.feed(line)
    return explain(history)


def replayed(plan: Plan, lines: list[bytes], until: int) -> tuple[Replay, list[Change]]:
    changes: list[Change] = []
    replay = Replay(plan, until=until)
    for line in lines:
        replay.feed(line, changes)
    replay.finish(changes.extend)
    return replay, changes


def written(explanation: Explanation) -> list[Explained]:
    """The criteria; what the engine adds of itself comes and goes with what it says."""
    return [one for one in explanation.nodes if one.node.written is not None]


@pytest.mark.timeout(900)
@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(case=cases(), data=st.data())
def test_the_tree_is_what_the_engine_says_and_will_say(
    case: tuple[Json, list[Json], int | None], data: st.DataObject
) -> None:
    definitions, stream, until = case
    account = load_text(json.dumps(definitions)).account
    assert account is not None
    plan = build_plan(account)
    assume(plan.audiences)
    at = data.draw(st.sampled_from([arrival(batch) for batch in stream]))
    at = until if until is not None else at + data.draw(st.sampled_from([0, 1, DAY]))
    lines = [json.dumps(batch).encode() for batch in stream if arrival(batch) <= at]
    audience = data.draw(st.sampled_from(plan.audiences))
    mpid = int(data.draw(st.sampled_from([batch["mpid"] for batch in stream])))
    note(json.dumps(definitions, indent=1))
    note(b"\n".join(lines).decode())
    note(f"{audience.id} {mpid} {at}")

    found = explained(plan, lines, audience.id, mpid, at)

    replay, _ = replayed(plan, lines, at)
    row = replay.rows.get(mpid)
    assert found.member == (row is not None and audience.id in row.members)
    assert found.nodes[0].value == found.member
    for one in found.nodes:
        below = [found.nodes[place].value for place in one.node.children]
        match one.node.kind:
            case Kind.ALL:
                assert one.value == all(below)
            case Kind.ANY:
                assert one.value == any(below)
            case Kind.NOT | Kind.EXCLUDE:
                assert one.value == (not any(below))
            case Kind.MEMBER if below:
                assert one.value == all(below)
        if isinstance(one.node.written, EventCriterion):
            # The events that are told of are those that the engine counted.
            minimum, maximum = range_of(one.node.written, one.node.is_negative)
            assert one.value == (minimum <= one.total and (maximum is None or one.total <= maximum))
    if audience.emits:
        _, changes = replayed(plan, lines, at + LONG)
        later = [
            change.effective_at
            for change in changes
            if (change.audience_id, change.mpid) == (audience.id, mpid) and change.effective_at > at
        ]
        assert found.nodes[0].next_change_at == min(later, default=None)
    assert found.looked_until is None
    of_leaves = [one for one in written(found) if one.node.depth]
    for instant in {one.next_change_at or at + LONG for one in of_leaves}:
        before = written(explained(plan, lines, audience.id, mpid, instant - 1))
        then = written(explained(plan, lines, audience.id, mpid, instant))
        for one, earlier, later_one in zip(written(found), before, then, strict=True):
            if not one.node.depth:
                continue
            if (one.next_change_at or at + LONG) == instant:
                assert earlier.value == one.value
                assert later_one.value == (one.value != (one.next_change_at is not None))
