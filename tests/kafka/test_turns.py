"""Whose turn it is when definitions change: what waits for what, with no broker."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from cdp_stream.core.definition import Account
from cdp_stream.kafka.chunks import Chunk
from cdp_stream.kafka.delivery import OutputTopics
from cdp_stream.kafka.hosted import HostedPartition
from cdp_stream.kafka.hosting import PartitionHosting
from cdp_stream.kafka.hosting_plan import HostingPlan
from cdp_stream.kafka.metrics import Metrics
from cdp_stream.kafka.observation import Observation
from cdp_stream.kafka.recreation import ReplacedError
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.processor import ProfileProcessor
from cdp_stream.store.rows import MemoryRows
from tests.core.accounts import DAY, SHORT, audience, has
from tests.partition.records import ids, marker, plan, sent

RED = audience("red", has("color", "equals", "red", "short"), workspace="short")
HOME = replace(SHORT, lifetime_ms=30 * DAY)


def version(number, *audiences):
    account = Account("acme", (HOME,), (*plan().account.audiences, *audiences))
    return Definitions(str(number), 1, account)


class Versions:
    """Definitions that a test replaces, of which those with greater numbers have not been read."""

    topic = "cdp.definitions"

    def __init__(self, latest):
        self.latest = latest
        self.invalid = 0

    async def start(self, changed):
        pass

    async def stop(self):
        pass

    def known(self, version):
        return self.latest if version == self.latest.version else None

    def is_newer(self, version):
        return int(version) > int(self.latest.version)

    def between(self, version, later):
        return []


class Lane:
    """Everything is durable at once, or when the test says so."""

    def __init__(self):
        self.pieces = []
        self.failed = False
        self.busy = False

    @property
    def is_idle(self):
        return not self.busy

    @property
    def has_room(self):
        return True

    def submit(self, effects, next_offset, *, barrier=False):
        self.pieces.append((effects, next_offset, barrier))


class Hosting:
    """The hosting of one partition, a turn at a time."""

    def __init__(self, definitions, rows=None):
        self.source = Versions(definitions)
        store = MemoryRows()
        if rows:
            store.write(0, rows)
        topics = OutputTopics("m", "s", "r", "c", "o")
        told = HostingPlan(
            events="e", topics=topics, group="g", exactly_once=True, client={}, clock="stream",
            grace_ms=0, session_timeout_s=9.0,
        )  # fmt: skip
        self.hosting = PartitionHosting(
            SimpleNamespace(consumer=SimpleNamespace(observation=Observation())),
            lambda number: None,
            table=SimpleNamespace(store=store), plan=told, metrics=Metrics(),
            definitions=self.source,
        )  # fmt: skip
        processor = ProfileProcessor(definitions, "e", 0, known=self.source.known)
        processor.restore(store.rows(0))
        self.lane, self.rows = Lane(), store.rows(0)
        self.hosted = HostedPartition(0, processor, self.lane)
        self.hosting._partitions[0] = self.hosted

    def brings(self, *records):
        self.hosted.chunks.append(Chunk(list(records), 0))
        self.hosted.held += len(records)

    def turns(self):
        """Turns until there is nothing to do; gives the pieces that they made."""
        before = len(self.lane.pieces)
        for _ in range(500):
            if not self.hosting._may_go(self.hosted) or not self.hosting._turn(self.hosted):
                return self.lane.pieces[before:]
        raise AssertionError("it never ends")


def said(pieces):
    return [one for effects, _next, _barrier in pieces for one in ids(effects)]


@pytest.fixture
def hosting():
    made = Hosting(version(1))
    made.turns()
    return made


def test_definitions_come_first_of_all_and_are_durable_before_anything_else(hosting):
    fresh = Hosting(version(1))
    fresh.brings(sent(0, 7, 0, "play"))
    assert fresh.hosting._turn(fresh.hosted)
    ((effects, next_offset, barrier),) = fresh.lane.pieces
    assert (list(effects.rows), next_offset, barrier) == (
        [b"~definitions", b"~partition"], None, True,
    )  # fmt: skip
    fresh.lane.busy = True
    assert fresh.turns() == []
    fresh.lane.busy = False
    assert "add played:7:0:0" in said(fresh.turns())


def test_a_switch_waits_for_what_is_on_its_way_and_for_what_is_due(hosting):
    hosting.brings(sent(0, 7, 0, "play"))
    hosting.turns()
    hosting.brings(sent(1, 8, 4 * DAY))
    hosting.hosting._apply(hosting.hosted)
    hosting.source.latest = version(2, RED)
    hosting.lane.busy = True
    assert hosting.turns() == []
    hosting.lane.busy = False
    pieces = hosting.turns()
    assert hosting.hosted.processor.version == "2"
    switch = next(n for n, piece in enumerate(pieces) if b"~definitions" in piece[0].rows)
    assert f"delete played:7:{3 * DAY + 1}:0" in said(pieces[:switch])
    assert said(pieces[switch:]) == []


def test_records_and_sweeps_take_turns(hosting):
    red = {"user_attributes": {"color": "red"}}
    hosting.brings(*(sent(n, n, 0, "play", **red) for n in range(600)))
    hosting.turns()
    hosting.source.latest = version(2, RED)
    hosting.hosting._turn(hosting.hosted)
    hosting.brings(*(sent(600 + n, 1, 1, "buy") for n in range(1_200)))
    for _ in range(2):
        waiting, held = hosting.hosted.processor.rows_to_sweep(), hosting.hosted.held
        hosting.hosting._turn(hosting.hosted)
        assert hosting.hosted.processor.rows_to_sweep() == waiting - 250
        assert hosting.hosted.held == held - 500
    assert sum("red" in one for one in said(hosting.turns())) > 0


def test_a_marker_waits_for_the_rows_and_another_version_for_the_marker(hosting):
    red = {"user_attributes": {"color": "red"}}
    hosting.brings(*(sent(n, n, 0, "play", **red) for n in range(600)))
    hosting.turns()
    hosting.source.latest = version(2, RED)
    hosting.hosting._turn(hosting.hosted)
    hosting.brings(marker(600, DAY))
    hosting.hosting._turn(hosting.hosted)
    assert hosting.hosted.marker == 601
    hosting.source.latest = version(3)
    pieces = hosting.turns()
    assert hosting.hosted.processor.version == "3"
    committed = [next_offset for _effects, next_offset, _barrier in pieces]
    switch = next(n for n, piece in enumerate(pieces) if b"~definitions" in piece[0].rows and n)
    assert 601 in committed
    assert sum(one.startswith("add red") for one in said(pieces)) == 600 - 250
    assert sum(one.startswith("delete red") for one in said(pieces[switch:])) == 600


def test_definitions_that_are_newer_than_what_was_read_are_waited_for(hosting):
    hosting.source.latest = version(5, RED)
    hosting.turns()
    late = Hosting(version(4), dict(hosting.rows))
    late.brings(sent(0, 7, 0, "play"))
    assert late.turns() == []
    assert late.hosted.held == 1
    late.source.latest = version(5, RED)
    assert "add played:7:0:0" in said(late.turns())


def test_definitions_that_do_not_come_are_not_waited_for_for_ever(hosting):
    hosting.source.latest = version(5, RED)
    hosting.turns()
    late = Hosting(version(4), dict(hosting.rows))
    late.turns()
    assert late.hosted.behind_since is not None
    late.hosted.behind_since -= 60
    with pytest.raises(ReplacedError, match="under version 5, and the newest there is 4"):
        late.turns()
    late.source.latest = version(5, RED)
    late.turns()
    assert late.hosted.behind_since is None
