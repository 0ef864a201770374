"""What definitions ask for and a stream of batches never had: event names, attributes, and criteria
that no event met.

A misspelt name is no error: any name may come one day. So it is looked for in the events that did
come. Similar names and keys that did come are shown beside them.

Source: docs/commands.md, replay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from cdp_stream.core.criteria.where import Where, compile_where
from cdp_stream.core.model.criterion import (
    CalculatedAttribute,
    CalculatedCriterion,
    CartCriterion,
    Condition,
    Criterion,
    EventCriterion,
    Facet,
    ProfileCriterion,
    Reach,
    SequenceCriterion,
    Source,
)
from cdp_stream.core.model.definition import Tier
from cdp_stream.core.model.event import Batch, Event
from cdp_stream.core.model.subject import COMMERCE, EVENT, Subject
from cdp_stream.core.plan.expression import leaves_of
from cdp_stream.core.plan.plan import Plan

MAX_LINES: Final = 20
_MOST_NAMES: Final = 10_000
_MOST_KEYS: Final = 1_000
_LONGEST_NAME: Final = 256
_MOST_NAMED: Final = 5
_ALIKE: Final = 0.75
_Kind = tuple[str, str, str, str]
"""The input, kind, name as sent and custom event type as sent of an event."""


@dataclass(slots=True)
class _Sought:
    """Events that something in the definitions reads.

    Attributes:
        label: their short form, as `event: Play Video`.
        users: the ids of what reads them.
        unseen: keys of custom attributes that it tests and no such event has had.
        keys: those that such events had, while some are unseen.
        received: how many of them came, while it was open; `read`: of those that count by input and
            tier.
        met: whether one of those met the conditions.
    """

    subject: Subject
    label: str
    inputs: frozenset[str]
    where: Where | None
    unseen: set[str]
    users: list[str] = field(default_factory=list)
    keys: Counter[str] = field(default_factory=Counter)
    received: int = 0
    read: int = 0
    met: bool = False

    def see(self, event: Event, batch: Batch, *, counts: bool) -> bool:
        """Take an event of the subject; whether nothing more is sought."""
        self.received += 1
        if not counts or batch.input not in self.inputs:
            return False
        self.read += 1
        if self.unseen:
            attributes = event.data.get("custom_attributes") or {}
            own = {key.casefold() if key.startswith("$") else key for key in attributes}
            self.unseen -= own
            _count(self.keys, own)
        self.met = self.met or self.where is None or self.where(event, batch)
        return self.met and not self.unseen


@dataclass(slots=True)
class _Received:
    """Events of one input, kind, name and type.

    Attributes:
        sought: what is still sought of them.
        counts: whether their tier lets them reach criteria.
    """

    sought: list[_Sought]
    counts: bool
    number: int = 0


class Unmatched:
    """Looks at batches for what a plan's definitions ask for."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._sought = list(_all_sought(plan))
        self._open = {id(one) for one in self._sought}
        self._attributes = _user_attributes(plan)
        self._attributes_seen: Counter[str] = Counter()
        self._received: dict[_Kind, _Received] = {}

    def see(self, batch: Batch) -> None:
        """Take a batch that is applied."""
        if not self._open and not self._attributes:
            return
        for event in batch.events:
            key = (batch.input, event.kind, event.name, event.custom_event_type)
            received = self._received.get(key) or self._new(key)
            received.number += 1
            for sought in received.sought:
                if sought.see(event, batch, counts=received.counts):
                    received.sought = [one for one in received.sought if one is not sought]
                    self._open.discard(id(sought))
        if batch.profile is not None and self._attributes:
            for name in batch.profile.attributes:
                self._attributes.pop(name, None)
            _count(self._attributes_seen, batch.profile.attributes)

    def _new(self, key: _Kind) -> _Received:
        source, kind, name, custom_event_type = key
        folded, folded_type = name.casefold(), custom_event_type.casefold()
        sought = [one for one in self._sought if one.subject.covers(kind, folded, folded_type)]
        tier = self.plan.tier_of(source, kind, folded, folded_type)
        received = _Received(
            [one for one in sought if one.unseen or not one.met], tier is Tier.PERSONALIZE
        )
        # Names are the producers' own: ever new ones, or long ones, must not fill the memory.
        if len(self._received) < _MOST_NAMES and len(name) <= _LONGEST_NAME:
            self._received[key] = received
        return received

    def lines(self) -> list[str]:
        """What was never there, a line each: what is perhaps misspelt first. Names that are like
        nothing that came share a line. At most `MAX_LINES`, and one that counts the rest.
        """
        never: dict[Subject, tuple[str, list[str]]] = {}
        for one in self._sought:
            if not one.received:
                never.setdefault(one.subject, (one.label, []))[1].extend(one.users)
        names = self._names()
        misspelt: list[str] = []
        unlike: dict[str, list[str]] = {}
        for label, users in never.values():
            kind, _, name = label.partition(": ")
            almost = _nearest(name, names.get(kind, {}))
            if almost is None:
                unlike[_spoken(kind, name)] = users
                continue
            other, number = _spoken(kind, almost[0]), _times(almost[1])
            line = f"{_spoken(kind, name)} was never received; {other} was, {number}"
            misspelt.append(line + _used_in(users))
        found = misspelt + self._about_attributes()
        for one in self._sought:
            if one.received:
                found.extend(_about_received(one))
        if unlike:
            verb = "was" if len(unlike) == 1 else "were"
            users = [user for users in unlike.values() for user in users]
            found.append(f"{_first(list(unlike))} {verb} never received{_used_in(users)}")
        if len(found) > MAX_LINES:
            return [*found[:MAX_LINES], f"and {len(found) - MAX_LINES} more that matched nothing"]
        return found

    def _about_attributes(self) -> list[str]:
        found = []
        for key, users in self._attributes.items():
            almost = _nearest(key, self._attributes_seen)
            line = f"no batch had the user attribute `{key}`"
            if almost is not None:
                line += f"; `{almost[0]}` came {_times(almost[1])}"
            found.append(line + _used_in(users))
        return found

    def _names(self) -> dict[str, Counter[str]]:
        """The names that came, by kind."""
        names: dict[str, Counter[str]] = {}
        for (_, kind, name, _), received in self._received.items():
            names.setdefault(kind, Counter())[name] += received.number
        return names


def _about_received(one: _Sought) -> Iterator[str]:
    used = _used_in(one.users)
    if not one.read:
        only = "only by inputs and tiers that are not read"
        yield f"`{one.label}` was received {_times(one.received)}, {only}{used}"
        return
    for key in sorted(one.unseen):
        almost = _nearest(key, one.keys)
        line = f"no `{one.label}` had the attribute `{key}`"
        if almost is not None:
            line += f"; `{almost[0]}` was there {_times(almost[1])}"
        yield line + used
    if not one.met and not one.unseen:
        met = "none met" if one.read > 1 else "did not meet"
        yield f"`{one.label}` was received {_times(one.read)}, and {met} the `where`{used}"


def _all_sought(plan: Plan) -> Iterable[_Sought]:
    found: dict[tuple[Subject, tuple[Condition, ...], frozenset[str]], _Sought] = {}
    for user, read in _reads(plan):
        for subject, conditions, reaches, label in read:
            inputs = frozenset(
                source.id
                for reach in reaches
                for source in plan.workspaces[reach.workspace].inputs
                if reach.inputs is None or source.id in reach.inputs
            )
            one = found.setdefault(
                (subject, conditions, inputs),
                _Sought(
                    subject,
                    label,
                    inputs,
                    compile_where(conditions),
                    {one.key for one in conditions if one.source is Source.ATTRIBUTE},
                ),
            )
            if user not in one.users:
                one.users.append(user)
    return found.values()


_Read = tuple[Subject, tuple[Condition, ...], tuple[Reach, ...], str]
"""A subject, its conditions, where it is read, and its short form."""


def _reads(plan: Plan) -> Iterator[tuple[str, list[_Read]]]:
    """The events that each definition reads, by its id."""
    for audience in plan.account.audiences:
        for criterion in leaves_of(audience.expression):
            # What a milestone inherits has no path of its own.
            if criterion.path:
                yield audience.id, _reads_of(criterion)
    for attribute in plan.account.calculated_attributes:
        yield attribute.id, [_read_of(attribute)]


def _reads_of(criterion: Criterion) -> list[_Read]:
    match criterion:
        case EventCriterion(reaches, subject, where):
            return [(subject, where, reaches, criterion.text)]
        case SequenceCriterion():
            return [
                (step.subject, step.where, criterion.reaches_of(step.subject), _label(step.subject))
                for step in criterion.steps
            ]
        case CartCriterion(reaches, where):
            added = Subject(COMMERCE, "add_to_cart")
            return [(added, where, reaches, _label(added))]
        case CalculatedCriterion(attribute):
            return [_read_of(attribute)]
        case _:
            return []


def _read_of(attribute: CalculatedAttribute) -> _Read:
    reach = Reach(attribute.workspace, attribute.window, None)
    return attribute.subject, attribute.where, (reach,), _label(attribute.subject)


def _label(subject: Subject) -> str:
    return f"{subject.kind}: {subject.name or 'any'}"


def _user_attributes(plan: Plan) -> dict[str, list[str]]:
    """The keys of user attributes that are tested or shared, each with the ids of what does so."""
    found: dict[str, list[str]] = {}
    for audience in plan.account.audiences:
        for one in leaves_of(audience.expression):
            if isinstance(one, ProfileCriterion) and one.facet is Facet.USER_ATTRIBUTE and one.path:
                found.setdefault(one.key, []).append(audience.id)
    calculated = {attribute.id for attribute in plan.account.calculated_attributes}
    for connection in plan.account.connections:
        for key in connection.user_attributes:
            if key not in calculated:
                found.setdefault(key, []).append(connection.id)
    return found


def _count(counter: Counter[str], keys: Iterable[str]) -> None:
    for key in keys:
        if key in counter or (len(counter) < _MOST_KEYS and len(key) <= _LONGEST_NAME):
            counter[key] += 1


def _nearest(name: str, known: Mapping[str, int]) -> tuple[str, int] | None:
    """The name that is almost this one and came the most, with how often."""
    folded: dict[str, str] = {}
    for other in sorted(known, key=lambda one: known[one]):
        folded[_folded(other)] = other
    match = get_close_matches(_folded(name), folded, n=1, cutoff=_ALIKE)
    return (folded[match[0]], known[folded[match[0]]]) if match else None


def _folded(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _spoken(kind: str, name: str) -> str:
    return f"`{name}`" if kind == EVENT else f"`{kind}: {name}`"


def _first(names: list[str]) -> str:
    """The first few, and how many more."""
    if len(names) > _MOST_NAMED:
        return f"{', '.join(names[:_MOST_NAMED])} and {len(names) - _MOST_NAMED} more"
    *some, last = names
    return f"{', '.join(some)} and {last}" if some else last


def _used_in(users: list[str]) -> str:
    return f" (used in {_first([f'`{name}`' for name in dict.fromkeys(users)])})"
