"""History of profiles that were moved to other partitions is that of profiles that were not.

A system runs some definitions, is given more partitions once or several times, while producers go
on by the old number, and is then given other definitions. Each partition reads what they need where
it lies in the log, in pieces, with a crash anywhere. From there on it is the system that ran those
definitions from the beginning, over the same moves; and, where records arrive in order, a replay.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from cdp_stream.formats.rows import OWN_ROW
from cdp_stream.offline.replay import Replay
from tests.properties.moved_system import System, catch_up
from tests.properties.partitions import (
    compare,
    is_in_order,
    members,
    members_by_audience,
    profiles,
    published,
    with_new_audiences,
)
from tests.properties.strategies import UNHURRIED, cases


# A case that fails is made smaller for up to five minutes.
@pytest.mark.timeout(900)
@UNHURRIED
@given(case=cases(), data=st.data())
def test_history_is_read_where_profiles_were(
    case: tuple[Any, list[Any], int | None], data: st.DataObject
) -> None:
    definitions, stream, _until = case
    before, after = with_new_audiences(definitions, stream, data)
    account, draw = after.account, data.draw
    counts = draw(st.lists(st.integers(1, 6), min_size=2, max_size=4, unique=True).map(sorted))
    note(f"partitions: {counts}")
    rows_kept = draw(st.sampled_from([2, 100]))
    whole = System(after, partitions=counts[0], rows_kept=100)
    found = System(before, after, partitions=counts[0], rows_kept=rows_kept)
    rest = published(stream)
    for count in counts[1:]:
        n, late = draw(st.integers(0, len(rest))), draw(st.integers(0, 3))
        note(f"{n} records, then {count} partitions, and {late} by the old number")
        for system in (whole, found):
            for record in rest[:n]:
                system.live(record)
            system.move(count, rest[n : n + late])
        del rest[: n + late]
    found.switch(after)
    catch_up(draw(st.randoms(use_true_random=False)), found, whole, rest)
    assert {key for key in found.rows if key[0] == OWN_ROW} == {
        b"~definitions", b"~partition", b"~moved",
    }  # fmt: skip
    end = found.pass_time()
    assert whole.pass_time() == end
    for later in (0, 1, 86_400_000, 3 * 86_400_000, 40 * 86_400_000):
        compare(after.plan, found.rows, whole.rows, end + later)
    now = members_by_audience(profiles(found.rows, after.plan, end))
    emitting = {audience.id for audience in account.audiences if audience.emits}
    assert {name: members for name, members in found.announced.items() if members} == {
        name: held for name, held in now.items() if name in emitting
    }
    if is_in_order(stream):
        replay = Replay(after.plan, until=end)
        for batch in published(stream):
            replay.feed(batch.value, [])
        replay.finish(lambda _changes: None)
        assert members(profiles(found.rows, after.plan, end)) == members(replay.rows)
