"""When a profile changes with no further event: which leaves passing time can flip, when the next
one may, and when the profile ends.

Source: docs/semantics.md, instants; end of a profile.
"""

from __future__ import annotations

from cdp_stream.core.criteria.leaf import Leaf
from cdp_stream.core.model.row import FOREVER, Row, Space
from cdp_stream.core.plan.plan import Plan


class PassingTime:
    """What passing time does to the rows of one plan.

    Attributes:
        lifetimes: of each workspace, ms; None is unlimited.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.lifetimes = {
            workspace.id: workspace.lifetime_ms for workspace in plan.workspaces.values()
        }
        self._forwarding = plan.forwarding

    def end_of(self, workspace: str, space: Space) -> int:
        """The first instant at which the profile no longer lives in a workspace."""
        # A row may know a workspace that the definitions have no more.
        lifetime = self.lifetimes.get(workspace)
        return FOREVER if lifetime is None else space.last_seen + lifetime + 1

    def ends_by(self, row: Row, time: int) -> bool:
        """Whether the profile lives in no workspace by then."""
        return all(self.end_of(workspace, space) <= time for workspace, space in row.spaces.items())

    def next_due(self, row: Row, after: int) -> int:
        """The first instant later than `after` at which the row may change by itself."""
        if not row.spaces:
            # Ordinals go on within the instant of the end, so the row stays for that instant.
            return after + 1
        due = min((leaf.next_due(row, after) for leaf in self.timed_leaves(row)), default=FOREVER)
        for workspace, space in row.spaces.items():
            due = min(due, self.end_of(workspace, space))
        if self._forwarding is not None:
            due = self._forwarding.next_change(row, after, due)
        return due

    def prune(self, row: Row, at: int) -> None:
        """Forget what can no longer count."""
        by_slot = self.plan.memories
        for slot in list(row.slots):
            leaf = by_slot.get(slot)
            if leaf is None:
                del row.slots[slot]
            else:
                leaf.prune(row, at)

    def timed_leaves(self, row: Row) -> list[Leaf]:
        """The leaves whose value passing time can change, of what the profile has touched."""
        by_slot = self.plan.memories
        leaves: list[Leaf] = []
        for slot in row.slots:
            memory = by_slot.get(slot)
            if memory is not None:
                leaves += memory.leaves
        for workspace, dated_leaves in self.plan.dated_leaves.items():
            if workspace in row.spaces:
                leaves += dated_leaves
        for workspace, dated in self.plan.dated_attributes.items():
            space = row.spaces.get(workspace)
            if space is not None:
                attributes = space.attributes
                for key in dated if len(dated) < len(attributes) else attributes:
                    if key in attributes and key in dated:
                        leaves.extend(dated[key])
        return leaves
