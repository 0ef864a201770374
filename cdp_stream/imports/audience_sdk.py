"""The language of mParticle's audience-sdk: its words, and a definition as a tree.

Source: the JSON schema that mParticle publishes with its audience-sdk, version 1.6.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

UNARY: Final = ("null", "not_null", "exists", "not_exists")
BINARY: Final = (
    "equals", "not_equals", "less_than", "less_than_equal", "greater_than", "greater_than_equal",
    "matches", "not_matches", "contains", "not_contains", "starts_with", "not_starts_with",
    "ends_with", "not_ends_with", "in", "not_in", "between", "match_any", "match_all", "within",
)  # fmt: skip
"""The last four take lists and a location: the schema names them, and examples of it use them."""

LOGICAL: Final = ("and", "or")
THEN: Final = "then"
AGGREGATIONS: Final = ("min", "max", "sum", "avg", "list", "count")
ARITHMETIC: Final = ("plus", "minus", "multiply", "divide", "mod")
UNITS_MS: Final = {
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 7 * 86_400_000,
    "month": 30 * 86_400_000,
    "quarter": 90 * 86_400_000,
    "year": 365 * 86_400_000,
}
"""Milliseconds of each unit; the last three are the schema's own "about"."""

BOUNDARIES: Final = ("start", "end")
DISTANCES: Final = {"meters": "m", "miles": "mi", "kilometers": "km"}


@dataclass(frozen=True, slots=True)
class Constant:
    """A value, or a list of values."""

    value: bool | int | float | str | list[bool | int | float | str]


@dataclass(frozen=True, slots=True)
class AbsoluteDate:
    """ISO 8601 text: an instant, or a day."""

    text: str


@dataclass(frozen=True, slots=True)
class RelativeDate:
    """An instant counted from now, or from a step of a sequence (`relative_to`, its alias)."""

    offset: float
    unit: str
    boundary: str | None = None
    relative_to: str | None = None


@dataclass(frozen=True, slots=True)
class ModelPath:
    """A field of a model."""

    model: str
    path: str


@dataclass(frozen=True, slots=True)
class AliasPath:
    """A field of an earlier step of a sequence."""

    alias: str
    path: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model as such."""

    model: str


@dataclass(frozen=True, slots=True)
class AudienceId:
    """Another audience."""

    audience: str


@dataclass(frozen=True, slots=True)
class Location:
    """A point in degrees, with a distance as `50km`, or None."""

    latitude: float
    longitude: float
    distance: str | None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A value worked out of the rows of a model, per row of another."""

    operator: str
    group_by_model: str
    operand: Operand
    condition: Expression | None


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A value worked out of two; the schema no longer has it."""

    operator: str


Operand = (
    Constant
    | AbsoluteDate
    | RelativeDate
    | ModelPath
    | AliasPath
    | Model
    | AudienceId
    | Location
    | Aggregate
    | Arithmetic
)


@dataclass(frozen=True, slots=True)
class Unary:
    """A test of one operand. `at` is its path in the file, of every expression."""

    operator: str
    operand: Operand
    at: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A test of two operands."""

    operator: str
    left: Operand
    right: Operand
    at: str


@dataclass(frozen=True, slots=True)
class Logical:
    """All of the expressions (`and`), or some of them (`or`)."""

    operator: str
    expressions: tuple[Expression, ...]
    at: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a sequence."""

    alias: str
    operand: ModelPath
    condition: Expression | None


@dataclass(frozen=True, slots=True)
class Then:
    """Steps, each after the one before."""

    sequence: tuple[Step, ...]
    at: str


Expression = Unary | Binary | Logical | Then


@dataclass(frozen=True, slots=True)
class Definition:
    """A whole file."""

    schema_version: str
    audience: Expression
