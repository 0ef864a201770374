"""Truths that follow from the row itself: activity, opt-out, membership in an audience."""

from __future__ import annotations

from cdp_stream.core.model.row import FOREVER, Row


class Activity:
    """The profile has activity in one of some workspaces, and has not ended there."""

    __slots__ = ("audiences", "workspaces")

    def __init__(self, workspaces: tuple[str, ...]) -> None:
        self.workspaces = workspaces
        self.audiences: tuple[int, ...] = ()

    def holds(self, row: Row, at: int) -> bool:
        spaces = row.spaces
        for workspace in self.workspaces:  # noqa: SIM110 - a generator costs more than the tests
            if workspace in spaces:
                return True
        return False

    def next_due(self, row: Row, after: int) -> int:
        return FOREVER


class OptedOut:
    """The profile has opted out of everything: it is in no audience, whatever its definition."""

    __slots__ = ("audiences",)

    def __init__(self) -> None:
        self.audiences: tuple[int, ...] = ()

    def holds(self, row: Row, at: int) -> bool:
        return row.opt_out & 1 == 1

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
