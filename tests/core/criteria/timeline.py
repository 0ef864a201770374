"""Time that passes millisecond by millisecond over one profile, as the engine lets it pass, held
against the truth worked out from every event there ever was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.row import FOREVER, Row
from tests.core.accounts import batch

Entered = tuple[str, Event]
"""The workspace, and the event."""


@dataclass
class Timeline:
    """A criterion under test.

    Attributes:
        leaf: with `memories`, as planning.py makes it.
        truth: the expected result for all events entered, at an instant.
        at: the clock.
    """

    leaf: Any
    truth: Callable[[list[Entered], int], bool]
    at: int
    row: Row = field(default_factory=lambda: Row(1))
    entered: list[Entered] = field(default_factory=list)

    def enter(self, workspace: str, event: Event, source: str = "ios") -> None:
        """An event comes, at the clock or late."""
        self.entered.append((workspace, event))
        of = batch(event, arrival=self.at, source=source)
        for memory in self.leaf.memories:
            if memory.workspace == workspace and reads(memory, event, source):
                self._record(memory, event, of)
        self._agrees(self.at)
        assert self.row.due > self.at

    def _record(self, memory: Any, event: Event, of: Batch) -> None:
        row = self.row
        weight, need = row.weight, memory.need(event, of)
        assert memory.leaves == (self.leaf,)
        memory.record(row, event, of, self.at)
        assert row.weight - weight <= need
        assert len(msgspec.msgpack.encode(row.slots)) <= row.weight
        row.due = min(row.due, self.leaf.next_due(row, self.at))

    def pass_to(self, until: int) -> None:
        """Time passes; due instants fire."""
        while self.at < until:
            self.at += 1
            before = self.truth(self.entered, self.at - 1)
            now = self._agrees(self.at)
            assert before == now or self.row.due <= self.at, "the due instant is late"
            if self.row.due <= self.at:
                assert self.leaf.holds(self.row, self.at - 1) is before
                self.prune()
                assert self.leaf.holds(self.row, self.at) is now
                self.row.due = self.leaf.next_due(self.row, self.at)
                assert self.row.due > self.at

    def prune(self) -> None:
        """Drop what no longer counts at the clock."""
        for memory in self.leaf.memories:
            if memory.slot in self.row.slots:
                memory.prune(self.row, self.at)

    def store(self) -> int:
        """Take the row's state to bytes and back; gives how many."""
        encoded = msgspec.msgpack.encode(self.row.slots)
        self.row.slots = msgspec.msgpack.decode(encoded)
        return len(encoded)

    def _agrees(self, at: int) -> bool:
        now = self.truth(self.entered, at)
        assert self.leaf.holds(self.row, at) is now
        return now


def reads(memory: Any, event: Event, source: str) -> bool:
    """Whether a memory is told of an event, as plan.py indexes it."""
    names = event.name.casefold(), event.custom_event_type.casefold()
    return any(
        subject.covers(event.kind, *names) and (reach.inputs is None or source in reach.inputs)
        for reach, subject in memory.reads
    )


def state_size(row: Row) -> int:
    """The bytes that all state takes."""
    return len(msgspec.msgpack.encode(row.slots))


def ends(leaf: Any, row: Row, at: int, until: int = FOREVER) -> list[int]:
    """The instants at which the criterion flips with no further event."""
    found = []
    while (due := leaf.next_due(row, at)) < until:
        assert due > at
        if leaf.holds(row, due - 1) != leaf.holds(row, due):
            found.append(due)
        at = due
    return found
