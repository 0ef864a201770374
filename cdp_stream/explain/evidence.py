"""The values and events behind a leaf's verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from cdp_stream.core.criteria.calculated_attribute import CalculatedMemory
from cdp_stream.core.criteria.membership import OptedOut
from cdp_stream.core.criteria.profile_value import ProfileValue, WithinDistance
from cdp_stream.core.criteria.user_attribute import UserAttribute
from cdp_stream.core.model.criterion import (
    Calculation,
    DistanceCriterion,
    EventCriterion,
    Facet,
    MemberOf,
    ProfileCriterion,
)
from cdp_stream.core.model.geo import coordinates_of, distance_m
from cdp_stream.core.model.operators import MISSING
from cdp_stream.core.model.row import INSTALL, LOCATION, UNINSTALL, Row
from cdp_stream.explain.history import Counted, History, values_of
from cdp_stream.explain.tree import Kind, Node
from cdp_stream.explain.words import count_words, instant_words, printable, value_words

_DATED_FACETS: Final = {
    Facet.LOCATION: LOCATION,
    Facet.INSTALL_ATTRIBUTION: INSTALL,
    Facet.UNINSTALL_ATTRIBUTION: UNINSTALL,
}
_TIMESTAMPS: Final = frozenset(
    {Calculation.FIRST_OCCURRENCE_TIMESTAMP, Calculation.LAST_OCCURRENCE_TIMESTAMP}
)


@dataclass(frozen=True, slots=True)
class Reason:
    """One event or value behind a verdict.

    Attributes:
        event_id: the event's `source_message_id`; None for a value, and where it has none.
        time: of the event, or since when the value is what it is, epoch ms; None when not known.
    """

    event_id: str | None
    time: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is behind a verdict.

    Attributes:
        values: the values.
        events: the newest events that count, oldest first.
        counted: those events, all of them counted; None for what reads none.
    """

    values: tuple[Reason, ...] = ()
    events: tuple[Reason, ...] = ()
    counted: Counted | None = None


def evidence_of(history: History, node: Node, row: Row) -> Evidence:
    """What is behind a node's verdict; nothing for a group."""
    leaf, written = node.leaf, node.written
    if leaf is None:
        return Evidence()
    if isinstance(leaf, OptedOut):
        return Evidence((Reason(None, row.opt_out >> 1, "opted out"),))
    if written is None:
        return Evidence((Reason(None, None, "the profile is not known here"),))
    if isinstance(written, MemberOf):
        return Evidence(_membership(node, written, row))
    if isinstance(leaf, UserAttribute | ProfileValue):
        assert isinstance(written, ProfileCriterion)
        return Evidence(_values(history, leaf, written, row))
    if isinstance(leaf, WithinDistance):
        assert isinstance(written, DistanceCriterion)
        return Evidence((_distance(written, row),))
    counted = history.counted(leaf, row)
    assert counted is not None
    return Evidence(_calculated(history, node, row), _events(counted, node), counted)


def range_of(written: EventCriterion, is_negative: bool) -> tuple[int, int | None]:
    """The numbers of events for which a node holds."""
    # In the negative "at least n + 1" means "at most n".
    return (0, written.minimum - 1) if is_negative else (written.minimum, written.maximum)


def _membership(node: Node, written: MemberOf, row: Row) -> tuple[Reason, ...]:
    since = row.members.get(written.audience_id)
    found = []
    if since is not None:
        found.append(Reason(None, since, f"a member since {instant_words(since)}"))
    if node.kind is Kind.MEMBER and not node.children:
        found.append(Reason(None, None, f"explained above, at the first {node.criterion}"))
    return tuple(found)


def _events(counted: Counted, node: Node) -> tuple[Reason, ...]:
    """An event each; of a count, with its number among those that count."""
    written = node.written
    wanted = None
    if isinstance(written, EventCriterion):
        wanted = count_words(*range_of(written, node.is_negative))
    first = counted.total - len(counted.newest) + 1
    return tuple(
        Reason(
            seen.event_id,
            seen.time,
            seen.words if wanted is None else f"{seen.words} ({number} of {wanted})",
        )
        for number, seen in enumerate(counted.newest, first)
    )


def _values(
    history: History, leaf: UserAttribute | ProfileValue, written: ProfileCriterion, row: Row
) -> tuple[Reason, ...]:
    time = history.written_at(leaf, row)
    space = row.spaces.get(written.workspace)
    if space is not None and written.facet in _DATED_FACETS:
        newest = space.facts.get(_DATED_FACETS[written.facet])
        time = None if newest is None else newest[0]
    values = values_of(leaf, row)
    if not values:
        return (Reason(None, None, "no device is known"),)
    if written.facet in (Facet.FIRST_SEEN, Facet.LAST_SEEN):
        # The activity that it is the time of; a batch may have had several instants.
        time = values[0]
    name = name_of(written)
    return tuple(
        Reason(
            None,
            None if value is MISSING else time,
            f"{name} {_is(facet_words(written, value), value)}",
        )
        for value in values
    )


def name_of(written: ProfileCriterion) -> str:
    """What a criterion tests, in words."""
    match written.facet:
        case Facet.CONSENT:
            return printable(f"consent {written.key}")
        case Facet.FIRST_SEEN | Facet.LAST_SEEN:
            return written.facet.value
        case _:
            return printable(written.key)


def facet_words(written: ProfileCriterion, value: Any) -> str:
    """A value of a facet in words."""
    match written.facet:
        case Facet.CONSENT:
            return consent_words(written.key, value)
        case Facet.FIRST_SEEN | Facet.LAST_SEEN if value is not MISSING:
            return instant_words(value)
        case _:
            return value_words(value)


def consent_words(key: str, value: Any) -> str:
    """A consent as definitions name it; MISSING is `unset`."""
    if value is MISSING:
        return "unset"
    if ":" in key:
        return "given" if value else "rejected"
    return "opted_out" if value else "not_opted_out"


def _is(words: str, value: Any) -> str:
    return f"is {words}" if value is MISSING else f"= {words}"


def _distance(written: DistanceCriterion, row: Row) -> Reason:
    space = row.spaces.get(written.workspace)
    newest = None if space is None else space.facts.get(LOCATION)
    if newest is None:
        return Reason(None, None, "no location is known")
    point = coordinates_of(newest[1])
    if point is None:
        return Reason(None, newest[0], "the newest location has no coordinates")
    metres = distance_m(*point, written.latitude, written.longitude)
    return Reason(None, newest[0], f"{metres / 1000:,.3f} km away, at {point[0]}, {point[1]}")


def _calculated(history: History, node: Node, row: Row) -> tuple[Reason, ...]:
    memory = _memory_of(history, node)
    if memory is None:
        return ()
    value = memory.value(row, history.at)
    words = value_words(value)
    if value is not MISSING and memory.attribute.calculation in _TIMESTAMPS:
        words = instant_words(value)
    return (Reason(None, None, f"{memory.attribute.id} {_is(words, value)}"),)


def _memory_of(history: History, node: Node) -> CalculatedMemory | None:
    """What keeps the calculated attribute that a node tests."""
    assert node.leaf is not None
    for memory in history.memories[node.leaf]:
        if isinstance(memory, CalculatedMemory):
            return memory
    return None
