"""A naive recount: what every audience must emit, worked out from the whole history each time.

It is the yardstick of the property tests, so it shares no code with `cdp_stream` and is as slow
and as direct as it can be: it keeps every accepted event of a profile for ever, and at every
instant at which anything could possibly change it evaluates every audience from nothing. There
are no slots, no thresholds, no due instants: the candidate instants are a superset (every known
instant plus every duration of the definitions, and the millisecond after), and an instant at
which nothing changes emits nothing.

Each function names the page and section of the specification that it reads out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.properties.recount_account import Account, Audience, Workspace
from tests.properties.recount_events import (
    READ_EVERY_INPUT,
    Occurrence,
    arrival,
    count_holds,
    event_time,
    in_window,
    subject_matches,
    where_holds,
)
from tests.properties.recount_values import fold, keyed, moment_of, value_holds

Json = Any


def recount(
    definitions: Json, batches: list[Json], until: int | None = None
) -> list[dict[str, Any]]:
    """Every change of every profile, in the order in which `cdp replay` prints them.

    Args:
        definitions: one parsed definition file.
        batches: parsed batches in arrival order.
        until: epoch ms to which time runs on, and after which no arriving batch is read; None is
            the greatest arrival (commands.md, `--until last`).
    """
    account = Account(definitions)
    read = [batch for batch in batches if account.input_of(batch) is not None]
    if until is None:
        until = max((arrival(batch) for batch in read), default=0)
    read = [batch for batch in read if arrival(batch) <= until]
    changes: list[dict[str, Any]] = []
    for mpid in {int(batch["mpid"]) for batch in read}:
        profile = Profile(account, mpid)
        for batch in read:
            if int(batch["mpid"]) == mpid:
                profile.take(batch)
        profile.run_to(until)
        changes += profile.changes
    return sorted(changes, key=lambda c: (c["effective_at"], int(c["mpid"]), c["ordinal"]))


@dataclass
class Life:
    """A profile within one workspace, from its first activity until it is forgotten."""

    history: list[Occurrence] = field(default_factory=list)
    attributes: dict[str, Json] = field(default_factory=dict)
    activity: list[int] = field(default_factory=list)


class Profile:
    """Everything that ever happened to one profile, and what it emitted."""

    def __init__(self, account: Account, mpid: int) -> None:
        self.account = account
        self.mpid = mpid
        self.clock: int | None = None
        self.lives: dict[str, Life] = {}
        self.seen: set[tuple[str, str]] = set()
        self.members: set[str] = set()
        self.ordinals: Counter[int] = Counter()
        self.changes: list[dict[str, Any]] = []

    # time

    def run_to(self, instant: int) -> None:
        """Passes every instant after the clock, up to `instant`, at which anything could change."""
        for candidate in sorted(self._candidates()):
            if self.clock is not None and self.clock < candidate <= instant:
                self.clock = candidate
                self._evaluate()

    def _candidates(self) -> set[int]:
        known = set()
        for life in self.lives.values():
            known |= {one.time for one in life.history} | set(life.activity)
            for value in life.attributes.values():
                for element in value if isinstance(value, list) else [value]:
                    known |= {moment_of(element)} - {None}  # type: ignore[arg-type]
        return {
            base + length + extra
            for base in known
            for length in self.account.durations
            for extra in (0, 1)
        }

    # batches

    def take(self, batch: Json) -> None:
        """events.md, Order inside a batch and Duplicates."""
        source = self.account.input_of(batch)
        assert source is not None
        workspace = self.account.workspaces[self.account.inputs[source]]
        events = batch.get("events") or []
        times = sorted({event_time(batch, event) for event in events}) or [arrival(batch)]
        request = batch.get("source_request_id")
        if ("request", request) in self.seen and not self._all_forgotten_at(times[0]):
            return
        for time in times:
            self.run_to(time)
            self.clock = time if self.clock is None else max(self.clock, time)
            life = self.lives.setdefault(workspace.id, Life())
            life.activity.append(time)
            if time == times[0]:
                self._apply_profile_part(life, batch)
                if request is not None:
                    self.seen.add(("request", request))
            for event in events:
                if event_time(batch, event) == time:
                    self._apply_event(life, workspace, source, batch, event, time)
            self._evaluate()

    def _all_forgotten_at(self, instant: int) -> bool:
        now = instant if self.clock is None else max(self.clock, instant)
        return not any(self._alive(workspace_id, now) for workspace_id in self.lives)

    def _apply_profile_part(self, life: Life, batch: Json) -> None:
        for key, value in (batch.get("user_attributes") or {}).items():
            life.attributes[fold(key) if key.startswith("$") else key] = value
        for key in batch.get("deleted_user_attributes") or []:
            life.attributes.pop(fold(key) if key.startswith("$") else key, None)

    def _apply_event(
        self, life: Life, workspace: Workspace, source: str, batch: Json, event: Json, time: int
    ) -> None:
        message = event["data"].get("source_message_id")
        if message is not None:
            if ("message", message) in self.seen:
                return
            self.seen.add(("message", message))
        personalize = workspace.personalizes(source, event)
        life.history.append(Occurrence(time, source, personalize, event, batch))

    # evaluation

    def _evaluate(self) -> None:
        """One evaluation at the clock: forgets, then emits the deletes, then the adds."""
        assert self.clock is not None
        for workspace_id in list(self.lives):
            if not self._alive(workspace_id, self.clock):
                del self.lives[workspace_id]
        if not self.lives:
            self.seen.clear()
        now = {a.id for a in self.account.audiences.values() if a.emits and self._is_member(a.id)}
        for action, concerned in (("delete", self.members - now), ("add", now - self.members)):
            for audience in self.account.audiences.values():
                if audience.id in concerned:
                    self._emit(action, audience)
        self.members = now

    def _emit(self, action: str, audience: Audience) -> None:
        assert self.clock is not None
        self.changes.append(
            {
                "action": action,
                "audience_id": audience.id,
                "audience_name": audience.name,
                "mpid": str(self.mpid),
                "effective_at": self.clock,
                "ordinal": self.ordinals[self.clock],
            }
        )
        self.ordinals[self.clock] += 1

    def _alive(self, workspace_id: str, now: int) -> bool:
        """semantics.md, End of a profile: alive up to and with last_seen + lifetime."""
        lifetime = self.account.workspaces[workspace_id].lifetime
        return lifetime is None or now <= max(self.lives[workspace_id].activity) + lifetime

    def _is_member(self, audience_id: str) -> bool:
        """semantics.md, Scope and Journeys."""
        audience = self.account.audiences[audience_id]
        if audience.workspace not in self.lives:
            return False
        if audience.parent is not None and not self._is_member(audience.parent):
            return False
        if any(self._is_member(sibling) for sibling in audience.excluded_siblings):
            return False
        return audience.criteria is None or self._holds(audience.criteria, audience)

    def _holds(self, criterion: Json, scope: Audience) -> bool:
        """semantics.md, Combining."""
        if any(self._holds(child, scope) for child in criterion.get("exclude", [])):
            return False
        if "all" in criterion:
            return all(self._holds(child, scope) for child in criterion["all"])
        if "any" in criterion:
            return any(self._holds(child, scope) for child in criterion["any"])
        if "not" in criterion:
            return not self._holds(criterion["not"], scope)
        if "audience" in criterion:
            return self._is_member(criterion["audience"])
        if "user_attribute" in criterion:
            attributes = self.lives[scope.workspace].attributes
            assert self.clock is not None
            return value_holds(
                criterion, keyed(attributes, criterion["user_attribute"]), self.clock
            )
        return self._event_criterion_holds(criterion, scope)

    def _event_criterion_holds(self, criterion: Json, scope: Audience) -> bool:
        assert self.clock is not None
        workspace = self.account.workspaces[scope.workspace]
        inputs = criterion.get("inputs", scope.inputs)
        if any(subject in criterion for subject in READ_EVERY_INPUT):
            inputs = list(workspace.tiers)
        counted = [
            one
            for one in self.lives[scope.workspace].history
            if one.personalize
            and one.input in inputs
            and subject_matches(criterion, one.event)
            and where_holds(criterion.get("where", []), one)
            and in_window(
                criterion.get("when", {"last": "30d"}), scope.lookback, one.time, self.clock
            )
        ]
        return count_holds(criterion.get("count", {"greater_than": 0}), len(counted))
