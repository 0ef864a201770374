"""A membership change and what made it: the only output of the engine.

Source: docs/memberships.md, a membership change.
"""

from __future__ import annotations

from typing import Final, NamedTuple

ADD: Final = "add"
DELETE: Final = "delete"

CAUSES: Final = ("event", "profile", "time", "profile_expiry", "opt_out", "erasure", "definition")
"""Every kind of a cause."""

Occasion = tuple[str, str | None, int | None]
"""What happened: the kind of a cause, its event id and event time."""


class Cause(NamedTuple):
    """What made a membership change.

    Attributes:
        kind: one of `CAUSES`.
        criterion: the text of the first criterion of the audience that flipped; None for
            `profile_expiry`, `opt_out`, `erasure` and `definition`.
        event_id: the `source_message_id` of the event, where the cause is one and it has one.
        event_time: epoch ms: the event's own time, the due instant, the instant at which the
            profile part took effect, or the time of the request to erase.
    """

    kind: str
    criterion: str | None
    event_id: str | None
    event_time: int | None


class Change(NamedTuple):
    """One profile joins or leaves one audience.

    Attributes:
        effective_at: the exact instant, epoch ms.
        ordinal: which of the profile's changes at this instant of its clock, from 0.
        definition: the digest of the audience's definition.
        identities: (type, value), sorted.
    """

    action: str
    audience_id: str
    audience_name: str
    mpid: int
    effective_at: int
    ordinal: int
    variant: str | None
    cause: Cause
    definition: str
    identities: tuple[tuple[str, str], ...]

    @property
    def message_id(self) -> str:
        """Unique for ever and the same in every replay."""
        return f"{self.audience_id}:{self.mpid}:{self.effective_at}:{self.ordinal}"
