"""The engine, which keeps only what it must, emits exactly what a recount of it all emits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings

from tests.offline.replaying import replay_batches
from tests.properties.recount import recount
from tests.properties.strategies import cases

FIELDS = ("action", "audience_id", "audience_name", "mpid", "effective_at", "ordinal", "variant")


# A case that fails is made smaller for up to five minutes.
@pytest.mark.timeout(900)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_the_engine_emits_what_a_recount_of_the_whole_history_emits(
    case: tuple[Any, list[Any], int | None],
) -> None:
    definitions, stream, until = case
    text = json.dumps(definitions, ensure_ascii=False, indent=1)
    lines = [json.dumps(batch, ensure_ascii=False).encode() for batch in stream]
    note(text)
    note("\n".join(line.decode() for line in lines))
    note(f"until {until}")
    expected = recount(definitions, stream, until)
    found = list(replay_batches(text, lines, until))
    assert [{name: one[name] for name in FIELDS} for one in found] == [
        {name: one[name] for name in FIELDS} for one in expected
    ]
    causes = [
        (one["cause"]["kind"], change["kinds"]) for one, change in zip(found, expected, strict=True)
    ]
    assert [one for one in causes if one[0] not in one[1]] == []
