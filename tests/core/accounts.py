"""Short forms of core definitions, and one profile to try them on."""

from __future__ import annotations

from typing import Any

from cdp_stream.core.engine.evaluation import Engine
from cdp_stream.core.model.change import Change
from cdp_stream.core.model.criterion import (
    Condition,
    EventCriterion,
    Expression,
    Facet,
    MemberOf,
    ProfileCriterion,
    Reach,
)
from cdp_stream.core.model.definition import Account, Audience, Input, Workspace
from cdp_stream.core.model.event import Batch, Event, ProfilePart
from cdp_stream.core.model.operators import Test
from cdp_stream.core.model.row import Row
from cdp_stream.core.model.subject import Subject
from cdp_stream.core.model.windows import Window
from cdp_stream.core.plan.build import build_plan
from cdp_stream.core.plan.plan import Plan

AT = 1_700_000_000_000
DAY = 86_400_000
TRAVEL = Workspace("travel", None, None, (Input("ios", "travel"), Input("web", "travel")))
SHORT = Workspace("short", None, 10 * DAY, (Input("shop", "short"),))
THREE_DAYS = Window(oldest=3 * DAY)


def did(
    name: str | None = "play",
    *,
    minimum: int = 1,
    maximum: int | None = None,
    window: Window = THREE_DAYS,
    where: tuple[Condition, ...] = (),
    inputs: frozenset[str] | None = None,
    workspace: str = "travel",
    kind: str = "event",
    custom_event_type: str | None = None,
) -> EventCriterion:
    """So many events; at least one in the last three days unless said."""
    subject = Subject(kind, None if name is None else name.casefold(), custom_event_type)
    text = f"{kind}: {name}"
    reaches = (Reach(workspace, window, inputs),)
    return EventCriterion(reaches, subject, where, minimum, maximum, text, "criteria")


def has(key: str, operator: str, operand: Any, workspace: str = "travel") -> ProfileCriterion:
    """A test on a user attribute."""
    test = Test(operator, operand)
    return ProfileCriterion(
        Facet.USER_ATTRIBUTE, workspace, key, test, f"user_attribute: {key}", "criteria"
    )


def member(audience_id: str) -> MemberOf:
    """Membership in another audience."""
    return MemberOf(audience_id, f"audience: {audience_id}", "criteria")


def audience(
    audience_id: str, expression: Expression, *, workspace: str = "travel", emits: bool = True
) -> Audience:
    """An audience whose name is its id in capitals."""
    return Audience(audience_id, audience_id.upper(), (workspace,), expression, emits, "d1")


def plan_of(*audiences: Audience, workspaces: tuple[Workspace, ...] = (TRAVEL,)) -> Plan:
    """The plan of these audiences."""
    return build_plan(Account("acme", workspaces, audiences))


def event(name: str = "play", at: int = AT, index: int = 0, **data: Any) -> Event:
    """A custom event; `id` is its message id, whose digest is the text's hash by position."""
    message_id = data.pop("id", None)
    kind = data.pop("kind", "event")
    custom_event_type = data.pop("custom_event_type", "other")
    digest = None if message_id is None else sum(ord(c) << 8 * i for i, c in enumerate(message_id))
    return Event(at, kind, name, custom_event_type, data, message_id, digest, index)


def batch(
    *events: Event,
    arrival: int | None = None,
    source: str = "ios",
    part: ProfilePart | None = None,
    digest: int | None = None,
) -> Batch:
    """A batch that arrives with its last event unless said."""
    when = arrival if arrival is not None else events[-1].occurred_at
    return Batch(1, source, when, list(events), part, digest, {}, {})


def part(
    attributes: dict[str, Any] | None = None,
    deleted: tuple[str, ...] = (),
    identities: dict[str, str | None] | None = None,
    size: int = 100,
) -> ProfilePart:
    """The profile part of a batch."""
    return ProfilePart(attributes or {}, list(deleted), identities or {}, size)


def texts_of(changes: list[Change], since: int = AT) -> list[str]:
    """Each change as `+audience@offset#ordinal`, offsets in ms from `since`."""
    return [
        f"{'+' if change.action == 'add' else '-'}{change.audience_id}"
        f"@{change.effective_at - since}#{change.ordinal}"
        for change in changes
    ]


class Profile:
    """One profile under a plan; each step gives what it changed."""

    def __init__(self, plan: Plan) -> None:
        self.engine = Engine(plan)
        self.row = Row(1)
        self.refused: list[int] = []
        self.changes: list[Change] = []

    def applies(self, one: Batch) -> list[str]:
        """Apply a batch."""
        self.changes = []
        self.refused = self.engine.apply(self.row, one, self.changes)
        return texts_of(self.changes)

    def does(self, name: str, at: int, **data: Any) -> list[str]:
        """Apply a batch of one event, `at` ms after AT."""
        source = data.pop("source", "ios")
        arrival = data.pop("arrival", at)
        return self.applies(
            batch(event(name, AT + at, **data), arrival=AT + arrival, source=source)
        )

    def waits(self, until: int) -> list[str]:
        """Let time pass until `until` ms after AT."""
        self.changes = []
        self.engine.wake(self.row, AT + until, self.changes)
        return texts_of(self.changes)
