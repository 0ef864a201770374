"""The engine, with profiles erased in mid-stream, emits exactly what a recount emits."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, note, settings

from tests.properties.erasures import run
from tests.properties.recount import recount
from tests.properties.recount_events import arrival
from tests.properties.strategies import Erasing, erasing_cases

FIELDS = ("action", "audience_id", "audience_name", "mpid", "effective_at", "ordinal")


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
