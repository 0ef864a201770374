"""Which audiences each leaf can flip, and which a profile's first activity in a workspace can, or
its end there: an evaluation tests those alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from cdp_stream.core.criteria.leaf import Leaf
from cdp_stream.core.criteria.membership import Membership
from cdp_stream.core.criteria.profile_value import ProfileValue, WithinDistance
from cdp_stream.core.criteria.user_attribute import UserAttribute
from cdp_stream.core.model.criterion import Facet
from cdp_stream.core.model.row import NEVER, Row, Space
from cdp_stream.core.plan.leaves import Leaves
from cdp_stream.core.plan.plan import Plan

_SEEN = frozenset({Facet.FIRST_SEEN, Facet.LAST_SEEN})


def link(plan: Plan, leaves: Leaves) -> None:
    """Set for each leaf the audiences it can flip, and for each workspace those that activity and
    its end can flip.
    """
    direct: dict[int, set[int]] = defaultdict(set)
    referrers: dict[str, set[int]] = defaultdict(set)
    for place, audience in enumerate(plan.audiences):
        for leaf, _text in audience.leaves:
            if isinstance(leaf, Membership):
                referrers[leaf.audience_id].add(place)
            else:
                direct[id(leaf)].add(place)
    reach: dict[int, set[int]] = {}
    for place in range(len(plan.audiences) - 1, -1, -1):
        following = referrers.get(plan.audiences[place].id, set())
        reach[place] = following.union(*(reach[next_place] for next_place in following))
    for leaf in leaves.by_identity.values():
        own = direct[id(leaf)]
        leaf.audiences = tuple(sorted(own.union(*(reach[place] for place in own))))
    plan.opted_out.audiences = tuple(range(len(plan.audiences)))
    _index_attributes(plan, leaves.by_identity.values())
    _index_profile_values(plan, leaves.by_identity.values())
    for workspace in plan.workspaces:
        _link_activity(plan, workspace, reach)


def _index_attributes(plan: Plan, leaves: Iterable[Leaf]) -> None:
    attributes: dict[tuple[str, str], list[UserAttribute]] = defaultdict(list)
    for leaf in leaves:
        if isinstance(leaf, UserAttribute):
            attributes[leaf.workspace, leaf.key].append(leaf)
    for (workspace, key), tests in attributes.items():
        plan.attribute_leaves[workspace, key] = tuple(tests)
        dated = tuple(test for test in tests if test.is_dated)
        if dated:
            plan.dated_attributes.setdefault(workspace, {})[key] = dated


def _index_profile_values(plan: Plan, leaves: Iterable[Leaf]) -> None:
    values: dict[tuple[str, Facet], list[ProfileValue | WithinDistance]] = defaultdict(list)
    dated: dict[str, list[Leaf]] = defaultdict(list)
    for leaf in leaves:
        if isinstance(leaf, ProfileValue | WithinDistance):
            values[leaf.workspace, leaf.facet].append(leaf)
            if leaf.is_dated:
                dated[leaf.workspace].append(leaf)
    plan.profile_leaves = {key: tuple(found) for key, found in values.items()}
    plan.dated_leaves = {workspace: tuple(found) for workspace, found in dated.items()}


def _link_activity(plan: Plan, workspace: str, reach: dict[int, set[int]]) -> None:
    """What a profile's first activity in a workspace can make true, without testing every audience
    each time.

    Criteria start at their default and flip by themselves, so of the workspace's own audiences only
    those can become true by activity alone that hold by default, that refer to one that another
    workspace can have made true, or that read what does not start at its default: first and last
    seen, which activity brings, and identities, which another workspace may have brought.
    """
    own = {
        place for place, audience in enumerate(plan.audiences) if workspace in audience.workspaces
    }
    asked = {
        place
        for place in own
        for leaf, _text in plan.audiences[place].leaves
        if (
            isinstance(leaf, Membership)
            and plan.audiences[plan.places[leaf.audience_id]].workspaces != (workspace,)
        )
        or (isinstance(leaf, ProfileValue) and (leaf.facet in _SEEN or not leaf.workspace))
    }
    elsewhere = {following for place in own for following in reach[place] if following not in own}
    newcomer = Row(0)
    newcomer.spaces[workspace] = Space(0, 0, {})
    for audience in plan.audiences:
        if audience.expression.holds(newcomer, NEVER):
            newcomer.members[audience.id] = NEVER
    default = {place for place in own if plan.audiences[place].id in newcomer.members}
    following_asked = {following for place in asked for following in reach[place]}
    plan.activations[workspace] = tuple(sorted(default | asked | following_asked | elsewhere))
    shared = {place for place in own if len(plan.audiences[place].workspaces) > 1}
    following_shared = {following for place in shared for following in reach[place]}
    plan.dependants[workspace] = tuple(sorted(elsewhere | shared | following_shared))
