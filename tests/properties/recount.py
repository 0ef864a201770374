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
from heapq import heappop, heappush
from typing import Any

from tests.properties.recount_account import Account, Audience, Workspace
from tests.properties.recount_criteria import calculated_value, criterion_holds
from tests.properties.recount_events import Occurrence, arrival, event_time
from tests.properties.recount_life import Life, apply_identities, newest
from tests.properties.recount_values import moment_of

Json = Any


def recount(
    definitions: Json,
    batches: list[Json],
    until: int | None = None,
    erasures: list[tuple[int, int, int]] | None = None,
) -> list[dict[str, Any]]:
    """Every change of every profile, in the order in which `cdp replay` prints them.

    Args:
        definitions: one parsed definition file.
        batches: parsed batches in arrival order.
        until: epoch ms to which time runs on, and after which no arriving batch is read; None is
            the greatest arrival (commands.md, `--until last`).
        erasures: (how many of the batches come before it, mpid, epoch ms), in order.
    """
    account = Account(definitions)
    places = {id(batch): place for place, batch in enumerate(batches)}
    read = [batch for batch in batches if account.input_of(batch) is not None]
    if until is None:
        until = max((arrival(batch) for batch in read), default=0)
    read = [batch for batch in read if arrival(batch) <= until]
    changes: list[dict[str, Any]] = []
    for mpid in {int(batch["mpid"]) for batch in read}:
        profile = Profile(account, mpid)
        waiting = [one for one in erasures or [] if one[1] == mpid]
        for batch in read:
            if int(batch["mpid"]) == mpid:
                while waiting and waiting[0][0] <= places[id(batch)]:
                    profile.erase(waiting.pop(0)[2])
                profile.take(batch)
        for _place, _mpid, at in waiting:
            profile.erase(at)
        profile.run_to(until)
        changes += profile.changes
    return sorted(changes, key=lambda c: (c["effective_at"], int(c["mpid"]), c["ordinal"]))


class Profile:
    """Everything that ever happened to one profile, and what it emitted."""

    def __init__(self, account: Account, mpid: int) -> None:
        self.account = account
        self.mpid = mpid
        self.clock: int | None = None
        # Each end of the last life: the instant, and how many changes there were then.
        self.ends: list[tuple[int, int]] = []
        self.lives: dict[str, Life] = {}
        self.identities: dict[str, str] = {}
        self.opt_outs: list[tuple[int, bool]] = []
        self.opted_out = False
        self.seen: set[tuple[str, str]] = set()
        self.members: set[str] = set()
        self.ordinals: Counter[int] = Counter()
        self.changes: list[dict[str, Any]] = []

    # time

    def now(self) -> int:
        """The clock, epoch ms."""
        assert self.clock is not None
        return self.clock

    def run_to(self, instant: int) -> None:
        """Passes every instant after the clock, up to `instant`, at which anything could change."""
        if self.clock is None:
            return
        ahead = self._later_than(self._known_instants())
        queue = sorted(ahead)
        while queue and queue[0] <= instant:
            self.clock = heappop(queue)
            self._evaluate({"time"})
            for later in self._later_than(self._calculated_dates()) - ahead:
                ahead.add(later)
                heappush(queue, later)

    def _later_than(self, known: set[int]) -> set[int]:
        """The instants after the clock that lie a duration of the definitions after known ones."""
        return {
            base + length + extra
            for base in known
            for length in self.account.durations
            for extra in (0, 1)
            if base + length + extra > self.now()
        }

    def _known_instants(self) -> set[int]:
        known = self._calculated_dates()
        for life in self.lives.values():
            known |= {one.time for one in life.history} | set(life.activity)
            values = [*life.attributes.values()]
            for device in life.devices.values():
                values += device.values()
            known |= moments_in(values)
        return known

    def _calculated_dates(self) -> set[int]:
        """Calculated values that read as dates: a criterion may test them as such."""
        return moments_in([calculated_value(one, self) for one in self.account.calculated])

    # live time

    def take_live(self, batch: Json, reached: int) -> None:
        """semantics.md, Live equals replay: as `take`, where the partition's time was `reached`.

        What was due by then has fired, and who had ended before then was forgotten. Of a profile
        that begins, the lives that had ended by then happen, but nobody is told.
        """
        self.run_to(reached)
        if not self.lives and self.ends and self.ends[-1][0] < reached:
            self.forget()
        if self.clock is not None:
            self.take(batch)
            return
        told, lived = len(self.changes), len(self.ends)
        self.take(batch)
        self.run_to(reached)
        if not self.lives:
            self.forget()
        over = [count for at, count in self.ends[lived:] if at <= reached]
        del self.changes[told : max(over, default=told)]

    def forget(self) -> None:
        """Nothing is known of the profile, not even how far it was evaluated."""
        self.clock = None
        self.ordinals.clear()

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
                life.apply_profile_part(batch, time)
                apply_identities(self.identities, batch)
                if request is not None:
                    self.seen.add(("request", request))
            for event in events:
                if event_time(batch, event) == time:
                    self._apply_event(life, workspace, source, batch, event, time)
            self._evaluate({"event", "profile"})

    def erase(self, at: int) -> None:
        """semantics.md, End of a profile: out of everything, and what comes later is new."""
        if self.clock is None:
            return
        self.run_to(at)
        self.clock = max(self.clock, at)
        self.lives.clear()
        self.seen.clear()
        self.identities.clear()
        self.opt_outs.clear()
        self.opted_out = False
        for audience in self.account.audiences.values():
            if audience.id in self.members:
                self._emit("delete", audience, {"erasure"})
        self.members = set()

    def _all_forgotten_at(self, instant: int) -> bool:
        now = instant if self.clock is None else max(self.clock, instant)
        return not any(self._alive(workspace_id, now) for workspace_id in self.lives)

    def _apply_event(
        self, life: Life, workspace: Workspace, source: str, batch: Json, event: Json, time: int
    ) -> None:
        message = event["data"].get("source_message_id")
        if message is not None:
            if ("message", message) in self.seen:
                return
            self.seen.add(("message", message))
        if event["event_type"] == "opt_out":
            self.opt_outs.append((time, event["data"]["is_opted_out"]))
        personalize = workspace.personalizes(source, event)
        life.apply_event(Occurrence(time, source, personalize, event, batch))

    # evaluation

    def _evaluate(self, kinds: set[str]) -> None:
        """One evaluation at the clock: forgets, then emits the deletes, then the adds.

        `kinds` are the kinds of cause that the changes may have.
        """
        ended = [one for one in self.lives if not self._alive(one, self.now())]
        for workspace_id in ended:
            del self.lives[workspace_id]
        if not self.lives:
            self.seen.clear()
            self.identities.clear()
            self.opt_outs.clear()
            self.opted_out = False
        if bool(newest(self.opt_outs)) is not self.opted_out:
            self.opted_out = not self.opted_out
            kinds = {"opt_out"}
        elif ended:
            kinds = {"profile_expiry"} | (kinds if self.lives else set())
        now = set()
        if not self.opted_out:
            emitting = [a.id for a in self.account.audiences.values() if a.emits]
            now = {one for one in emitting if self._is_member(one)}
        for action, concerned in (("delete", self.members - now), ("add", now - self.members)):
            for audience in self.account.audiences.values():
                if audience.id in concerned:
                    self._emit(action, audience, kinds)
        self.members = now
        if ended and not self.lives:
            self.ends.append((self.now(), len(self.changes)))

    def _emit(self, action: str, audience: Audience, kinds: set[str]) -> None:
        variant = audience.variant_of(self.mpid)
        self.changes.append(
            {
                "action": action,
                "audience_id": audience.id,
                "audience_name": f"{audience.name} - {variant}" if variant else audience.name,
                "mpid": str(self.mpid),
                "effective_at": self.now(),
                "ordinal": self.ordinals[self.now()],
                "variant": variant,
                "kinds": kinds,
            }
        )
        self.ordinals[self.now()] += 1

    def _alive(self, workspace_id: str, now: int) -> bool:
        """semantics.md, End of a profile: alive up to and with last_seen + lifetime."""
        lifetime = self.account.workspaces[workspace_id].lifetime
        return lifetime is None or now <= max(self.lives[workspace_id].activity) + lifetime

    def _is_member(self, audience_id: str) -> bool:
        """semantics.md, Scope and Journeys."""
        audience = self.account.audiences[audience_id]
        if not any(workspace in self.lives for workspace in audience.workspaces):
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
        return criterion_holds(criterion, scope, self)


def moments_in(values: list[Json]) -> set[int]:
    """The instants that values, or elements of lists, read as."""
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return {moment for moment in map(moment_of, flat) if moment is not None}
