"""The end of a profile, in some of its workspaces or in all: which audiences it leaves, and what is
forgotten.

Source: docs/semantics.md, end of a profile.
"""

from __future__ import annotations

from cdp_stream.core.engine.settlement import Why, settle
from cdp_stream.core.model.change import Change
from cdp_stream.core.model.row import Row
from cdp_stream.core.outputs.shared_attributes import Before
from cdp_stream.core.plan.plan import Plan


def end(plan: Plan, row: Row, why: Why, changes: list[Change], before: Before | None) -> None:
    """A profile leaves all audiences of some workspaces, and what they know of it is forgotten.

    Args:
        why: with the workspaces, and the leaves that flipped at the same instant.
        changes: the deletes, and what other audiences make of it, are appended here.
        before: what outputs knew; None where outputs get only the deletes.
    """
    ended = why.ended
    places: set[int] = set()
    row.warm()
    if plan.forwarding is not None and before is not None:
        plan.forwarding.note_end(before, row, ended)
    for workspace in ended:
        del row.spaces[workspace]
        # An erasure, or other definitions, may end one that there is no more.
        places.update(plan.dependants.get(workspace, ()))
    by_slot = plan.memories
    for slot in list(row.slots):
        if slot not in by_slot or by_slot[slot].workspace in ended:
            del row.slots[slot]
    own = [plan.places[audience_id] for audience_id in row.members if audience_id in plan.places]
    places.update(
        place for place in own if not set(plan.audiences[place].workspaces).isdisjoint(ended)
    )
    for leaf in why.flips:
        places.update(leaf.audiences)
    start = len(changes)
    settle(plan, row, places, why, changes)
    if plan.forwarding is not None:
        plan.forwarding.forward(row, before, changes, start)
    if not row.spaces:
        row.identities = {}
        row.members = {}
        row.variants = {}
        row.opt_out = 0
        row.slots = {}
        row.event_ids.clear()
        row.batch_ids.clear()
