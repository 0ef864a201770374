"""History of profiles that were moved to other partitions is that of profiles that were not.

A system runs some definitions, is given more partitions once or several times, while producers go
on by the old number, and is then given other definitions. Each partition reads what they need where
it lies in the log, in pieces, with a crash anywhere. From there on it is the system that ran those
definitions from the beginning, over the same moves; and, where records arrive in order, a replay.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from cdp_stream.definitions import load_text
from cdp_stream.formats.moved_row import MOVED_KEY, encode_moves
from cdp_stream.formats.rows import (
    OWN_ROW,
    PARTITION_KEY,
    PartitionState,
    as_moved,
    encode_partition,
)
from cdp_stream.kafka.placement import Placement, hash_of
from cdp_stream.offline.replay import Replay
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.relocation import (
    SETTLE,
    Marker,
    check_ready,
    moves_after,
    own_rows,
    time_of_all,
)
from cdp_stream.partition.sources import sources_of
from tests.properties.strategies import cases
from tests.properties.test_backfill import (
    Draw,
    Partition,
    Rows,
    Sent,
    compare,
    is_in_order,
    members,
    members_by_audience,
    profiles,
    published,
    without,
)

Logs = list[list[Sent]]
PLACEMENT = Placement()


class Placed(Partition):
    """One partition of several, which reads its history in all of their logs."""

    number = 0

    def read_on(self, draw: Draw, logs: Logs) -> None:
        """Something of what is to be done because definitions changed."""
        processor = self.processor
        backfill = processor.backfill
        if processor.rows_to_sweep() and (backfill is None or draw(st.booleans())):
            self.write(processor.sweep(draw(st.integers(1, 3))))
            return
        if backfill is None or backfill.is_complete:
            return
        if backfill.state is None:
            sources = sources_of(backfill.moves(), self.number)
            self.write(backfill.begin(0, log_is_shorter=False, sources=sources))
            return
        live = backfill.laid.live(processor.position)
        first = backfill.position + 1
        if first <= live and not backfill.wants_to_save and draw(st.booleans()):
            laid = backfill.laid
            index = laid.index(first)
            source, shift = laid.sources[index], laid.shift(index)
            end = min(live + 1, first + draw(st.integers(1, 5)))
            if index + 1 < len(laid.sources):
                end = min(end, laid.begin(index + 1))
            records = logs[source.partition][first - shift : end - shift]
            is_here = PLACEMENT.here(source, laid.sources[-1])
            backfill.apply(records, end - 1, shift=shift, is_here=is_here)
        elif first > live and draw(st.booleans()):
            self.write(processor.complete_backfill())
        elif backfill.wants_to_save or backfill.unsaved_rows:
            self.write(backfill.save(draw(st.integers(1, 3)), 10_000))


class System:
    """The partitions of one input, and their logs."""

    def __init__(self, *versions: Definitions, partitions: int, rows_kept: int) -> None:
        self.versions = versions
        self.rows_kept = rows_kept
        self.told: dict[str, set[str]] = {}
        self.logs: Logs = [[] for _ in range(partitions)]
        self.parts = [self.part(number, {}) for number in range(partitions)]

    def part(self, number: int, rows: Rows) -> Placed:
        made = Placed(*self.versions, rows_kept=self.rows_kept)
        made.number, made.told = number, self.told
        if rows:
            made.rows = rows
            made.crash()
            made.fire()
        return made

    def append(self, record: Sent, partitions: int) -> Sent:
        """Publish by a number of partitions."""
        log = self.logs[hash_of(record.key) % partitions]
        log.append(record._replace(offset=len(log)))
        return log[-1]

    def live(self, record: Sent) -> None:
        count = len(self.parts)
        self.parts[hash_of(record.key) % count].live(self.append(record, count))

    def move(self, to: int, late: list[Sent]) -> None:
        """More partitions, as `cdp repartition` gives them; some is published meanwhile."""
        before = len(self.parts)
        own = {
            part.number: {k: v for k, v in part.rows.items() if k[0] == OWN_ROW}
            for part in self.parts
        }
        check_ready(own)
        ends = [len(log) for log in self.logs]
        marker = Marker(before, to, SETTLE, time_of_all(own), tuple(ends))
        made: dict[int, Rows] = own_rows(own, marker)
        rows: list[Rows] = [dict(own.get(n, {})) | made[n] for n in range(to)]
        for part in self.parts:
            for key, value in part.rows.items():
                if key[0] != OWN_ROW:
                    place = hash_of(key) % to
                    rows[place][key] = value if place == part.number else as_moved(value)
        self.logs += [[] for _ in range(before, to)]
        for record in late:
            self.append(record, before)
        starts = self.forward(ends, rows, marker)
        moves = encode_moves(moves_after(own, marker._replace(starts=tuple(starts))))
        for number in range(to):
            rows[number][MOVED_KEY] = moves
        self.parts = [self.part(number, rows[number]) for number in range(to)]
        for number, part in enumerate(self.parts):
            start = starts[number] if number < before else 0
            for record in self.logs[number][start:]:
                part.live(record)

    def forward(self, ends: list[int], rows: list[Rows], marker: Marker) -> list[int]:
        starts = list(ends)
        waiting = [log[end:] for log, end in zip(self.logs, ends, strict=False)]
        for number, records in enumerate(waiting):
            if all(hash_of(record.key) % marker.after == number for record in records):
                continue
            for record in records:
                self.append(record, marker.after)
            starts[number] = records[-1].offset + 1
            state = PartitionState(marker.time, starts[number] - 1)
            rows[number][PARTITION_KEY] = encode_partition(state)
        return starts

    def switch(self, definitions: Definitions) -> None:
        for part in self.parts:
            part.write(part.processor.switch(definitions))

    def pass_time(self) -> int:
        end = max(0, *(part.processor.time for part in self.parts))
        for part in self.parts:
            part.write(part.processor.mark_time(end))
            part.fire()
        return end

    @property
    def is_settled(self) -> bool:
        return all(part.is_settled for part in self.parts)

    @property
    def rows(self) -> Rows:
        return {key: value for part in self.parts for key, value in part.rows.items()}


def catch_up(draw: Draw, found: System, whole: System, rest: list[Sent]) -> None:
    """Read history beside the rest of the records, with up to three crashes."""
    crashes = 3
    while rest or not found.is_settled:
        what = draw(st.sampled_from(["live", "work", "work", "work", "crash"]))
        part = draw(st.sampled_from(found.parts))
        if what == "live" and rest:
            record = rest.pop(0)
            whole.live(record)
            found.live(record)
        elif what == "crash" and crashes:
            crashes -= 1
            part.crash()
        else:
            waiting = [one for one in found.parts if not one.is_settled] or [part]
            waiting[0].read_on(draw, found.logs)


# A case that fails is made smaller for up to five minutes.
@pytest.mark.timeout(900)
@settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)
@given(case=cases(), data=st.data())
def test_history_is_read_where_profiles_were(
    case: tuple[Any, list[Any], int | None], data: st.DataObject
) -> None:
    definitions, stream, _until = case
    text = json.dumps(definitions, ensure_ascii=False, indent=1)
    note(text)
    note("\n".join(json.dumps(batch) for batch in stream))
    account = load_text(text).account
    assert account is not None
    draw = data.draw
    names = [audience.id for audience in account.audiences]
    gone = draw(st.sets(st.sampled_from(names), min_size=1), label="new audiences")
    after = Definitions("2", 0, account)
    before = Definitions("1", 0, without(account, gone))
    assume(set(after.plan.memories) - set(before.plan.memories))
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
    catch_up(draw, found, whole, rest)
    assert {key for key in found.rows if key[0] == OWN_ROW} == {
        b"~definitions", b"~partition", b"~moved",
    }  # fmt: skip
    end = found.pass_time()
    assert whole.pass_time() == end
    for later in (0, 1, 86_400_000, 3 * 86_400_000, 40 * 86_400_000):
        compare(after.plan, found.rows, whole.rows, end + later)
    now = members_by_audience(profiles(found.rows, after.plan, end))
    emitting = {audience.id for audience in account.audiences if audience.emits}
    assert {name: told for name, told in found.told.items() if told} == {
        name: held for name, held in now.items() if name in emitting
    }
    if is_in_order(stream):
        replay = Replay(after.plan, until=end)
        for batch in published(stream):
            replay.feed(batch.value, [])
        replay.finish(lambda _changes: None)
        assert members(profiles(found.rows, after.plan, end)) == members(replay.rows)
