"""What the profile part of a batch does to a row: last write wins, in order of arrival; location
and attribution alone are the newest by time.

Identities are account-wide: they are written as long as the profile lives in any workspace. All the
rest belongs to the workspace whose input brought it.

Source: docs/events.md, order inside a batch; docs/semantics.md, scope.
"""

from __future__ import annotations

from typing import Any, Final

from cdp_stream.core.criteria.profile_value import ProfileValue
from cdp_stream.core.engine.flips import Touch
from cdp_stream.core.identity_types import OTHER_SPELLINGS
from cdp_stream.core.model.criterion import Facet
from cdp_stream.core.model.event import Facts, ProfilePart
from cdp_stream.core.model.operators import MISSING
from cdp_stream.core.model.row import (
    CONSENT,
    DEVICES,
    INSTALL,
    LOCATION,
    UNINSTALL,
    Row,
    Space,
    size_of,
)
from cdp_stream.core.plan.plan import Plan

PROFILE_PART: Final = -1
"""Represents the profile part among the refused events of a batch."""

NO_SPACE: Final = Space(0, 0, {})
"""Where nothing is written: identities belong to no workspace."""

_FACETS: Final = {
    LOCATION: Facet.LOCATION,
    INSTALL: Facet.INSTALL_ATTRIBUTION,
    UNINSTALL: Facet.UNINSTALL_ATTRIBUTION,
}


def has_other_spellings(row: Row) -> bool:
    """Whether an earlier release kept identities of the row under other spellings than today's."""
    return not OTHER_SPELLINGS.keys().isdisjoint(row.identities)


def write_profile(plan: Plan, touch: Touch, part: ProfilePart | None) -> tuple[int, ...]:
    """Write a profile part; identities as long as the profile lives in any workspace.

    Args:
        touch: its space is `NO_SPACE` where the profile does not live in the input's workspace.
        part: None where the batch has no profile part, and only spellings are brought up to
            date.

    Returns:
        What did not fit any more: nothing, or `PROFILE_PART`.
    """
    row = touch.row
    if not row.spaces:
        return ()
    if has_other_spellings(row):
        _respell_identities(plan, touch)
    if part is None:
        return ()
    if not _has_room_for(row, part, plan.account.row_limit):
        return (PROFILE_PART,)
    row.weight += part.size
    row.warm()
    if part.identities:
        write_identities(plan, touch, part.identities)
    if touch.space is not NO_SPACE:
        if part.attributes or part.deleted:
            write_attributes(plan, touch, part)
        if part.facts is not None:
            write_facts(plan, touch, part.facts)
    return ()


def seen_leaves(plan: Plan, workspace: str) -> tuple[ProfileValue, ...]:
    """The leaves that read first or last seen in a workspace."""
    facets = (Facet.FIRST_SEEN, Facet.LAST_SEEN)
    found = [leaf for facet in facets for leaf in plan.profile_leaves.get((workspace, facet), ())]
    return tuple(leaf for leaf in found if isinstance(leaf, ProfileValue))


def _has_room_for(row: Row, part: ProfilePart, most: int) -> bool:
    """Whether a profile part fits; one that only deletes always does."""
    has_content = part.attributes or part.identities or part.facts is not None
    return not has_content or row.has_room(part.size, most)


def write_seen(touch: Touch, seen: tuple[ProfileValue, ...]) -> None:
    """Move first or last seen in a workspace whose criteria read them, to the occasion's time."""
    before = touch.verdicts(seen)
    space, time = touch.space, touch.occasion[2]
    assert time is not None
    space.last_seen = max(time, space.last_seen)
    space.first_seen = min(time, space.first_seen)
    touch.note(seen, before)


def write_identities(plan: Plan, touch: Touch, identities: dict[str, str | None]) -> None:
    """Set, replace and remove identities."""
    leaves = plan.profile_leaves.get(("", Facet.IDENTITY), ())
    before = touch.verdicts(leaves)
    known = touch.row.identities
    if touch.before is not None and plan.forwarding is not None:
        plan.forwarding.note_identities(touch.before, touch.row, touch.occasion)
    for kind, identity in identities.items():
        if identity is None:
            known.pop(kind, None)
        else:
            known[kind] = identity
    touch.note(leaves, before)


def _respell_identities(plan: Plan, touch: Touch) -> None:
    """Write what an earlier release kept under other spellings of a type under the one in use.

    It is written as though a batch had it, so that criteria and outputs see the change. An
    identity that is there under the spelling in use stays what it is.
    """
    row = touch.row
    written: dict[str, str | None] = {}
    for kind in sorted(OTHER_SPELLINGS.keys() & row.identities.keys()):
        spelling = OTHER_SPELLINGS[kind]
        written[kind] = None
        if spelling not in row.identities:
            written[spelling] = row.identities[kind]
            row.weight += size_of(spelling)
    row.warm()
    write_identities(plan, touch, written)


def write_attributes(plan: Plan, touch: Touch, part: ProfilePart) -> None:
    """Set attributes, then delete. Only the tests of what is written are evaluated, by value."""
    row, attributes = touch.row, touch.space.attributes
    before: dict[str, Any] = {}
    if touch.before is not None and plan.forwarding is not None:
        plan.forwarding.note_attributes(touch.before, row, touch.workspace, part, touch.occasion)
    for key, value in part.attributes.items():
        before[key] = attributes.get(key, MISSING)
        attributes[key] = value
    for key in part.deleted:
        if key in attributes:
            before.setdefault(key, attributes[key])
            del attributes[key]
    at = row.clock
    for key, old in before.items():
        new = attributes.get(key, MISSING)
        for leaf in plan.attribute_leaves.get((touch.workspace, key), ()):
            if leaf.accepts(old, at) != leaf.accepts(new, at):
                touch.flips[leaf] = touch.occasion
            if leaf.is_dated:
                row.due = min(row.due, leaf.next_due(row, at))


def write_facts(plan: Plan, touch: Touch, facts: Facts) -> None:
    """Write what a batch has about device, consent, location and attribution."""
    known = touch.space.facts
    if facts.device is not None:
        leaves = plan.profile_leaves.get((touch.workspace, Facet.DEVICE), ())
        before = touch.verdicts(leaves)
        device_id, device = facts.device
        known.setdefault(DEVICES, {})[device_id] = device
        touch.note(leaves, before)
    if facts.consent:
        leaves = plan.profile_leaves.get((touch.workspace, Facet.CONSENT), ())
        before = touch.verdicts(leaves)
        consent = known.setdefault(CONSENT, {})
        for key, consented in facts.consent.items():
            _write_consent(consent, key, consented)
        touch.note(leaves, before)
    if facts.location is not None:
        write_newest(plan, touch, LOCATION, facts.location)
    if facts.attribution is not None:
        write_newest(plan, touch, INSTALL, facts.attribution)


def write_newest(plan: Plan, touch: Touch, name: str, written: dict[str, Any]) -> None:
    """Take over a location or an attribution unless a newer one is known; of equal times the later
    read counts.

    Args:
        name: `LOCATION`, `INSTALL` or `UNINSTALL`.
        touch: the time of its occasion is that of the value.
    """
    facts = touch.space.facts
    time = touch.occasion[2] or 0
    known = facts.get(name)
    if known is not None and known[0] > time:
        return
    leaves = plan.profile_leaves.get((touch.workspace, _FACETS[name]), ())
    before = touch.verdicts(leaves)
    facts[name] = [time, written]
    touch.note(leaves, before)


def _write_consent(consent: dict[str, bool], key: str, consented: bool | None) -> None:
    if consented is not None:
        consent[key] = consented
    elif key.endswith(":"):
        for purpose in [purpose for purpose in consent if purpose.startswith(key)]:
            del consent[purpose]
    else:
        consent.pop(key, None)
