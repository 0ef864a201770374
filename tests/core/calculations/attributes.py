"""Short forms: one calculated attribute on one row, and a recount of it from a plain list."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from typing import Any

import msgspec

from cdp_stream.core.criteria.calculated_attribute import CalculatedMemory
from cdp_stream.core.model.criterion import CalculatedAttribute, Calculation, Condition, Source
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.operators import MISSING
from cdp_stream.core.model.row import Row
from cdp_stream.core.model.subject import Subject
from cdp_stream.core.model.windows import Window

EVER = Window(newest=0)
PLAY = Subject("event", "play", None)
NO_SLOTS = msgspec.msgpack.encode({})


def attribute(
    calculation: str,
    window: Window = EVER,
    value: tuple[str, str] | None = ("attribute", "v"),
    where: tuple[Condition, ...] = (),
) -> CalculatedAttribute:
    """An attribute of the events `play`, over their custom attribute `v` unless said."""
    found = None if value is None else (Source(value[0]), value[1])
    return CalculatedAttribute("a", "w", Calculation(calculation), PLAY, found, where, window)


class Profile:
    """One row with one attribute."""

    def __init__(self, calculated: CalculatedAttribute) -> None:
        self.memory = CalculatedMemory("slot5678", calculated)
        self.row = Row(1)
        self.clock = 0

    def adds(self, time: int, *values: Any, at: int | None = None) -> None:
        """An event for each value, at the clock `at`, or the greatest time up to now."""
        for value in values:
            self.adds_data(time, {"custom_attributes": {"v": value}}, at=at)

    def adds_data(self, time: int, data: dict[str, Any], at: int | None = None) -> None:
        """One event with this data; says when it grows more than it said before it would."""
        self.clock = max(self.clock, time, at or 0)
        event = Event(time, "event", "play", "", data, None, None, 0)
        batch = Batch(1, "ios", self.clock, [event], None, None, {}, {})
        need = self.memory.need(event, batch)
        before = self.row.weight
        self.memory.record(self.row, event, batch, self.clock)
        assert self.row.weight - before <= need
        assert self.row.weight >= Row(1).weight + self.size - len(NO_SLOTS)

    @property
    def size(self) -> int:
        """Bytes of the slots as MessagePack."""
        return len(msgspec.msgpack.encode(self.row.slots))

    def packs(self) -> None:
        """The state goes out as MessagePack and comes back."""
        self.row.slots = msgspec.msgpack.decode(msgspec.msgpack.encode(self.row.slots))

    def prunes(self, at: int) -> None:
        """Drop what is too old at an instant."""
        if "slot5678" in self.row.slots:
            self.memory.prune(self.row, at)

    def value(self, at: int | None = None) -> Any:
        """The value at an instant, the clock unless said."""
        return self.memory.value(self.row, self.clock if at is None else at)


def of(calculation: str, *timed: tuple[int, Any], window: Window = EVER) -> Any:
    """The value of an attribute right after these (time, value)."""
    profile = Profile(attribute(calculation, window))
    for time, value in timed:
        profile.adds(time, value)
    return profile.value()


def recount(calculation: str, read: list[tuple[int, Any]], window: Window, at: int) -> Any:
    """The value at an instant over all (time, value) in the order in which they were read."""
    live = sorted((pair for pair in read if window.contains(pair[0], at)), key=lambda pair: pair[0])
    if calculation == "count":
        return len(live)
    if calculation in ("sum", "min", "max", "average"):
        return _recount_numbers(calculation, [exact(value) for _, value in live])
    texts = Counter(json.dumps(value) for _, value in live)
    in_order = sorted(texts, key=lambda text: (_plain(text), text))
    if calculation == "unique_values_count":
        return len(texts)
    if calculation == "unique_list":
        return [json.loads(text) for text in in_order[:100]]
    if not live:
        return MISSING
    if calculation == "most_frequent":
        most = max(texts.values())
        return json.loads(next(text for text in in_order if texts[text] == most))
    place = 0 if calculation.startswith("first") else -1
    return live[place][0 if calculation.endswith("timestamp") else 1]


def exact(value: Any) -> Fraction | None:
    """The number written, or None."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return Fraction(value.strip() if isinstance(value, str) else repr(value))
    except ValueError:
        return None


def _recount_numbers(calculation: str, found: list[Fraction | None]) -> Any:
    numbers = [number for number in found if number is not None]
    if not numbers and calculation != "sum":
        return MISSING
    result = {
        "sum": lambda: sum(numbers, Fraction()),
        "min": lambda: min(numbers),
        "max": lambda: max(numbers),
        "average": lambda: sum(numbers, Fraction()) / len(numbers),
    }[calculation]()
    return result.numerator if result.denominator == 1 else float(result)


def _plain(text: str) -> str:
    return json.loads(text) if text[0] == '"' else text
