"""What an event is, for the criteria: its subjects.

A criterion names a subject (`event: Play Video`, `commerce: purchase`, `install: any`). An event
has at least none and
at most three: an attribution event is also a custom event, and one app start may be both an install
and an upgrade.

Source: docs/definitions.md, criteria.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EVENT: Final = "event"
SCREEN_VIEW: Final = "screen_view"
COMMERCE: Final = "commerce"
SESSION: Final = "session"
INSTALL: Final = "install"
UPGRADE: Final = "upgrade"
INSTALL_AND_UPGRADE: Final = "install_and_upgrade"
UNINSTALL: Final = "uninstall"
CRASH: Final = "crash"
ATTRIBUTION: Final = "attribution"
OPT_OUT: Final = "opt_out"
"""The kind of an opt-out event: no criterion reads it, and it decides about all audiences."""
UNREAD: Final = ""
"""The kind of an event that no criterion reads (a push message, a breadcrumb); it still is
activity.
"""

SUBJECTS: Final = (
    EVENT, SCREEN_VIEW, COMMERCE, SESSION, INSTALL, UPGRADE, UNINSTALL, CRASH, ATTRIBUTION,
)  # fmt: skip

WORKSPACE_WIDE: Final = frozenset({INSTALL, UPGRADE, UNINSTALL, CRASH})
"""Subjects whose criteria read every input of the workspace, whatever the audience's inputs."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event criterion, or an entry of `event_tiers`, reads.

    Attributes:
        kind: one of `SUBJECTS`.
        name: the event name, screen name, commerce action or session end, case-folded; None for
            any.
        custom_event_type: narrows a custom event, case-folded; None for any.
    """

    kind: str
    name: str | None = None
    custom_event_type: str | None = None

    def covers(self, kind: str, name: str, custom_event_type: str) -> bool:
        """Whether an event of this kind, folded name and folded type is one of the subject's."""
        return (
            kind in _KINDS_READ[self.kind]
            and (self.kind != ATTRIBUTION or custom_event_type == ATTRIBUTION)
            and (self.name is None or self.name == name)
            and (self.custom_event_type is None or self.custom_event_type == custom_event_type)
        )

    def overlaps(self, other: Subject) -> bool:
        """Whether an event may be one of both; False only where none can be."""
        return (
            not _KINDS_READ[self.kind].isdisjoint(_KINDS_READ[other.kind])
            and (self.name is None or other.name is None or self.name == other.name)
            and (
                self.custom_event_type is None
                or other.custom_event_type is None
                or self.custom_event_type == other.custom_event_type
            )
        )


_KINDS_READ: Final[dict[str, frozenset[str]]] = {kind: frozenset({kind}) for kind in SUBJECTS} | {
    INSTALL: frozenset({INSTALL, INSTALL_AND_UPGRADE}),
    UPGRADE: frozenset({UPGRADE, INSTALL_AND_UPGRADE}),
    ATTRIBUTION: frozenset({EVENT}),
}
