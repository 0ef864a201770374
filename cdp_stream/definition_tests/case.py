"""The content of a test file, with every short form written out: the input of `run.run_case`.

All references are checked before (read.py), so running a case cannot fail but by its expectations.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cdp_stream.core.plan.plan import Plan
from cdp_stream.definitions.source.nodes import Mark


class Standing(StrEnum):
    """The meaning of a list of profiles for an audience."""

    EXACTLY = "expect"
    AMONG = "members"
    NOT = "not_members"


@dataclass(frozen=True, slots=True)
class ExpectedMembers:
    """Who is in an audience at the instant of the step.

    Attributes:
        standing: `EXACTLY`: these and nobody else; `AMONG`: at least these; `NOT`: none of these.
        mpids: ascending.
    """

    audience_id: str
    standing: Standing
    mpids: tuple[int, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class ExpectedChange:
    """One change; `at` (epoch ms), `variant` and `cause` (its kind) are compared unless None."""

    action: str
    audience_id: str
    mpid: int
    at: int | None = None
    variant: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class ExpectedChanges:
    """Every change since the step before that expected changes, in the order of `cdp replay`.

    Attributes:
        audience_id: only its changes are looked at; None looks at all.
    """

    audience_id: str | None
    changes: tuple[ExpectedChange, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Line:
    """A batch as a line of an event file, and the input it came by where the test names one."""

    content: bytes
    input_id: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """Batches, then expectations at an instant.

    Attributes:
        at: epoch ms; None is the greatest arrival of the batches so far.
        rejected: how many batches and events of this step cannot be used.
    """

    mark: Mark
    at: int | None
    lines: tuple[Line, ...] = ()
    rejected: int = 0
    members: tuple[ExpectedMembers, ...] = ()
    changes: tuple[ExpectedChanges, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One test."""

    name: str
    mark: Mark
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one file, and the definitions that they are about."""

    file: str
    plan: Plan
    cases: tuple[Case, ...]
