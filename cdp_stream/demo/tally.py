"""What the demo shows while it runs, counted from the membership changes alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from cdp_stream.core.model.change import ADD
from cdp_stream.core.model.criterion import All, MemberOf
from cdp_stream.core.model.definition import Account, Audience


@dataclass(slots=True)
class AudienceCount:
    """One audience or milestone at a moment of the stream.

    Attributes:
        audience_id: As in the messages.
        name: Its external name.
        depth: None for an audience; for a milestone how many milestones are above it.
        adds: How often a profile joined.
        deletes: How often one left.
    """

    audience_id: str
    name: str
    depth: int | None
    adds: int = 0
    deletes: int = 0

    @property
    def members(self) -> int:
        """How many profiles are in it."""
        return self.adds - self.deletes


@dataclass(slots=True)
class Tally:
    """The counts of the stream at a moment.

    Attributes:
        counts: By audience id, in the order of the definitions; drafts are not in it.
        purchases: How many there are to publish.
        published: How many have been published.
        changes: How many membership changes have been read.
        stream_time: Epoch ms: how far the stream has been published.
        finished: Everything has been published and applied.
    """

    counts: dict[str, AudienceCount]
    purchases: int
    published: int = 0
    changes: int = 0
    stream_time: int = 0
    finished: bool = False

    def add(self, messages: Iterable[bytes]) -> None:
        """Count membership changes."""
        for message in messages:
            change = orjson.loads(message)
            count = self.counts[change["audience_id"]]
            if change["action"] == ADD:
                count.adds += 1
            else:
                count.deletes += 1
            self.changes += 1


def empty_tally(account: Account, purchases: int) -> Tally:
    """The tally of an account before its first event."""
    depths: dict[str, int] = {}
    counts = {}
    for audience in account.audiences:
        depth = None
        if "/" in audience.id:
            parent = _parent_of(audience)
            depth = depths[audience.id] = 0 if parent is None else depths[parent] + 1
        if audience.emits:
            counts[audience.id] = AudienceCount(audience.id, audience.name, depth)
    return Tally(counts, purchases)


def _parent_of(milestone: Audience) -> str | None:
    """The milestone above: the first condition of its expression, unless it is at the root."""
    expression = milestone.expression
    if isinstance(expression, All) and expression.children:
        first = expression.children[0]
        journey = milestone.id.partition("/")[0]
        if isinstance(first, MemberOf) and first.audience_id.startswith(f"{journey}/"):
            return first.audience_id
    return None
