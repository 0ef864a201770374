"""Outputs and connections as defined: which audience goes to which partner, and how.

Source: docs/definitions.md, outputs and connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

AUDIENCE_DELETE_ACTIONS: Final = ("delete", "pass", "remove_rows", "keep")
"""What a connector may do when an audience is deleted."""


@dataclass(frozen=True, slots=True)
class Output:
    """A partner's account, or a destination of our own.

    Attributes:
        connector: its name, as in `cdp_stream/connectors/registry.py`.
        settings: as written, plain JSON; `${NAME}` is filled in by the sink alone.
    """

    id: str
    connector: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connection:
    """One audience or milestone, or one variant of it, to one output.

    Attributes:
        id: `<audience>@<output>`, with a variant `<audience>#<variant>@<output>`.
        audience: the id of the audience or milestone.
        output: the id of the output.
        variant: None is the whole audience, Control included.
        active: False sends nothing to the output.
        settings: as written, plain JSON; `${NAME}` is filled in by the sink alone.
        user_attributes: the shared attributes: ids of calculated attributes, else keys of user
            attributes.
        on_audience_delete: one of `AUDIENCE_DELETE_ACTIONS`, where the connection overrides the
            connector's; None leaves it to that.
        identities: the identity types that the connector accepts; None accepts every one.
    """

    id: str
    audience: str
    output: str
    variant: str | None = None
    active: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    user_attributes: tuple[str, ...] = ()
    on_audience_delete: str | None = None
    identities: frozenset[str] | None = None


def connection_id(audience: str, variant: str | None, output: str) -> str:
    """The id of a connection."""
    return f"{audience}@{output}" if variant is None else f"{audience}#{variant}@{output}"
