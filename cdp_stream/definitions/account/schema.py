"""The plain records of a definition file, one model each: their keys, types, limits and defaults.

What a record contains that has its own reader (criteria, other records, event tiers) is a `Node`
here, so that one wrong record hides nothing of the others.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Final, Literal, LiteralString

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    InstanceOf,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from cdp_stream.core.model.definition import Tier
from cdp_stream.definitions.source.durations import (
    DURATION_ADVICE,
    DURATION_PATTERN,
    UNLIMITED,
    duration_ms,
)
from cdp_stream.definitions.source.nodes import Sequence
from cdp_stream.definitions.source.problems import AcceptableWarning

MAX_NAME: Final = 100
MAX_TAG: Final = 18
ID_PATTERN: Final = "[a-z0-9][a-z0-9._-]{0,63}"

_ID = re.compile(ID_PATTERN)
_REMOVED_FROM_IDS = re.compile(r"[^a-z0-9._-]+")


def _checked_id(value: str) -> str:
    if _ID.fullmatch(value):
        return value
    likely = _REMOVED_FROM_IDS.sub("-", value.lower()).strip("-._")[:64]
    advice = f"perhaps `{likely}`" if likely else f"ids match `{ID_PATTERN}`"
    raise PydanticCustomError(
        "bad-id",
        "an id has 1 to 64 of a-z 0-9 . _ - and begins with a letter or digit",
        {"advice": advice},
    )


def _at_most(limit: int, code: LiteralString, message: LiteralString) -> AfterValidator:
    def check(value: str) -> str:
        if len(value) <= limit:
            return value
        context = {"length": len(value), "advice": f"at most {limit}"}
        raise PydanticCustomError(code, message, context)

    return AfterValidator(check)


def _checked_span(value: object) -> str:
    length = duration_ms(value) if isinstance(value, str) else None
    if isinstance(value, str) and (value == UNLIMITED or length):
        return value
    advice = f"{DURATION_ADVICE}, or `{UNLIMITED}`"
    reason = "the duration is zero" if length == 0 else "this is not a valid duration"
    raise PydanticCustomError("bad-duration", "{reason}", {"reason": reason, "advice": advice})


def checked_version(value: object) -> int:
    """The version of a file, which is 1.

    Raises:
        PydanticCustomError: it is anything else.
    """
    if type(value) is int and value == 1:
        return 1
    raise PydanticCustomError(
        "bad-version", "this is not a version that can be read", {"advice": "write `version: 1`"}
    )


def _not_empty(advice: str) -> AfterValidator:
    def check(value: list[str]) -> list[str]:
        if value:
            return value
        raise PydanticCustomError("empty-list", "the list is empty", {"advice": advice})

    return AfterValidator(check)


def _checked_reason(value: str) -> str:
    if value.strip():
        return value
    raise PydanticCustomError(
        "bad-value",
        "the reason is empty",
        {"advice": "give the reason why the warning is accepted"},
    )


def span_ms(text: str) -> int | None:
    """The milliseconds of a checked lookback or lifetime, None for `unlimited`."""
    return None if text == UNLIMITED else duration_ms(text)


_TEXTS: Final = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_SPAN: Final = {"type": "string", "pattern": f"^({DURATION_PATTERN}|{UNLIMITED})$"}

# The JSON Schema for editors beside each check that pydantic cannot derive one from.
Id = Annotated[
    str,
    AfterValidator(_checked_id),
    WithJsonSchema({"type": "string", "pattern": f"^{ID_PATTERN}$"}),
]
Name = Annotated[
    str,
    _at_most(MAX_NAME, "name-too-long", "the name has {length} characters"),
    WithJsonSchema({"type": "string", "maxLength": MAX_NAME}),
]
Tag = Annotated[str, _at_most(MAX_TAG, "tag-too-long", "the tag has {length} characters")]
Span = Annotated[str, PlainValidator(_checked_span), WithJsonSchema(_SPAN)]
_AT_LEAST_ONE: Final = _not_empty("name at least one, or leave the key out")
Ids = Annotated[list[str], _not_empty("leave the key out, which means all"), WithJsonSchema(_TEXTS)]
Listed = Annotated[list[str], _AT_LEAST_ONE, WithJsonSchema(_TEXTS)]
Tags = Annotated[
    list[Tag],
    _AT_LEAST_ONE,
    WithJsonSchema(_TEXTS | {"items": {"type": "string", "maxLength": MAX_TAG}}),
]
Nodes = Annotated[InstanceOf[Sequence], WithJsonSchema({"type": "array"})]
AnyNode = Any
"""Its own reader reports what is wrong with it, whatever kind of node it is."""


Version = Annotated[int, PlainValidator(checked_version), WithJsonSchema({"const": 1})]


class Record(BaseModel):
    """A mapping of a definition file; nothing is converted, nothing unknown is accepted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    NODES: ClassVar[frozenset[str]] = frozenset()
    """Keys whose value stays a node."""


class DocumentRecord(Record):
    """A whole file."""

    NODES = frozenset(
        {
            "workspaces",
            "calculated_attributes",
            "audiences",
            "journeys",
            "outputs",
            "connections",
            "accept",
        }
    )

    version: Version
    account: Id | None = None
    workspaces: Nodes | None = None
    calculated_attributes: Nodes | None = None
    audiences: Nodes | None = None
    journeys: Nodes | None = None
    outputs: Nodes | None = None
    connections: Nodes | None = None
    accept: Nodes | None = None


class AcceptanceRecord(Record):
    """A warning that is known and meant to be so, with the reason."""

    warning: AcceptableWarning
    reason: Annotated[str, AfterValidator(_checked_reason)]


class WorkspaceRecord(Record):
    """A separate body of data; `profile_lifetime` None is the lookback."""

    NODES = frozenset({"inputs", "event_tiers"})

    id: Id
    lookback: Span = "30d"
    profile_lifetime: Span | None = None
    inputs: Nodes
    event_tiers: Nodes | None = None


class InputRecord(Record):
    """A platform or feed."""

    id: Id
    kind: Literal["platform", "feed"]
    api_key: str | None = None
    tier: Literal["personalize", "preserve", "connect"] = Tier.PERSONALIZE.value


class CalculatedAttributeRecord(Record):
    """A calculated attribute; `workspace` None is the only one."""

    NODES = frozenset({"of", "within", "since", "accept"})

    id: Id
    workspace: str | None = None
    calculation: Literal[
        "count",
        "sum",
        "min",
        "max",
        "average",
        "most_frequent",
        "unique_values_count",
        "unique_list",
        "first_occurrence",
        "last_occurrence",
        "first_occurrence_timestamp",
        "last_occurrence_timestamp",
    ]
    of: AnyNode
    within: AnyNode = None
    since: AnyNode = None
    accept: Nodes | None = None


class AbTestRecord(Record):
    """An A/B test; `seed` None is the id of the audience."""

    NODES = frozenset({"variants"})

    seed: str | None = None
    variants: Nodes


class VariantRecord(Record):
    """A variant; `name` None is `Variant` and its place."""

    NODES = frozenset({"percent"})

    name: Name | None = None
    percent: AnyNode


class AudienceRecord(Record):
    """An audience; None means the default that other records decide."""

    NODES = frozenset({"criteria", "ab_test", "accept"})

    id: Id
    name: Name | None = None
    external_name: Name | None = None
    workspaces: Ids | None = None
    inputs: Ids | None = None
    lookback: Span | None = None
    status: Literal["active", "draft"] = "active"
    tags: Tags = []
    criteria: AnyNode
    ab_test: AnyNode = None
    accept: Nodes | None = None


class JourneyRecord(Record):
    """A journey; its milestones are records of their own."""

    NODES = frozenset({"milestones", "accept"})

    id: Id
    name: Name | None = None
    workspaces: Ids | None = None
    inputs: Ids | None = None
    activation: Literal["always", "by_connection"] = "always"
    milestones: Nodes
    accept: Nodes | None = None


class MilestoneRecord(Record):
    """A milestone: with criteria, or the remaining-users split."""

    NODES = frozenset({"criteria", "ab_test", "then", "accept"})

    id: Id
    name: Name | None = None
    external_name: Name | None = None
    tags: Tags = []
    criteria: AnyNode = None
    remaining: bool = False
    ab_test: AnyNode = None
    then: Nodes | None = None
    accept: Nodes | None = None


class OutputRecord(Record):
    """An output; the connector defines its settings."""

    NODES = frozenset({"settings"})

    id: Id
    connector: str
    settings: AnyNode = None


class ConnectionRecord(Record):
    """A connection, or several at once: `audience`, `audiences` or `tags`, one of the three."""

    NODES = frozenset({"settings"})

    audience: str | None = None
    audiences: Listed | None = None
    tags: Listed | None = None
    output: str
    variant: str | None = None
    status: Literal["active", "inactive"] = "active"
    settings: AnyNode = None
    user_attributes: Listed | None = None
    on_audience_delete: Literal["delete", "pass", "remove_rows", "keep"] | None = None
