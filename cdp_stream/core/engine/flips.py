"""Which leaves flipped since the last evaluation, and why each did.

Within one instant a leaf may flip and flip back: then it has not flipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cdp_stream.core.criteria.leaf import Leaf
from cdp_stream.core.model.change import Occasion
from cdp_stream.core.model.row import Row, Space
from cdp_stream.core.outputs.shared_attributes import Before

Flips = dict[Leaf, Occasion]


@dataclass(frozen=True, slots=True)
class Touch:
    """One thing that happens to a row, and the leaves that are evaluated before and after it.

    Attributes:
        workspace: the id of the workspace in which it happens.
        space: what the workspace knows of the profile.
        occasion: the cause recorded for each leaf that flips.
        flips: where they are noted.
        before: where what outputs know is noted; None when there are none.
    """

    row: Row
    workspace: str
    space: Space
    occasion: Occasion
    flips: Flips
    before: Before | None = None

    def verdicts(self, leaves: Sequence[Leaf]) -> list[bool]:
        """The value of each leaf at the row's clock."""
        at = self.row.clock
        return [leaf.holds(self.row, at) for leaf in leaves]

    def note(self, leaves: Sequence[Leaf], before: list[bool]) -> None:
        """Note the leaves whose value is not the one in `before`, and when each is due."""
        row = self.row
        at = row.clock
        for leaf, before_flip in zip(leaves, before, strict=True):
            if leaf.holds(row, at) != before_flip and self.flips.pop(leaf, None) is None:
                self.flips[leaf] = self.occasion
            row.due = min(row.due, leaf.next_due(row, at))
