"""Definitions compiled for evaluation: from an event to the criteria that read it, from those to
the audiences they flip.

An event costs what it touches, not what is defined. Equal criteria are one leaf, computed once; an
audience is evaluated only when a leaf it depends on, directly or through other audiences, has
flipped. `planning.build_plan` makes a plan; it is only read afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cdp_stream.core.criteria.leaf import EventLeaf, EventMemory, Leaf, Memory
from cdp_stream.core.criteria.membership import OptedOut
from cdp_stream.core.criteria.profile_value import ProfileValue, WithinDistance
from cdp_stream.core.criteria.user_attribute import UserAttribute
from cdp_stream.core.criteria.where import Where
from cdp_stream.core.model.criterion import Facet, Reach
from cdp_stream.core.model.definition import AbTest, Account, EventTier, Input, Tier, Workspace
from cdp_stream.core.model.subject import ATTRIBUTION, EVENT, OPT_OUT, SUBJECTS, UNINSTALL, Subject
from cdp_stream.core.outputs.forwarding import Forwarding
from cdp_stream.core.plan.expression import DecisionList

ACTIVITY_TEXT: Final = "activity"

ReadingKey = tuple[str, str, str, str]
"""An event's input, kind, name as sent and custom event type as sent."""

_READINGS_KEPT = 10_000
_LONGEST_KEY_KEPT = 1_024


class Readings:
    """How an event is applied.

    Attributes:
        leaves: the criteria that count it, with the conditions that it must meet.
        memories: other state that it enters, likewise.
        is_plain: whether that is `leaves` alone; else `memories`, or what the event has about the
            profile itself, come besides. A location in it is looked for in any case.
        is_personalized: whether its tier lets it be evaluated.
    """

    __slots__ = ("is_personalized", "is_plain", "leaves", "memories")

    def __init__(
        self,
        leaves: tuple[tuple[EventLeaf, Where | None], ...],
        memories: tuple[tuple[EventMemory, Where | None], ...],
        *,
        has_more: bool,
        is_personalized: bool,
    ) -> None:
        self.leaves = leaves
        self.memories = memories
        self.is_plain = not memories and not has_more
        self.is_personalized = is_personalized


@dataclass(frozen=True, slots=True)
class PlannedAudience:
    """One audience, ready to be evaluated.

    Attributes:
        order: its place in the order of emission.
        leaves: its own leaves in written order, each with its text, for causes.
        meaning: a digest of who is a member, with all that the definition refers to; empty for one
            that is frozen.
    """

    id: str
    name: str
    order: int
    workspaces: tuple[str, ...]
    emits: bool
    digest: str
    ab_test: AbTest | None
    expression: DecisionList
    leaves: tuple[tuple[Leaf, str], ...]
    meaning: str


class InForce(NamedTuple):
    """What a change of definitions must know of an audience as it was before.

    Attributes:
        meaning: as in `PlannedAudience`.
    """

    id: str
    name: str
    workspaces: tuple[str, ...]
    emits: bool
    digest: str
    meaning: str
    ab_test: AbTest | None


@dataclass(frozen=True, slots=True)
class Stage:
    """What of the definitions cannot be in force yet.

    An audience that uses a missing slot, itself or through others, is pending: one that was there
    before is frozen as it was, with its members; a new one is not there yet. What the pending ones
    keep of events in other slots continues.

    Attributes:
        missing: slots whose history is not in.
        frozen: what was in force, by audience id.
    """

    missing: frozenset[str] = frozenset()
    frozen: Mapping[str, InForce] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reader:
    """The leaves that read the events of a subject within a reach.

    Attributes:
        leaf: the counting leaf, None where it is a memory.
    """

    subject: Subject
    inputs: frozenset[str] | None
    where: Where | None
    leaf: EventLeaf | None
    memory: EventMemory | None


class Plan:
    """What `build_plan` makes; read-only for everybody else.

    Attributes:
        account: the definitions it was made of.
        inputs: id -> input.
        workspaces: id -> workspace.
        audiences: in order of evaluation; leaves name audiences by their place in it.
        places: audience id -> its place in `audiences`.
        memories: slot -> what keeps its state there.
        pending: ids of the audiences that are not in force yet.
        meanings: audience id -> its meaning, of pending ones too.
        identities: of criteria, by `id` of the object in the account; for plans of that account.
        attribute_leaves: (workspace, key) -> leaves that test this user attribute.
        dated_attributes: workspace -> key -> those whose value also changes by passing time.
        profile_leaves: (workspace, facet) -> leaves that test it; identities under workspace "".
        dated_leaves: workspace -> those of them whose value also changes by passing time.
        opted_out: the leaf of every audience.
        activations: workspace -> places of the audiences to evaluate when a profile becomes active
            there.
        dependants: workspace -> places of audiences, beside those of the workspace alone, to
            evaluate when a profile ends there.
        forwarding: the active connections; None when there are none.
        readings: the criteria that read an event; it fills itself, so `readings[key]` always has an
            answer.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self.account_id = account.id
        self.workspaces: dict[str, Workspace] = {
            workspace.id: workspace for workspace in account.workspaces
        }
        self.inputs: dict[str, Input] = {
            entry.id: entry for workspace in account.workspaces for entry in workspace.inputs
        }
        self.audiences: tuple[PlannedAudience, ...] = ()
        self.places: dict[str, int] = {}
        self.memories: dict[str, Memory] = {}
        self.pending: frozenset[str] = frozenset()
        self.meanings: dict[str, str] = {}
        self.identities: dict[int, str] = {}
        self.attribute_leaves: dict[tuple[str, str], tuple[UserAttribute, ...]] = {}
        self.dated_attributes: dict[str, dict[str, tuple[UserAttribute, ...]]] = {}
        self.profile_leaves: dict[tuple[str, Facet], tuple[ProfileValue | WithinDistance, ...]] = {}
        self.dated_leaves: dict[str, tuple[Leaf, ...]] = {}
        self.opted_out = OptedOut()
        self.activations: dict[str, tuple[int, ...]] = {}
        self.dependants: dict[str, tuple[int, ...]] = {}
        self.forwarding: Forwarding | None = None
        self.readings: dict[ReadingKey, Readings] = _Readings(self._resolve)
        self._readers: dict[tuple[str, str, str | None], list[Reader]] = defaultdict(list)

    def tier_of(self, input_id: str, kind: str, name: str, custom_event_type: str) -> Tier:
        """The tier of an event: its own in `event_tiers`, the most specific entry first, else its
        input's.

        An entry that names the input wins over one that does not; then a name over `any`; then one
        with a custom event type over one without. Name and type are case-folded.
        """
        source = self.inputs[input_id]
        best: tuple[bool, bool, bool] | None = None
        tier = source.tier
        for entry in self.workspaces[source.workspace].event_tiers:
            if entry.input in (None, input_id) and entry.subject.covers(
                kind, name, custom_event_type
            ):
                rank = _specificity(entry)
                if best is None or rank > best:
                    best, tier = rank, entry.tier
        return tier

    def add_reader(self, reach: Reach, reader: Reader) -> None:
        """Index the leaves that read a subject's events; only while the plan is built."""
        key = (reach.workspace, reader.subject.kind, reader.subject.name)
        self._readers[key].append(reader)

    def _resolve(self, input_id: str, kind: str, name: str, custom_event_type: str) -> Readings:
        folded, folded_type = name.casefold(), custom_event_type.casefold()
        if self.tier_of(input_id, kind, folded, folded_type) is not Tier.PERSONALIZE:
            return Readings((), (), has_more=kind == OPT_OUT, is_personalized=False)
        workspace = self.inputs[input_id].workspace
        readers = [
            reader
            for subject_kind in SUBJECTS
            for subject_name in (folded, None)
            for reader in self._readers.get((workspace, subject_kind, subject_name), ())
            if reader.subject.covers(kind, folded, folded_type)
            and (reader.inputs is None or input_id in reader.inputs)
        ]
        # One memory may read an event as several of its subjects.
        memories = {id(one.memory): (one.memory, one.where) for one in readers if one.memory}
        return Readings(
            tuple((one.leaf, one.where) for one in readers if one.leaf),
            tuple(memories.values()),
            has_more=kind in (OPT_OUT, UNINSTALL) or (kind == EVENT and folded_type == ATTRIBUTION),
            is_personalized=True,
        )


class _Readings(dict[ReadingKey, Readings]):
    """Recent results, found without a call; others are worked out."""

    __slots__ = ("_resolve",)

    def __init__(self, resolve: Callable[[str, str, str, str], Readings]) -> None:
        super().__init__()
        self._resolve = resolve

    def __missing__(self, key: ReadingKey) -> Readings:
        readings = self._resolve(*key)
        # Names are the producers' own: a stream of ever new ones, or of long ones, must not fill
        # the memory.
        if sum(map(len, key)) <= _LONGEST_KEY_KEPT:
            if len(self) >= _READINGS_KEPT:
                self.clear()
            self[key] = readings
        return readings


def _specificity(entry: EventTier) -> tuple[bool, bool, bool]:
    subject = entry.subject
    return entry.input is not None, subject.name is not None, subject.custom_event_type is not None
