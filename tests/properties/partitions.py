"""One partition's processor as a worker drives it, and how its rows compare with others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from hypothesis import assume, note
from hypothesis import strategies as st

from cdp_stream.core.engine.evaluation import Engine
from cdp_stream.core.model.change import Change
from cdp_stream.core.model.criterion import MemberOf
from cdp_stream.core.model.definition import Account
from cdp_stream.core.model.row import NEVER, Row
from cdp_stream.core.plan.expression import leaves_of
from cdp_stream.core.plan.plan import Plan
from cdp_stream.definitions import load_text
from cdp_stream.formats.rows import OWN_ROW, decode_row
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import Effects
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.partition.processor import ProfileProcessor
from tests.partition.records import ROW_MEMORY
from tests.properties.recount_events import arrival

Rows = dict[bytes, bytes]


Draw = Callable[[st.SearchStrategy[Any]], Any]


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


class Partition:
    """A partition: what is written, what was emitted, and whoever decides on it just now."""

    def __init__(self, first: Definitions, *others: Definitions, rows_kept: int = 100) -> None:
        self.rows: Rows = {}
        self.announced: dict[str, set[str]] = {}
        self._first = first
        self._known = {one.version: one for one in (first, *others)}
        self._rows_kept = rows_kept
        self.crash()
        self.write(self.processor.rollout.switch(first))

    def crash(self) -> None:
        """Whoever decided is gone; another takes over what is written."""
        made = ProfileProcessor(
            self._first, "events", 0, MemoryBudget(self._rows_kept * ROW_MEMORY), self._known.get
        )
        made.restore(self.rows)
        self.processor = made

    def write(self, effects: Effects) -> None:
        pending = self.processor.rollout.pending
        for key, value in effects.rows.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        for key, value in effects.memberships:
            change = json.loads(value)
            members = self.announced.setdefault(change["audience_id"], set())
            if change["action"] == "add":
                assert key.decode() not in members
                assert change["audience_id"] not in pending
                members.add(key.decode())
            else:
                members.remove(key.decode())

    def live(self, record: Sent) -> None:
        """A record, then what is due by then."""
        self.write(self.processor.apply([record]))
        self.fire()

    def fire(self) -> None:
        while (due := self.processor.next_due()) is not None and due <= self.processor.time:
            self.write(self.processor.tick(self.processor.time, 100))

    def work(self, draw: Draw, log: list[Sent]) -> None:
        """Something of what is to be done because definitions changed."""
        processor = self.processor
        backfill = processor.rollout.backfill
        if processor.rollout.rows_to_migrate() and (backfill is None or draw(st.booleans())):
            self.write(processor.rollout.migrate(draw(st.integers(1, 3))))
            return
        if backfill is None or backfill.is_complete:
            return
        if backfill.state is None:
            self.write(backfill.begin(0, log_is_shorter=False))
            return
        first = backfill.position + 1
        if first <= processor.position and not backfill.wants_to_save and draw(st.booleans()):
            end = min(processor.position + 1, first + draw(st.integers(1, 5)))
            backfill.apply(log[first:end], end - 1)
        elif first > processor.position and draw(st.booleans()):
            self.write(processor.rollout.complete_backfill())
        elif backfill.wants_to_save or backfill.unsaved_rows:
            self.write(backfill.save(draw(st.integers(1, 3)), 10_000))

    @property
    def is_settled(self) -> bool:
        return not self.processor.rollout.rows_to_migrate() and not self.processor.rollout.missing


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


def profiles(rows: Rows, plan: Plan, until: int) -> dict[int, Row]:
    """The rows at an instant, those that are forgotten by then left out."""
    found = {}
    engine = Engine(plan)
    for key, value in rows.items():
        if key[0] == OWN_ROW:
            continue
        row = decode_row(int(key), value)
        changes: list[Change] = []
        engine.wake(row, until, changes)
        if row.spaces and row.clock != NEVER:
            found[row.mpid] = row
    return found


def members_by_audience(rows: dict[int, Row]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for mpid, row in rows.items():
        for name in row.members:
            found.setdefault(name, set()).add(str(mpid))
    return found


def compare(plan: Plan, found: Rows, expected: Rows, at: int) -> None:
    ours, theirs = profiles(found, plan, at), profiles(expected, plan, at)
    assert members(ours) == members(theirs)
    for mpid, row in ours.items():
        for slot, memory in plan.memories.items():
            for leaf in memory.leaves:
                assert leaf.holds(row, at) == leaf.holds(theirs[mpid], at), slot


def members(rows: dict[int, Row]) -> dict[int, set[str]]:
    return {mpid: set(row.members) for mpid, row in rows.items()}


def with_new_audiences(
    definitions: Any, stream: list[Any], data: st.DataObject
) -> tuple[Definitions, Definitions]:
    """The definitions without some audiences, and with all of them, which then need history."""
    text = json.dumps(definitions, ensure_ascii=False, indent=1)
    note(text)
    note("\n".join(json.dumps(batch) for batch in stream))
    account = load_text(text).account
    assert account is not None
    names = [audience.id for audience in account.audiences]
    gone = data.draw(st.sets(st.sampled_from(names), min_size=1), label="new audiences")
    after = Definitions("2", 0, account)
    before = Definitions("1", 0, without(account, gone))
    assume(set(after.plan.memories) - set(before.plan.memories))
    return before, after


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
