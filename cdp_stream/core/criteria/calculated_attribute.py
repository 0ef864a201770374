"""Calculated attributes: their state in a profile's row, their value at an instant, and tests on
it.

An event enters when it meets the attribute's conditions and its time can count now or later. Its
value is read by `where.compile_values`: a product's value counts when that same product meets all
product conditions; any other when some product does, as for every `where`. Null and missing values
do not count.

Invariant: the value at an instant is that over all events of the window, in whatever order they
came, because state drops only what no later window reaches.

Source: docs/semantics.md, calculated attributes.
"""

from __future__ import annotations

from typing import Any

from cdp_stream.core.calculations.choice import fold_of
from cdp_stream.core.calculations.fold import EMPTY_SIZE
from cdp_stream.core.criteria.leaf import Leaf
from cdp_stream.core.criteria.where import compile_values
from cdp_stream.core.model.criterion import CalculatedAttribute
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.operators import DATED, Test, dated_change, dated_test, value_test
from cdp_stream.core.model.row import FOREVER, SLOT_SIZE, Row

_NEW_SIZE = SLOT_SIZE + EMPTY_SIZE


class CalculatedMemory:
    """What is kept of the events of one calculated attribute.

    Attributes:
        attribute: its definition.
        leaves: the tests on it; added while the plan is built.
    """

    __slots__ = (
        "_end", "_fold", "_oldest", "_start", "_values", "attribute", "leaves", "slot", "workspace",
    )  # fmt: skip

    def __init__(self, slot: str, attribute: CalculatedAttribute) -> None:
        window = attribute.window
        self.slot = slot
        self.workspace = attribute.workspace
        self.attribute = attribute
        self.leaves: tuple[Leaf, ...] = ()
        self._start = -FOREVER if window.start is None else window.start
        self._end = FOREVER if window.end is None else window.end
        self._oldest = FOREVER if window.oldest is None else window.oldest
        self._fold = fold_of(attribute.calculation, forgets=window.oldest is not None)
        self._values = (
            None if attribute.value is None else compile_values(attribute.value, attribute.where)
        )

    def need(self, event: Event, batch: Batch) -> int:
        items = self._items(event, batch)
        return _NEW_SIZE + self._fold.need(items) if items else 0

    def record(self, row: Row, event: Event, batch: Batch, at: int) -> None:
        time = event.occurred_at
        floor = at - self._oldest
        if time < floor or not self._start <= time < self._end:
            return
        items = self._items(event, batch)
        if not items:
            return
        state = row.slots.get(self.slot)
        if state is None:
            row.weight += _NEW_SIZE
        row.slots[self.slot], grew = self._fold.add(state, time, items, floor)
        row.weight += grew

    def prune(self, row: Row, at: int) -> None:
        state = self._fold.pruned(row.slots[self.slot], at - self._oldest)
        if state is None:
            del row.slots[self.slot]
        else:
            row.slots[self.slot] = state

    def value(self, row: Row, at: int) -> Any:
        """The value at an instant that is not before the row's clock: text, a number, a boolean, a
        list, or MISSING. A time is in epoch ms.

        A number may have more than 64 bits. What was a list or an object in an event is one here.
        """
        return self._fold.value(row.slots.get(self.slot), at - self._oldest)

    def next_change(self, row: Row, after: int) -> int:
        """The first instant later than `after`, and the row's clock, at which the value can change
        with no further event; FOREVER when it never will.
        """
        state = row.slots.get(self.slot)
        leaving = None if state is None else self._fold.leaving(state, after - self._oldest)
        return FOREVER if leaving is None else min(leaving + self._oldest + 1, FOREVER)

    def _items(self, event: Event, batch: Batch) -> list[Any]:
        """The value of an event for the calculation."""
        if self._values is None:
            # The event itself is what is counted, or dated.
            return [True]
        read = self._fold.item
        return [item for value in self._values(event, batch) if (item := read(value)) is not None]


class CalculatedAttributeTest:
    """A test on the value of a calculated attribute."""

    __slots__ = ("_at", "_memory", "_test", "_window", "audiences")

    def __init__(self, memory: CalculatedMemory, test: Test) -> None:
        self.audiences: tuple[int, ...] = ()
        self._memory = memory
        self._window = test.operand if test.operator == DATED else None
        if self._window is not None:
            self._at = dated_test(self._window)
        else:
            self._test = value_test(test)

    def holds(self, row: Row, at: int) -> bool:
        value = self._memory.value(row, at)
        return self._test(value) if self._window is None else self._at(value, at)

    def next_due(self, row: Row, after: int) -> int:
        due = self._memory.next_change(row, after)
        if self._window is not None:
            change = dated_change(self._window, self._memory.value(row, after), after)
            if change is not None and change < due:
                due = change
        return due
