"""A row that is written after every batch, and read again, is the row that was kept.

What of a row was not changed is not encoded anew (formats/rows.py): forgetting to say that it was
changed would lose a change at the next crash.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings

from cdp_stream.core.model.change import Change
from cdp_stream.core.model.row import Row
from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_text
from cdp_stream.formats.rows import decode_row, encode_row
from cdp_stream.offline.replay import Replay
from tests.properties.strategies import cases

MEMBERS = tuple(name for name in Row.__slots__ if name not in ("cold", "spaces"))


def as_data(row: Row) -> dict[str, Any]:
    """Everything that a row knows."""
    spaces = {
        workspace: (space.first_seen, space.last_seen, space.attributes, space.facts)
        for workspace, space in row.spaces.items()
    }
    return {name: getattr(row, name) for name in MEMBERS} | {"spaces": spaces}


@pytest.mark.timeout(900)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_a_row_written_and_read_at_any_time_is_the_row_that_was_kept(
    case: tuple[Any, list[Any], int | None],
) -> None:
    definitions, stream, until = case
    text = json.dumps(definitions, ensure_ascii=False, indent=1)
    note(text)
    account = load_text(text).account
    assert account is not None
    kept, written = (Replay(build_plan(account), until=until) for _ in range(2))
    for batch in stream:
        line = json.dumps(batch, ensure_ascii=False).encode()
        note(line.decode())
        expected: list[Change] = []
        found: list[Change] = []
        kept.feed(line, expected)
        written.feed(line, found)
        assert found == expected
        for mpid, row in kept.rows.items():
            value = encode_row(row)
            assert as_data(decode_row(mpid, value)) == as_data(row)
            assert len(value) <= row.weight
            written.rows[mpid] = decode_row(mpid, encode_row(written.rows[mpid]))
