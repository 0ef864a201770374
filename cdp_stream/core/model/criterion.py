"""Criteria and expressions as they are defined, each complete in itself.

Windows are already cut by the lookback, inputs are resolved, defaults are filled in. What a
criterion makes of a profile is in `criteria/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from cdp_stream.core.model.operators import Test
from cdp_stream.core.model.subject import WORKSPACE_WIDE, Subject
from cdp_stream.core.model.windows import Window


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
class Reach:
    """The events of one workspace that a criterion reads.

    Attributes:
        window: already cut by the lookback that applies in this workspace.
        inputs: the inputs it reads; None is every input of the workspace.
    """

    workspace: str
    window: Window
    inputs: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class EventCriterion:
    """So many events of a subject in a window.

    Attributes:
        reaches: where it reads, at least one; an event counts by the window of its workspace.
        minimum, maximum: the counts that satisfy it, both included; maximum None is no bound. Never
            [0, None].
        text: a short human form, for causes and explanations (`event: Play Video`).
        path: its place in its definition (`criteria.all[0]`).
    """

    reaches: tuple[Reach, ...]
    subject: Subject
    where: tuple[Condition, ...]
    minimum: int
    maximum: int | None
    text: str = field(compare=False)
    path: str = field(compare=False)


class Facet(StrEnum):
    """What a `ProfileCriterion` tests."""

    USER_ATTRIBUTE = "user_attribute"
    IDENTITY = "identity"
    DEVICE = "device"
    CONSENT = "consent"
    LOCATION = "location"
    INSTALL_ATTRIBUTION = "install_attribution"
    UNINSTALL_ATTRIBUTION = "uninstall_attribution"
    FIRST_SEEN = "first_seen"
    LAST_SEEN = "last_seen"


@dataclass(frozen=True, slots=True)
class ProfileCriterion:
    """A test on one value of the profile within one workspace.

    | facet | key | value |
    |---|---|---|
    | user attribute | its key, case-folded where it begins with `$` | as written |
    | identity | identity type | text |
    | device | a field of `device_info` | of each device; some must pass a positive test |
    | consent | `gdpr:PURPOSE` (folded) or `ccpa` | whether consented; of `ccpa`, opted out |
    | location | `city_name`, `region_code`, `postal_code`, ... | of the newest |
    | attribution | `publisher` or `campaign` | of the newest |
    | first, last seen | empty | epoch ms |

    Attributes:
        workspace: empty for an identity, which is the account's.
    """

    facet: Facet
    workspace: str
    key: str
    test: Test
    text: str = field(compare=False)
    path: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class DistanceCriterion:
    """The newest location lies within a distance, metres, of a point, degrees.

    Source: docs/definitions.md, location.
    """

    workspace: str
    latitude: float
    longitude: float
    metres: float
    text: str = field(compare=False)
    path: str = field(compare=False)


class Calculation(StrEnum):
    """What a calculated attribute makes of its events."""

    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    AVERAGE = "average"
    MOST_FREQUENT = "most_frequent"
    UNIQUE_VALUES_COUNT = "unique_values_count"
    UNIQUE_LIST = "unique_list"
    FIRST_OCCURRENCE = "first_occurrence"
    LAST_OCCURRENCE = "last_occurrence"
    FIRST_OCCURRENCE_TIMESTAMP = "first_occurrence_timestamp"
    LAST_OCCURRENCE_TIMESTAMP = "last_occurrence_timestamp"


@dataclass(frozen=True, slots=True)
class CalculatedAttribute:
    """A value worked out of a profile's events in one workspace, all of its inputs.

    Attributes:
        value: where an event has its value, (source, key); None where events themselves are counted
            or dated. A product source gives one value per product.
        where: the conditions an event must meet.
        window: already cut by the workspace's lookback.
    """

    id: str = field(compare=False)
    workspace: str
    calculation: Calculation
    subject: Subject
    value: tuple[Source, str] | None
    where: tuple[Condition, ...]
    window: Window


@dataclass(frozen=True, slots=True)
class CalculatedCriterion:
    """A test on a calculated attribute."""

    attribute: CalculatedAttribute
    test: Test
    text: str = field(compare=False)
    path: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class CartCriterion:
    """An abandoned cart.

    Attributes:
        reaches: where it reads; their windows are the lookbacks alone.
        where: conditions on the added and the removed product.
        wait_ms: how long without a closing action.
        closing: product actions that close the cart, case-folded; None is every one.

    Source: docs/semantics.md, cart abandonment.
    """

    reaches: tuple[Reach, ...]
    where: tuple[Condition, ...]
    wait_ms: int
    closing: frozenset[str] | None
    text: str = field(compare=False)
    path: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a sequence."""

    subject: Subject
    where: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class SequenceCriterion:
    """Events in this order, each later than the one before, the last at most `within_ms` after the
    first, all of them in the window.

    Attributes:
        reaches: where it reads; with no inputs where only workspace-wide steps are read.

    Source: docs/definitions.md, sequence.
    """

    reaches: tuple[Reach, ...]
    steps: tuple[Step, ...]
    within_ms: int
    text: str = field(compare=False)
    path: str = field(compare=False)

    def reaches_of(self, subject: Subject) -> tuple[Reach, ...]:
        """Where steps with a subject are read: workspace-wide ones by every input."""
        if subject.kind in WORKSPACE_WIDE:
            return tuple(replace(reach, inputs=None) for reach in self.reaches)
        return tuple(reach for reach in self.reaches if reach.inputs != frozenset())


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
    path: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Some child holds; with no child it does not."""

    children: tuple[Expression, ...]
    path: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """The complement; with the path of its child it is one criterion, written in the negative."""

    child: Expression
    path: str = field(default="", compare=False)


Criterion = (
    EventCriterion
    | ProfileCriterion
    | DistanceCriterion
    | CalculatedCriterion
    | CartCriterion
    | SequenceCriterion
    | MemberOf
)
"""A leaf of an expression."""

Expression = All | AnyOf | Not | Criterion
"""`exclude: [x, y]` beside an expression e is `All((e, Not(AnyOf((x, y)))))`."""
