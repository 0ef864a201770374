"""However definitions change in mid-stream, what each output has been told adds up to what it
should hold: on each list the accepted identities of exactly the members, with the shared attributes
that they have.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, note
from hypothesis import strategies as st

from cdp_stream.core.model.connection import Connection, Output
from cdp_stream.definitions import load_text
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.processor import ProfileProcessor
from tests.partition.records import Sent, deliver
from tests.properties.connection_strategies import SHARED, connections, outputs
from tests.properties.edits import edited, edits
from tests.properties.partner import Partner, as_sent
from tests.properties.profile_strategies import IDENTITY_TYPES
from tests.properties.recount_account import Account
from tests.properties.recount_events import arrival, event_time
from tests.properties.recount_life import apply_identities
from tests.properties.recount_told import accepted, recount_told
from tests.properties.strategies import UNHURRIED
from tests.properties.stream_strategies import Surroundings, batches

Json = Any
T = 4_000_000_000_000


@dataclass(frozen=True)
class Version:
    """Definitions with connections, applied before the batch at `place`."""

    definitions: Json
    connectors: Json
    connections: list[Json]
    place: int
    time: int


@dataclass(frozen=True, repr=False)
class Case:
    """Versions of definitions, and a stream in time order.

    Attributes:
        pace: how many records go with each row that is swept; 0 sweeps none before the end.
        crashes: before which batches the partition moves to another worker.
    """

    versions: list[Version]
    stream: list[Json]
    pace: int
    crashes: set[int]

    def __repr__(self) -> str:
        """The test notes what is in it; hypothesis warns of long ones, which is an error here."""
        return f"a case of {len(self.versions)} versions and {len(self.stream)} batches"


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Two or three versions; profiles often have, and change, identities."""
    old, new = draw(edits())
    if draw(st.booleans()):
        old, new = draw(other_splits(old)), draw(other_splits(new))
    last = draw(edited(new))
    files = draw(
        st.sampled_from([[old, new], [old, new, last], [old, old, new], [old, new, new], [new] * 3])
    )
    stream = draw(streams(old))
    places = [0, *sorted(draw(st.integers(0, len(stream))) for _ in files[1:])]
    versions: list[Version] = []
    for number, file in enumerate(files):
        before = versions[-1] if versions else None
        found = with_kept(file)
        connectors = draw(outputs(before and before.connectors))
        connected = draw(connections(found, connectors, before.connections if before else []))
        time = draw(st.sampled_from([0, T + number]))
        versions.append(Version(found, connectors, connected, places[number], time))
    pace, moves = draw(st.integers(0, 3)), st.sets(st.integers(0, len(stream)), max_size=2)
    return Case(versions, stream, pace, draw(moves))


@st.composite
def other_splits(draw: st.DrawFn, definitions: Json) -> Json:
    """With other A/B tests: half of the audiences have one."""
    found = deepcopy(definitions)
    for one in found["audiences"]:
        one.pop("ab_test", None)
        if draw(st.booleans()):
            one["ab_test"] = {"variants": [{"percent": draw(st.sampled_from([30, 100]))}]}
    return found


def with_kept(definitions: Json) -> Json:
    """With an audience that no edit touches, to which nobody belongs: its connection shares every
    calculated attribute, so that none ever waits for its history.
    """
    found = deepcopy(definitions)
    criteria = {"user_attribute": "nobody has it", "exists": True}
    space = found["workspaces"][0]["id"]
    found["audiences"].append({"id": "kept", "workspaces": [space], "criteria": criteria})
    return found


@st.composite
def streams(draw: st.DrawFn, definitions: Json) -> list[Json]:
    """Batches in time order, none of them late."""
    around = Surroundings(draw, definitions)
    drawn = sorted((draw(batches(around)) for _ in range(draw(st.integers(6, 20)))), key=arrival)
    values = st.sampled_from(["one", "two", None])
    stream, latest = [], -1
    for batch in drawn:
        if all(event_time(batch, event) >= latest for event in batch.get("events") or []):
            if draw(st.booleans()):
                kinds = draw(st.lists(st.sampled_from(IDENTITY_TYPES), min_size=1, max_size=2))
                batch["user_identities"] = {kind: draw(values) for kind in kinds}
            if draw(st.booleans()):
                batch["user_attributes"] = {draw(st.sampled_from(SHARED)): draw(st.integers(0, 2))}
            stream.append(batch)
            latest = max(latest, arrival(batch))
    return stream


def definitions_of(number: int, version: Version) -> Definitions | None:
    """A version as a partition is given it; None where an edit left nothing that can be read."""
    account = load_text(json.dumps(version.definitions, ensure_ascii=False)).account
    if account is None:
        return None
    made = tuple(
        Connection(
            one["id"],
            one["audience"],
            one["output"],
            one["variant"],
            one["active"],
            {"list": one["list"]},
            tuple(one["share"]),
            identities=None if one["identities"] is None else frozenset(one["identities"]),
        )
        for one in version.connections
    )
    keeping = tuple(attribute.id for attribute in account.calculated_attributes)
    kept = Connection("kept@out", "kept", "out", user_attributes=keeping)
    named = tuple(Output(name, connector) for name, connector in version.connectors.items())
    account = replace(account, outputs=named, connections=(*made, kept))
    return Definitions(str(number), version.time, account)


class Live:
    """A partition, and the partner that hears of it."""

    def __init__(self, versions: list[Definitions]) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.versions = versions
        self.partner = Partner()
        self.move()

    def move(self) -> None:
        """Another worker takes over what is written."""
        known = {one.version: one for one in self.versions}
        self.made = ProfileProcessor(self.versions[0], "t", 0, known=known.get)
        self.made.restore(self.rows)

    def take(self, effects: Any) -> None:
        deliver(self.rows, effects)
        for output, key, value in effects.outputs:
            self.partner.take(output, key, json.loads(value))

    def settle(self) -> None:
        while (due := self.made.next_due()) is not None and due <= self.made.time:
            self.take(self.made.tick(self.made.time, 10))

    def apply(self, offset: int, batch: Json) -> None:
        value = json.dumps(batch, ensure_ascii=False).encode()
        key = b"%d" % int(batch["mpid"])
        self.partner.coming = identities_in(batch)
        self.take(self.made.apply([Sent(key, value, (), arrival(batch), offset)]))
        self.partner.coming = set()
        self.settle()

    def switch(self, number: int, before: Version | None, version: Version) -> None:
        """Put a version in force; only then does the partner know of it, too."""
        effects = self.made.rollout.switch(self.versions[number])
        assert self.made.rollout.missing == frozenset()
        stopped = self.partner.switch(version.connections, version.connectors)
        self.partner.ended.clear()
        self.take(effects)
        known = {one["id"]: one for one in before.connections} if before else {}
        account = Account(version.definitions)
        gone = [
            name
            for name in stopped
            if not is_there(account, known[name])
            and before is not None
            and before.connectors[known[name]["output"]]
            == version.connectors[known[name]["output"]]
        ]
        assert sorted(self.partner.ended) == sorted(gone)


def identities_in(batch: Json) -> set[tuple[str, str]]:
    """The identities that a batch sets, in either form."""
    found: dict[str, str] = {}
    apply_identities(found, batch)
    return set(found.items())


def is_there(account: Account, one: Json) -> bool:
    """Whether the audience, or the variant of it, is still defined."""
    audience = account.audiences.get(one["audience"])
    return audience is not None and one["variant"] in (None, *audience.variants())


# A case that fails is made smaller for up to five minutes.
@pytest.mark.timeout(900)
@UNHURRIED
@given(case=cases())
def test_after_changes_of_definitions_outputs_have_been_told_what_holds(case: Case) -> None:
    for version in case.versions:
        note(json.dumps(version.definitions, ensure_ascii=False))
        note(f"{version.connectors} {version.connections} at {version.place}: {version.time}")
    note("\n".join(json.dumps(batch, ensure_ascii=False) for batch in case.stream))
    note(f"pace {case.pace}, crashes {case.crashes}")
    made = [definitions_of(number, one) for number, one in enumerate(case.versions)]
    loaded = [one for one in made if one is not None]
    # An edit may leave nothing to read of what a criterion reads: such definitions are refused.
    assume(len(loaded) == len(made))
    for one, other in pairwise(loaded):
        assume(one.plan.memories.keys() >= other.plan.memories.keys())
    live = Live(loaded)
    waiting = list(enumerate(case.versions))
    before = None
    for offset in range(len(case.stream) + 1):
        if offset in case.crashes:
            live.move()
        while waiting and waiting[0][1].place == offset:
            number, version = waiting.pop(0)
            live.switch(number, before, version)
            before = version
        if offset < len(case.stream):
            live.apply(offset, case.stream[offset])
            if case.pace and offset % case.pace == 0 and live.made.rollout.rows_to_migrate():
                live.take(live.made.rollout.migrate(1))
            live.settle()
    while live.made.rollout.rows_to_migrate():
        live.take(live.made.rollout.migrate(1))
    live.settle()
    compare(live.partner, case.versions[-1], case.stream)


def compare(partner: Partner, last: Version, stream: list[Json]) -> None:
    """What the partner holds, and what a recount under the last definitions says of it."""
    active = [one for one in last.connections if one["active"]]
    lists: dict[tuple[str, str], set[tuple[str, str]]] = {}
    attributes: dict[tuple[str, str], str] = {}
    for mpid, profile in recount_told(last.definitions, active, stream, None).items():
        for one in active:
            variant = profile.account.audiences[one["audience"]].variant_of(mpid)
            listed = set(accepted(one, profile.identities))
            if listed and one["audience"] in profile.members and one["variant"] in (None, variant):
                lists[one["id"], str(mpid)] = listed
                shared = as_sent(json.loads(profile.shared(one)))
                attributes[one["id"], str(mpid)] = json.dumps(shared, sort_keys=True)
    assert {key: listed for key, listed in partner.lists.items() if listed} == lists
    assert {key: partner.attributes[key] for key in lists} == attributes
