"""What is done to a run of workers, and when: a pure function of a seed.

Workers have places, numbered from 0, each with a data directory of its own. Whatever a schedule
does is possible in its turn: nothing is killed that does not run, nothing damaged under a worker.
"""

import random
from dataclasses import dataclass
from typing import Literal

Action = Literal[
    "publish", "join", "terminate", "kill", "freeze", "thaw", "damage", "restart_broker",
    "kill_broker", "apply",
]  # fmt: skip
"""MemoryBudget for more: a new action needs a draw in ``_Drawing`` and a method of ``ChaosRun``."""

PLACES = 3
VERSIONS = 3
"""Texts of definitions that may be applied."""
SLICES = 6
SESSION_S = 3
ASSIGNED_MS = 8_000
"""For so long at most it is waited for a worker's first partitions."""
_LONGEST_MS = 20_000
_ENDS_MS = (300, 1_500, 3_000)
_ELSE_MS = (100, 500)
_BROKER_MS = 5_000
"""What a restart of the broker may take of a schedule's time."""
_ASSIGNED_OFTEN_MS = 1_500
"""What that wait takes mostly: the worker has been starting since it joined."""
_AT_WORK = 0.75
"""The share of kills and freezes that meet workers at work; the rest meets them as they start."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done.

    Attributes:
        action: What.
        place: Whose worker; -1 where it is no worker's.
        outputs: It is done as so many more changes were published, ...
        within_ms: ... or after this time, whichever is first.
        at_work: Before both, the worker is waited for until it has been given partitions.
        detail: How long a worker is frozen, ms; the seed of a damage; which definitions are
            applied; else 0.
    """

    action: Action
    place: int = -1
    outputs: int = 0
    within_ms: int = 0
    detail: int = 0
    at_work: bool = False

    def __str__(self) -> str:
        who = f" {self.place}" if self.place >= 0 else ""
        detail = f" ({self.detail})" if self.detail else ""
        at_work = " at work" if self.at_work else ""
        return f"{self.action}{who}{detail}{at_work} after {self.outputs} or {self.within_ms} ms"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A whole schedule.

    Attributes:
        seed: What it was drawn from, and its stream is generated from.
        stores: The store of the worker at each place.
        steps: What is done, in order. At the end of them all slices are published.
    """

    seed: int
    stores: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def longest_ms(self) -> int:
        """What its steps wait for at most, all together."""
        waits = sum(step.within_ms for step in self.steps)
        frozen = sum(step.detail for step in self.steps if step.action == "freeze")
        brokers = sum(_BROKER_MS for step in self.steps if step.action.endswith("_broker"))
        starts = sum(_ASSIGNED_OFTEN_MS for step in self.steps if step.at_work)
        return waits + frozen + brokers + starts

    @property
    def last_applied(self) -> int | None:
        """Which definitions it ends with; None when its workers have files, which stay the same."""
        applied = [step.detail for step in self.steps if step.action == "apply"]
        return applied[-1] if applied else None

    @property
    def disturbs_broker(self) -> bool:
        return any(step.action.endswith("_broker") for step in self.steps)


def draw_schedule(seed: int) -> Schedule:
    """The schedule of a seed."""
    draw = random.Random(f"chaos {seed}")
    stores = tuple(draw.choices(["rocksdb", "memory"], [6, 1], k=PLACES))
    drawing = _Drawing(draw, stores)
    broker_after = draw.randrange(SLICES) if draw.random() < 0.25 else None
    applied_after = draw.sample(range(SLICES - 1), draw.choice([1, 2])) if seed % 4 == 0 else None
    if applied_after is not None:
        drawing.add("apply")
    for number in range(SLICES):
        drawing.add("publish")
        if number == 0:
            drawing.join()
        for _ in range(draw.choice([1, 1, 2, 2, 3])):
            drawing.disturb()
        if applied_after is not None and number in applied_after:
            drawing.apply()
        if number == broker_after:
            drawing.add(draw.choice(["restart_broker", "kill_broker"]))
    return Schedule(seed, stores, tuple(drawing.steps))


class _Drawing:
    """Draws one step after the other, and knows how places stand."""

    def __init__(self, draw: random.Random, stores: tuple[str, ...]) -> None:
        self._draw = draw
        self._stores = stores
        self._out = set(range(PLACES))
        self._running: set[int] = set()
        self._frozen: set[int] = set()
        self._has_data: set[int] = set()
        self._version = 0
        self._left_ms = _LONGEST_MS - _BROKER_MS
        self.steps: list[Step] = []

    def add(self, action: Action, place: int = -1, detail: int = 0) -> None:
        draw = self._draw
        ends_work = action in ("kill", "terminate", "freeze")
        at_work = ends_work and place in self._running and draw.random() < _AT_WORK
        if at_work and self._left_ms >= _ASSIGNED_OFTEN_MS:
            self._left_ms -= _ASSIGNED_OFTEN_MS
        else:
            at_work = False
        most = min(draw.choice(_ENDS_MS if ends_work else _ELSE_MS), max(0, self._left_ms // 3))
        within_ms = draw.randint(0, most)
        self._left_ms -= within_ms
        outputs = draw.randint(1, 2_000)
        self.steps.append(Step(action, place, outputs, within_ms, detail, at_work))

    def join(self, place: int | None = None) -> None:
        if place is None:
            place = self._one(self._out)
        self._move(place, self._out, self._running)
        if self._stores[place] == "rocksdb":
            self._has_data.add(place)
        self.add("join", place)

    def apply(self) -> None:
        """Other definitions than those in force."""
        self._version = (self._version + self._draw.randrange(1, VERSIONS)) % VERSIONS
        self.add("apply", detail=self._version)

    def disturb(self) -> None:
        possible = {
            self.join: len(self._out) if self._running else 6,
            self._end: 4 if self._running else 0,
            self._freeze: 2 if self._running and not self._frozen else 0,
            self._thaw: 3 if self._frozen else 0,
            self._damage: 2 if self._out & self._has_data else 0,
        }
        if not self._out:
            possible[self.join] = 0
        (chosen,) = self._draw.choices(list(possible), list(possible.values()))
        chosen()

    def _end(self) -> None:
        action: Action = self._draw.choice(["kill", "kill", "terminate"])
        place = self._one(self._running)
        self.add(action, place)
        self._move(place, self._running, self._out)

    def _freeze(self) -> None:
        place = self._one(self._running)
        for_long = self._left_ms > SESSION_S * 2_000 and self._draw.random() < 0.75
        lasts = (SESSION_S * 1000 + 1_000, SESSION_S * 1000 + 3_000) if for_long else (100, 1_000)
        lasts_ms = self._draw.randint(*lasts)
        self._left_ms -= lasts_ms
        self.add("freeze", place, lasts_ms)
        self._move(place, self._running, self._frozen)
        if for_long and self._out and not self._running:
            self.join()

    def _thaw(self) -> None:
        place = self._one(self._frozen)
        if self._draw.random() < 0.2:
            self._move(place, self._frozen, self._out)
            self.add("kill", place)
        else:
            self._move(place, self._frozen, self._running)
            self.add("thaw", place)

    def _damage(self) -> None:
        place = self._one(self._out & self._has_data)
        self.add("damage", place, self._draw.randint(1, 999))
        if self._draw.random() < 0.7:
            self.join(place)

    def _one(self, places: set[int]) -> int:
        return self._draw.choice(sorted(places))

    def _move(self, place: int, source: set[int], target: set[int]) -> None:
        source.remove(place)
        target.add(place)
