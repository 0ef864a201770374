"""The engine, with profiles erased in mid-stream, emits exactly what a recount emits."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings

from cdp_stream.core.engine.evaluation import Engine
from cdp_stream.core.model.change import Change
from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_text
from cdp_stream.offline.replay import Replay
from tests.properties.recount import recount
from tests.properties.recount_events import arrival
from tests.properties.strategies import Erasing, erasing_cases

FIELDS = ("action", "audience_id", "audience_name", "mpid", "effective_at", "ordinal")


def run(text: str, stream: list[Any], until: int | None, erasures: Any) -> list[Change]:
    """What the engine emits, in the order of a replay."""
    account = load_text(text).account
    assert account is not None
    plan = build_plan(account)
    replay, engine = Replay(plan, until=until), Engine(plan)
    changes: list[Change] = []
    waiting = list(erasures)
    for place in range(len(stream) + 1):
        while waiting and waiting[0][0] == place:
            _place, mpid, at = waiting.pop(0)
            if mpid in replay.rows:
                engine.erase(replay.rows[mpid], at, changes)
        if place < len(stream):
            replay.feed(json.dumps(stream[place], ensure_ascii=False).encode(), changes)
    replay.finish(changes.extend)
    return sorted(changes, key=attrgetter("effective_at", "mpid", "ordinal"))


@pytest.mark.timeout(900)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=erasing_cases())
def test_erased_in_mid_stream_a_profile_emits_what_a_recount_emits(case: Erasing) -> None:
    definitions, stream, until, erasures = case
    text = json.dumps(definitions, ensure_ascii=False, indent=1)
    note(text)
    note("\n".join(json.dumps(batch) for batch in stream))
    note(f"until {until}, erasures {erasures}")
    if until is None:
        until = max(map(arrival, stream))
    expected = recount(definitions, stream, until, erasures)
    found = run(text, stream, until, erasures)
    told = [
        (c.action, c.audience_id, c.audience_name, str(c.mpid), c.effective_at, c.ordinal)
        for c in found
    ]
    assert told == [tuple(one[name] for name in FIELDS) for one in expected]
    wrong = [c for c, one in zip(found, expected, strict=True) if c.cause.kind not in one["kinds"]]
    assert wrong == []
