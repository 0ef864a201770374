"""Truths that follow from the row itself: activity in a workspace, membership in an audience."""

from __future__ import annotations

from cdp_stream.core.row import FOREVER, Row


class Activity:
    """The profile has activity in a workspace, and has not ended there."""

    __slots__ = ("audiences", "workspace")

    def __init__(self, workspace: str) -> None:
        self.workspace = workspace
        self.audiences: tuple[int, ...] = ()

    def holds(self, row: Row, at: int) -> bool:
        return self.workspace in row.spaces

    def next_due(self, row: Row, after: int) -> int:
        return FOREVER


class Membership:
    """The profile is a member of another audience, which is evaluated before those that refer to
    it.
    """

    __slots__ = ("audience_id", "audiences")

    def __init__(self, audience_id: str) -> None:
        self.audience_id = audience_id
        self.audiences: tuple[int, ...] = ()

    def holds(self, row: Row, at: int) -> bool:
        return self.audience_id in row.members

    def next_due(self, row: Row, after: int) -> int:
        return FOREVER
