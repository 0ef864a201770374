"""History that was read beside live traffic, in pieces, with a crash anywhere, is the history that
live traffic would have left.

A partition runs definitions without some audiences; the history of their slots is read as far as it
has come, and put into its rows. From there on it is the partition that ran all of them from the
beginning: every criterion says the same at every later instant.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from cdp_stream.core.change import Change
from cdp_stream.core.definition import Account, MemberOf
from cdp_stream.core.expression import leaves_of
from cdp_stream.core.plan import Plan
from cdp_stream.core.planning import build_plan
from cdp_stream.core.row import NEVER, Row
from cdp_stream.definitions import load_text
from cdp_stream.formats.backfill_rows import BACKFILL_KEY, backfill_key, backfilled_mpid
from cdp_stream.formats.backfill_rows import decode_backfill as decode_state
from cdp_stream.formats.rows import PARTITION_KEY, decode_row, encode_row
from cdp_stream.offline.replay import Replay
from cdp_stream.partition.backfill import Backfill
from cdp_stream.partition.effects import Effects
from cdp_stream.partition.processor import ProfileProcessor
from cdp_stream.partition.room import RowRoom
from tests.properties.recount_events import arrival
from tests.properties.strategies import cases

Rows = dict[bytes, bytes]


class Sent(NamedTuple):
    """A record as the consumer hands it over."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    timestamp: int
    offset: int


def published(stream: list[Any]) -> list[Sent]:
    return [
        Sent(
            str(batch["mpid"]).encode(),
            json.dumps(batch, ensure_ascii=False).encode(),
            (),
            arrival(batch),
            offset,
        )
        for offset, batch in enumerate(stream)
    ]


def write(rows: Rows, effects: Effects) -> None:
    for key, value in effects.rows.items():
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value


def live(plan: Plan, rows: Rows, records: list[Sent]) -> int:
    """Run records one by one, with the due instants up to each; returns the partition's time."""
    processor = ProfileProcessor(plan, "events", 0)
    processor.restore(rows)
    for record in records:
        write(rows, processor.apply([record]))
        while True:
            effects = processor.tick(processor.time, 100)
            write(rows, effects)
            if not effects.more:
                break
    return processor.time


def without(account: Account, gone: set[str]) -> Account:
    """The account without some audiences, nor those that refer to them."""
    while True:
        kept = [
            audience
            for audience in account.audiences
            if audience.id not in gone
            and not any(
                isinstance(leaf, MemberOf) and leaf.audience_id in gone
                for leaf in leaves_of(audience.expression)
            )
        ]
        found = {audience.id for audience in account.audiences} - {one.id for one in kept}
        if found == gone:
            return replace(account, audiences=tuple(kept))
        gone = found


def restored(backfill_of: tuple[Account, frozenset[str]], rows: Rows, kept: int) -> Backfill:
    made = Backfill(*backfill_of, RowRoom(kept))
    stored = [mpid for key in rows if (mpid := backfilled_mpid(key)) is not None]
    state = rows.get(BACKFILL_KEY)
    made.restore(rows, stored, None if state is None else decode_state(state))
    return made


def read_history(
    draw: Callable[[st.SearchStrategy[Any]], Any],
    of: tuple[Account, frozenset[str]],
    rows: Rows,
    records: list[Sent],
) -> Backfill:
    """Read records in pieces, write rows now and then, and crash a few times."""
    kept = draw(st.sampled_from([1, 2, 100]))
    backfill = restored(of, rows, kept)
    write(rows, backfill.begin(0, log_is_shorter=False))
    crashes = draw(st.integers(0, 2))
    while backfill.position < len(records) - 1 or not backfill.is_saved:
        first = backfill.position + 1
        what = draw(st.sampled_from(["read", "read", "save", "crash"]))
        if what == "crash" and crashes:
            crashes -= 1
            backfill = restored(of, rows, kept)
        elif (what == "save" and not backfill.is_saved) or first == len(records):
            write(rows, backfill.save(draw(st.integers(1, 3)), 10_000))
        else:
            end = min(len(records), first + draw(st.integers(1, 5)))
            backfill.apply(records[first:end], end - 1)
    write(rows, backfill.complete(1))
    return restored(of, rows, kept) if draw(st.booleans()) else backfill


def merge(plan: Plan, backfill: Backfill, rows: Rows, time: int) -> None:
    """Put the history into the live rows, and set memberships anew."""
    for key in [key for key in rows if not key.startswith(b"~")]:
        row = decode_row(int(key), rows[key])
        taken = backfill.take(row.mpid, 0, time)
        rows.pop(backfill_key(row.mpid), None)
        assert not taken.keys() & row.slots.keys()
        row.slots |= taken
        row.warm()
        for audience in plan.audiences:
            row.members.pop(audience.id, None)
            if not plan.opted_out.holds(row, time) and audience.expression.holds(row, time):
                row.members[audience.id] = time
        row.clock = max(row.clock, time)
        row.due = time + 1
        row.weight += 10_000
        rows[key] = encode_row(row)
    while backfill.has_leftovers:
        write(rows, backfill.remove(1))
    assert all(key == PARTITION_KEY or not key.startswith(b"~") for key in rows)


def profiles(rows: Rows, plan: Plan, until: int) -> dict[int, Row]:
    """The rows at an instant, those that are forgotten by then left out."""
    found = {}
    engine = Replay(plan)._engine
    for key, value in rows.items():
        if key == PARTITION_KEY:
            continue
        row = decode_row(int(key), value)
        changes: list[Change] = []
        engine.wake(row, until, changes)
        if row.spaces and row.clock != NEVER:
            found[row.mpid] = row
    return found


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
def test_history_read_in_pieces_is_the_history_of_live_traffic(
    case: tuple[Any, list[Any], int | None], data: st.DataObject
) -> None:
    definitions, stream, _until = case
    text = json.dumps(definitions, ensure_ascii=False, indent=1)
    note(text)
    note("\n".join(json.dumps(batch) for batch in stream))
    account = load_text(text).account
    assert account is not None
    names = [audience.id for audience in account.audiences]
    gone = data.draw(st.sets(st.sampled_from(names), min_size=1), label="new audiences")
    before, after = build_plan(without(account, gone)), build_plan(account)
    missing = frozenset(after.memories) - frozenset(before.memories)
    assume(missing)
    records = published(stream)
    switch = data.draw(st.integers(0, len(records)), label="switch")

    whole: Rows = {}
    live(after, whole, records)
    rows: Rows = {}
    time = live(before, rows, records[:switch])
    backfill = read_history(data.draw, (account, missing), rows, records[:switch])
    merge(after, backfill, rows, time)
    at_switch: Rows = {}
    live(after, at_switch, records[:switch])
    compare(after, rows, at_switch, time)
    end = max(time, live(after, rows, records[switch:]))
    for later in (0, 1, 86_400_000, 3 * 86_400_000, 40 * 86_400_000):
        compare(after, rows, whole, end + later)
    if is_in_order(stream):
        replay = Replay(after, until=end)
        for record in records:
            replay.feed(record.value, [])
        replay.finish(lambda _changes: None)
        assert members(profiles(rows, after, end)) == members(replay.rows)


def compare(plan: Plan, found: Rows, expected: Rows, at: int) -> None:
    ours, theirs = profiles(found, plan, at), profiles(expected, plan, at)
    assert members(ours) == members(theirs)
    for mpid, row in ours.items():
        for slot, memory in plan.memories.items():
            for leaf in memory.leaves:
                assert leaf.holds(row, at) == leaf.holds(theirs[mpid], at), slot


def members(rows: dict[int, Row]) -> dict[int, set[str]]:
    return {mpid: set(row.members) for mpid, row in rows.items()}


def is_in_order(stream: list[Any]) -> bool:
    """Whether no event is earlier than the arrival of a record before it."""
    reached = 0
    for batch in stream:
        times = [
            event["data"].get("timestamp_unixtime_ms", arrival(batch))
            for event in batch.get("events", ())
        ]
        if min([*times, arrival(batch)]) < reached:
            return False
        reached = max(reached, arrival(batch))
    return True
