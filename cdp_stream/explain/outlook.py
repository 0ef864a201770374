"""When each node's verdict will next change with no further event.

A copy of the row moves from due instant to due instant by the engine itself, so expiry,
forgetting and every criterion's own sense of time are those of a live worker. Between two due
instants nothing can change, so the first one at which a verdict differs is exact.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Final

from cdp_stream.core.criteria.calculated_attribute import CalculatedMemory
from cdp_stream.core.criteria.event_count import AtLeastOnce, NewestTimes, TimesAgo
from cdp_stream.core.engine.evaluation import Engine
from cdp_stream.core.model.change import Change
from cdp_stream.core.model.row import FOREVER, Row, size_of, state_size
from cdp_stream.explain.tree import Node, Part, verdicts

WORK_LIMIT: Final = 1_000_000
"""How much is looked at, about a microsecond each: a row may hold tens of thousands of due
instants, and some criteria go through all that they keep at each.
"""

_BYTES_LOOKED_AT: Final = 32
_KEPT_IN_ORDER: Final = (AtLeastOnce, NewestTimes, TimesAgo, CalculatedMemory)
"""Memories that find what an instant changes without going through all of it."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What passing time alone will bring.

    Attributes:
        next_changes: by node, epoch ms; None when it never changes by itself.
        looked_until: the instant up to which it was looked, epoch ms, where there were too many to
            look at all; a None of `next_changes` then means nothing for later instants.
    """

    next_changes: list[int | None]
    looked_until: int | None = None


def outlook_of(
    part: Part, tree: tuple[Node, ...], row: Row, at: int, work_limit: int = WORK_LIMIT
) -> Outlook:
    """When each node next changes; the root changes when the membership does.

    Args:
        row: evaluated up to `at`; it is not changed.
        work_limit: see `WORK_LIMIT`.
    """
    later = deepcopy(row)
    engine = Engine(part.plan)
    now = _verdicts(part, tree, later, at)
    found: list[int | None] = [None] * len(tree)
    pending = set(range(len(tree)))
    ignored: list[Change] = []
    looked = at
    work, left = _work(part, tree, row), work_limit
    while pending and later.due < FOREVER:
        left -= work
        if left < 0:
            return Outlook(found, looked)
        looked = later.due
        engine.wake(later, looked, ignored)
        ignored.clear()
        then = _verdicts(part, tree, later, looked)
        changed = {place for place in pending if then[place] != now[place]}
        for place in changed:
            found[place] = looked
        pending -= changed
    return Outlook(found)


def _work(part: Part, tree: tuple[Node, ...], row: Row) -> int:
    """How much one due instant costs at most."""
    size = sum(
        state_size(row.slots[slot])
        for slot, memory in part.plan.memories.items()
        if slot in row.slots and not isinstance(memory, _KEPT_IN_ORDER)
    )
    for workspace, dated in part.plan.dated_attributes.items():
        space = row.spaces.get(workspace)
        if space is not None:
            size += sum(size_of(space.attributes.get(key)) for key in dated)
    return len(tree) + size // _BYTES_LOOKED_AT


def _verdicts(part: Part, tree: tuple[Node, ...], row: Row, at: int) -> list[bool]:
    """The verdicts, the root's being the membership: the end of the profile is in no criterion."""
    return [part.audience_id in row.members, *verdicts(tree, row, at)[1:]]
