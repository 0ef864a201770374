"""What definition files mean, with every default filled in: the input of `planning.build_plan`.

`definitions/` checks all references before, so building a plan cannot fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cdp_stream.core.model.connection import Connection, Output
from cdp_stream.core.model.criterion import CalculatedAttribute, Expression
from cdp_stream.core.model.row import SIZE_LIMIT
from cdp_stream.core.model.subject import Subject


class Tier(StrEnum):
    """How an input's, or an event's, data may be used; only `personalize` reaches criteria."""

    PERSONALIZE = "personalize"
    PRESERVE = "preserve"
    CONNECT = "connect"


@dataclass(frozen=True, slots=True)
class Input:
    """A platform or feed that batches come from."""

    id: str
    workspace: str
    api_key: str | None = None
    tier: Tier = Tier.PERSONALIZE


@dataclass(frozen=True, slots=True)
class EventTier:
    """The tier of one subject's events, in one input or (None) in all of the workspace."""

    subject: Subject
    tier: Tier
    input: str | None = None


@dataclass(frozen=True, slots=True)
class Workspace:
    """A separate body of data within the account.

    Attributes:
        lookback_ms: how far back criteria reach; None is unlimited.
        lifetime_ms: how long a profile without activity lives on; None is unlimited.
    """

    id: str
    lookback_ms: int | None
    lifetime_ms: int | None
    inputs: tuple[Input, ...]
    event_tiers: tuple[EventTier, ...] = ()


@dataclass(frozen=True, slots=True)
class Variant:
    """A part of an A/B test: the profiles with a bucket below `until` and not in an earlier one.

    Source: docs/semantics.md, A/B tests.
    """

    name: str
    until: int


@dataclass(frozen=True, slots=True)
class AbTest:
    """How an audience's members are split; the last variant, Control, goes up to 10,000."""

    seed: str
    variants: tuple[Variant, ...]


@dataclass(frozen=True, slots=True)
class Audience:
    """One audience or milestone, flat: a milestone's place in its journey is part of its expression
    (journey.py).

    Attributes:
        id: `audience-id` or `journey-id/milestone-id`.
        name: the external name.
        workspaces: a profile can be a member only with activity in one of them.
        emits: False for a draft: others may refer to it, it emits nothing itself.
        digest: a short digest of the definition, put in every change.
        computed: False for a milestone that no active connection needs (`activation:
            by_connection`): it is evaluated only as far as others refer to it, and emits nothing.
    """

    id: str
    name: str
    workspaces: tuple[str, ...]
    expression: Expression
    emits: bool
    digest: str
    ab_test: AbTest | None = None
    computed: bool = True


@dataclass(frozen=True, slots=True)
class Milestone:
    """A milestone as written, before `journey.audiences_of` places it among its siblings.

    Attributes:
        expression: None for the remaining-users split.
    """

    id: str
    name: str
    expression: Expression | None
    digest: str
    then: tuple[Milestone, ...] = ()
    ab_test: AbTest | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that was defined, in the order of the files: audiences of each file, then its
    journeys' milestones, depth first. Changes are emitted in this order.

    Attributes:
        connections: in the order of the files; those of a bulk entry in the order of audiences.
        row_limit: bytes at which a profile's row stops growing; an operator's setting, not of the
            files.
    """

    id: str
    workspaces: tuple[Workspace, ...]
    audiences: tuple[Audience, ...]
    calculated_attributes: tuple[CalculatedAttribute, ...] = ()
    outputs: tuple[Output, ...] = ()
    connections: tuple[Connection, ...] = ()
    row_limit: int = SIZE_LIMIT
