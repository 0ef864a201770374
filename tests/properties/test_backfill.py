"""History that is read beside live traffic, in pieces, with a crash anywhere, is the history that
live traffic would have left.

A partition runs some definitions, is given others, reads the history that they need, and puts it
into its rows, while records and due instants go on. From there on it is the partition that ran the
other definitions from the beginning: every criterion says the same at every later instant. And what
it has emitted on its way adds up to that, with no word of an audience before its history was in.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.formats.rows import OWN_ROW
from cdp_stream.offline.replay import Replay
from tests.properties.partitions import (
    Partition,
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
def test_history_read_beside_live_traffic_is_the_history_of_live_traffic(
    case: tuple[Any, list[Any], int | None], data: st.DataObject
) -> None:
    definitions, stream, _until = case
    before, after = with_new_audiences(definitions, stream, data)
    account = after.account
    log = published(stream)
    switch_at = data.draw(st.integers(0, len(log)), label="switch at")

    whole = Partition(after)
    found = Partition(before, after, rows_kept=data.draw(st.sampled_from([2, 100])))
    draw = data.draw
    for record in log[:switch_at]:
        whole.live(record)
        found.live(record)
    found.write(found.processor.rollout.switch(after))
    # A new audience may also need no history; and of one with history nothing is told before.
    crashes = 3
    rest = log[switch_at:]
    while rest or not found.is_settled:
        what = draw(st.sampled_from(["live", "work", "work", "work", "crash"]))
        if what == "live" and rest:
            record = rest.pop(0)
            whole.live(record)
            found.live(record)
        elif what == "crash" and crashes:
            crashes -= 1
            found.crash()
        else:
            found.work(draw, log)
    assert {key for key in found.rows if key[0] == OWN_ROW} == {b"~definitions", b"~partition"}
    end = max(found.processor.time, 0)
    for later in (0, 1, 86_400_000, 3 * 86_400_000, 40 * 86_400_000):
        compare(after.plan, found.rows, whole.rows, end + later)
    emitting = {audience.id for audience in account.audiences if audience.emits}
    now = members_by_audience(profiles(found.rows, after.plan, end))
    assert {name: members for name, members in found.announced.items() if members} == {
        name: held for name, held in now.items() if name in emitting
    }
    if is_in_order(stream):
        replay = Replay(after.plan, until=end)
        for record in log:
            replay.feed(record.value, [])
        replay.finish(lambda _changes: None)
        assert members(profiles(found.rows, after.plan, end)) == members(replay.rows)
