"""What definition files mean, with every default filled in: the input of `plan.build_plan`.

All references are checked before (definitions/), so building a plan cannot fail. Criteria are
complete in
themselves: their windows are already cut by the lookback, their inputs resolved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from cdp_stream.core.operators import Test
from cdp_stream.core.subject import Subject
from cdp_stream.core.windows import Window


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


class Source(StrEnum):
    """Where a `where` entry finds its value."""

    ATTRIBUTE = "attribute"
    FIELD = "field"
    PRODUCT = "product"
    PRODUCT_ATTRIBUTE = "product_attribute"
    APP = "app"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of `where`: a test on one value of the event.

    Attributes:
        key: the attribute key, field name, product field, `version` or `build`, or device field.
    """

    source: Source
    key: str
    test: Test


@dataclass(frozen=True, slots=True)
class EventCriterion:
    """So many events of a subject in a window.

    Attributes:
        minimum, maximum: the counts that satisfy it, both included; maximum None is no bound. Never
            [0, None].
        window: already cut by the lookback that applies.
        inputs: the inputs it reads; None is every input of the workspace.
        text: a short human form, for causes and explanations (`event: Play Video`).
        path: where it stands in its definition (`criteria.all[0]`).
    """

    workspace: str
    subject: Subject
    where: tuple[Condition, ...]
    minimum: int
    maximum: int | None
    window: Window
    inputs: frozenset[str] | None
    text: str = field(compare=False)
    path: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class UserAttributeCriterion:
    """A test on a user attribute of the profile; `key` is case-folded where it begins with `$`."""

    workspace: str
    key: str
    test: Test
    text: str = field(compare=False)
    path: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class MemberOf:
    """Membership in another audience or milestone (by id), at the same instant."""

    audience_id: str
    text: str = field(compare=False)
    path: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class All:
    """Every child holds; with no child it holds."""

    children: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Some child holds; with no child it does not."""

    children: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The complement."""

    child: Expression


Criterion = EventCriterion | UserAttributeCriterion | MemberOf
"""A leaf of an expression."""

Expression = All | AnyOf | Not | Criterion
"""`exclude: [x, y]` beside an expression e is `All((e, Not(AnyOf((x, y)))))`."""


@dataclass(frozen=True, slots=True)
class Audience:
    """One audience or milestone, flat: a milestone's place in its journey is part of its expression
    (journey.py).

    Attributes:
        id: `audience-id` or `journey-id/milestone-id`.
        name: the external name.
        workspace: a profile can be a member only with activity in it.
        emits: False for a draft: others may refer to it, it emits nothing itself.
        digest: a short digest of the definition, put in every change.
    """

    id: str
    name: str
    workspace: str
    expression: Expression
    emits: bool
    digest: str


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


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that was defined, in the order of the files: audiences of each file, then its
    journeys' milestones, depth first. Changes are emitted in this order.
    """

    id: str
    workspaces: tuple[Workspace, ...]
    audiences: tuple[Audience, ...]
