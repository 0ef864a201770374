"""A live partition whose definitions change in mid-stream ends where a replay under the last ones
does, and tells of nothing but the differences.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from cdp_stream.definitions import load_text
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.processor import ProfileProcessor
from tests.offline.replaying import replay_batches
from tests.partition.records import Sent, deliver
from tests.properties.edits import edits
from tests.properties.recount_events import arrival, event_time
from tests.properties.stream_strategies import Surroundings, batches

Json = Any
T = 4_000_000_000_000


@st.composite
def cases(draw: st.DrawFn) -> tuple[Json, Json, list[Json], int, int]:
    """Definitions before and after, a stream in time order, how much of it comes before the
    switch, and how many records go with each row that is swept.
    """
    old, new = draw(edits())
    around = Surroundings(draw, old)
    drawn = sorted((draw(batches(around)) for _ in range(draw(st.integers(6, 20)))), key=arrival)
    stream, latest = [], -1
    for batch in drawn:
        if all(event_time(batch, event) >= latest for event in batch.get("events") or []):
            stream.append(batch)
            latest = max(latest, arrival(batch))
    return old, new, stream, draw(st.integers(0, len(stream))), draw(st.integers(0, 3))


class Live:
    """A partition, what it published, and what of that was told of a definition."""

    def __init__(self, definitions: Definitions) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.state: dict[str, Json] = {}
        self.said: list[Json] = []
        self.made = ProfileProcessor(definitions, "t", 0)
        self.made.restore(self.rows)
        self.take(self.made.rollout.switch(definitions))

    def take(self, effects: Any) -> None:
        deliver(self.rows, effects)
        for _key, value in effects.memberships:
            message = json.loads(value)
            self.said.append(message)
            place = f"{message['audience_id']}:{message['mpid']}"
            assert (place in self.state) == (message["action"] == "delete"), message
            if message["action"] == "add":
                self.state[place] = message["variant"]
            else:
                assert self.state.pop(place) == message["variant"]

    def settle(self) -> None:
        while (due := self.made.next_due()) is not None and due <= self.made.time:
            self.take(self.made.tick(self.made.time, 10))

    def apply(self, offset: int, batch: Json) -> None:
        value = json.dumps(batch, ensure_ascii=False).encode()
        key = b"%d" % int(batch["mpid"])
        self.take(self.made.apply([Sent(key, value, (), arrival(batch), offset)]))


@pytest.mark.timeout(900)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_after_a_change_of_definitions_memberships_equal_a_replay_under_the_new(
    case: tuple[Json, Json, list[Json], int, int],
) -> None:
    old_file, new_file, stream, place, pace = case
    loaded = [load_text(json.dumps(one, ensure_ascii=False)) for one in (old_file, new_file)]
    # An edit may leave nothing to read of what a criterion reads: such definitions are refused.
    assume(all(one.account is not None for one in loaded))
    old, new = (
        Definitions(version, T, one.account)
        for version, one in zip(("1", "2"), loaded, strict=True)
        if one.account is not None
    )
    note(json.dumps(old_file, ensure_ascii=False))
    note(json.dumps(new_file, ensure_ascii=False))
    assume(old.plan.memories.keys() >= new.plan.memories.keys())
    live = Live(old)
    for offset, batch in enumerate(stream[:place]):
        note(json.dumps(batch, ensure_ascii=False))
        live.apply(offset, batch)
        live.settle()
    live.take(live.made.rollout.switch(new))
    assert live.made.rollout.missing == frozenset()
    for offset, batch in enumerate(stream[place:], start=place):
        note(json.dumps(batch, ensure_ascii=False))
        live.apply(offset, batch)
        if pace and offset % pace == 0 and live.made.rollout.rows_to_migrate():
            live.take(live.made.rollout.migrate(1))
        live.settle()
    while live.made.rollout.rows_to_migrate():
        live.take(live.made.rollout.migrate(1))
    live.settle()

    expected: dict[str, Json] = {}
    text = json.dumps(new_file, ensure_ascii=False)
    lines = [json.dumps(batch, ensure_ascii=False).encode() for batch in stream]
    for message in replay_batches(text, lines):
        name = f"{message['audience_id']}:{message['mpid']}"
        if message["action"] == "add":
            expected[name] = message["variant"]
        else:
            del expected[name]
    assert live.state == expected
    assert len({one["message_id"] for one in live.said}) == len(live.said)

    before = {one.id: (one.meaning, one.emits, one.ab_test) for one in old.plan.audiences}
    same = {
        one.id
        for one in new.plan.audiences
        if before.get(one.id) == (one.meaning, one.emits, one.ab_test)
    }
    told = {one["audience_id"] for one in live.said if one["cause"]["kind"] == "definition"}
    assert not told & same
    sizes = live.made.audience_sizes()
    assert sizes is not None
    assert sum(sizes.values()) == len(expected)
