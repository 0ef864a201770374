"""Whose turn it is when definitions change: what waits for what, with no broker."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from cdp_stream.core.definition import Account
from cdp_stream.formats.rows import decode_partition
from cdp_stream.kafka.aiokafka_patches.fetch_observer import FetchObserver
from cdp_stream.kafka.clients.chunk import Chunk
from cdp_stream.kafka.commit.record_writer import OutputTopics
from cdp_stream.kafka.metrics import Metrics
from cdp_stream.kafka.recovery.replaced_topics import ReplacedError
from cdp_stream.kafka.runtime.assignment import PartitionHosting
from cdp_stream.kafka.runtime.partition_time import EndSeen
from cdp_stream.kafka.runtime.record_queue import HostedPartition
from cdp_stream.kafka.runtime.task_context import HostingPlan
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import META_ROW
from cdp_stream.partition.processor import ProfileProcessor
from cdp_stream.store.rows import MemoryRows
from tests.core.accounts import DAY, SHORT, audience, did, has
from tests.partition.records import T, ids, marker, plan, sent
from tests.partition.test_slices import filling

RED = audience("red", has("color", "equals", "red", "short"), workspace="short")
HOME = replace(SHORT, lifetime_ms=30 * DAY)


def version(number, *audiences):
    account = Account("acme", (HOME,), (*plan().account.audiences, *audiences))
    return Definitions(str(number), 1, account)


class Versions:
    """Definitions that a test replaces; those with numbers above ``newest`` have not been read."""

    topic = "cdp.definitions"

    def __init__(self, latest):
        self.latest = latest
        self.newest = 0
        self.are_lost = False
        self.invalid = 0

    async def start(self, changed):
        pass

    async def stop(self):
        pass

    def known(self, version):
        is_there = version == self.latest.version and not self.are_lost
        return self.latest if is_there else None

    def is_newer(self, version):
        return int(version) > int(self.latest.version)

    def has_read(self, version):
        return int(version) <= self.newest

    def between(self, version, later):
        return []


class Lane:
    """Everything is durable at once, or when the test says so."""

    def __init__(self):
        self.pieces = []
        self.failed = False
        self.busy = False
        self.is_atomic = True

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
            SimpleNamespace(consumer=SimpleNamespace(observer=FetchObserver())),
            lambda number: None,
            table=SimpleNamespace(store=store), plan=told, metrics=Metrics(),
            definitions=self.source,
        )  # fmt: skip
        processor = ProfileProcessor(definitions, "e", 0, known=self.source.known)
        processor.restore(store.rows(0))
        self.lane, self.rows = Lane(), store.rows(0)
        self.hosted = HostedPartition(0, processor, self.lane, told.waiting)
        self.hosting._partitions[0] = self.hosted
        self.loop = self.hosting._turns

    def brings(self, *records):
        self.hosted.add(Chunk(list(records), 0))

    async def turns(self):
        """Turns until there is nothing to do; gives the pieces that they made."""
        before = len(self.lane.pieces)
        for _ in range(500):
            if self.loop._may_go(self.hosted) and self.loop._turn(self.hosted):
                continue
            if self.hosted.preparing is None:
                return self.lane.pieces[before:]
            await self.hosted.preparing
        raise AssertionError("it never ends")

    async def takes_over(self, definitions):
        """Definitions come, and are put in force; the partition does nothing else meanwhile."""
        self.source.latest = definitions
        while self.hosted.processor.rollout.version != definitions.version:
            if self.loop._changes.wanted(self.hosted) is None:
                await self.hosted.preparing
            self.loop._turn(self.hosted)


def said(pieces):
    return [one for effects, _next, _barrier in pieces for one in ids(effects)]


@pytest.fixture
async def hosting():
    made = Hosting(version(1))
    await made.turns()
    return made


async def test_a_slice_that_makes_much_is_delivered_in_parts_and_the_position_follows(hosting):
    records = [record for mpid in range(16) for record in filling(4 * mpid, mpid)]
    hosting.brings(*records, marker(64, DAY))
    pieces = await hosting.turns()
    offsets = [next_offset for _effects, next_offset, _barrier in pieces if next_offset is not None]
    assert len(offsets) > 4
    assert (offsets, offsets[-2:]) == (sorted(offsets), [64, 65])
    assert max(effects.size for effects, _next, _barrier in pieces) < 3_000_000
    assert {b"%d" % mpid for mpid in range(16)} < set(hosting.rows)
    assert (hosting.hosted.count, hosting.hosted.size, hosting.hosted.applied) == (0, 0, 64)


async def test_definitions_come_first_of_all_and_are_durable_before_anything_else(hosting):
    fresh = Hosting(version(1))
    fresh.brings(sent(0, 7, 0, "play"))
    assert fresh.loop._turn(fresh.hosted)
    ((effects, next_offset, barrier),) = fresh.lane.pieces
    assert (list(effects.rows), next_offset, barrier) == (
        [b"~definitions", b"~partition"], None, True,
    )  # fmt: skip
    fresh.lane.busy = True
    assert await fresh.turns() == []
    fresh.lane.busy = False
    assert "add played:7:0:0" in said(await fresh.turns())


async def test_a_switch_waits_for_what_is_on_its_way_and_for_what_is_due(hosting):
    hosting.brings(sent(0, 7, 0, "play"))
    await hosting.turns()
    hosting.brings(sent(1, 8, 4 * DAY))
    hosting.loop._apply(hosting.hosted)
    hosting.source.latest = version(2, RED)
    hosting.lane.busy = True
    assert await hosting.turns() == []
    hosting.lane.busy = False
    pieces = await hosting.turns()
    assert hosting.hosted.processor.rollout.version == "2"
    switch = next(n for n, piece in enumerate(pieces) if b"~definitions" in piece[0].rows)
    assert f"delete played:7:{3 * DAY + 1}:0" in said(pieces[:switch])
    assert said(pieces[switch:]) == []


async def test_records_and_sweeps_take_turns(hosting):
    red = {"user_attributes": {"color": "red"}}
    hosting.brings(*(sent(n, n, 0, "play", **red) for n in range(600)))
    await hosting.turns()
    await hosting.takes_over(version(2, RED))
    hosting.brings(*(sent(600 + n, 1, 1, "buy") for n in range(1_200)))
    for _ in range(2):
        waiting, held = hosting.hosted.processor.rollout.rows_to_migrate(), hosting.hosted.count
        looked_at = hosting.hosted.sweep_rows
        hosting.loop._turn(hosting.hosted)
        assert hosting.hosted.processor.rollout.rows_to_migrate() == waiting - looked_at
        assert hosting.hosted.count == held - 500
    assert sum("red" in one for one in said(await hosting.turns())) > 0


async def test_a_marker_waits_for_the_rows_and_another_version_for_the_marker(hosting):
    red = {"user_attributes": {"color": "red"}}
    hosting.brings(*(sent(n, n, 0, "play", **red) for n in range(600)))
    await hosting.turns()
    await hosting.takes_over(version(2, RED))
    looked_at = hosting.hosted.sweep_rows
    hosting.brings(marker(600, DAY))
    hosting.loop._turn(hosting.hosted)
    assert hosting.hosted.marker == 601
    hosting.source.latest = version(3)
    pieces = await hosting.turns()
    assert hosting.hosted.processor.rollout.version == "3"
    committed = [next_offset for _effects, next_offset, _barrier in pieces]
    switch = next(n for n, piece in enumerate(pieces) if b"~definitions" in piece[0].rows and n)
    assert 601 in committed
    assert sum(one.startswith("add red") for one in said(pieces)) == 600 - looked_at
    assert sum(one.startswith("delete red") for one in said(pieces[switch:])) == 600


async def test_time_is_written_before_a_tick_only_where_outputs_may_show_before_rows(
    hosting,
):
    hosting.brings(sent(0, 7, 0, "play"), sent(1, 8, 1, "buy"))
    await hosting.turns()
    hosting.loop._plan = replace(hosting.loop._plan, clock="wall")
    observed = hosting.loop._app.consumer.observer
    observed.ends["e", 0] = EndSeen(T + 4 * DAY, 1)
    (tick,) = await hosting.turns()
    assert tick[0].memberships
    assert decode_partition(tick[0].rows[META_ROW]).time == T + 4 * DAY
    hosting.lane.is_atomic = False
    observed.ends["e", 0] = EndSeen(T + 31 * DAY, 1)
    mark, *ticks = await hosting.turns()
    assert list(mark[0].rows) == [META_ROW]
    assert decode_partition(mark[0].rows[META_ROW]).time == T + 31 * DAY
    assert [barrier for _effects, _next, barrier in (mark, *ticks)] == [False, True]


async def test_definitions_that_are_newer_than_what_was_read_are_waited_for(hosting):
    hosting.source.latest = version(5, RED)
    await hosting.turns()
    late = Hosting(version(4), dict(hosting.rows))
    late.brings(sent(0, 7, 0, "play"))
    assert await late.turns() == []
    assert late.hosted.count == 1
    late.source.latest = version(5, RED)
    assert "add played:7:0:0" in said(await late.turns())


async def test_definitions_that_do_not_come_are_not_waited_for_for_ever(hosting):
    hosting.source.latest = version(5, RED)
    await hosting.turns()
    late = Hosting(version(4), dict(hosting.rows))
    await late.turns()
    assert late.hosted.behind_since is not None
    late.hosted.behind_since -= 60
    with pytest.raises(ReplacedError, match="under version 5, and the newest there is 4"):
        await late.turns()
    late.source.latest = version(5, RED)
    await late.turns()
    assert late.hosted.behind_since is None


async def test_nobody_goes_back_from_a_version_that_this_release_cannot_use(hosting, caplog):
    hosting.source.latest = version(5, RED)
    await hosting.turns()
    older = Hosting(version(4), dict(hosting.rows))
    older.source.newest = 5
    older.brings(sent(0, 7, 0, "play"))
    for _ in range(2):
        assert await older.turns() == []
        older.hosted.behind_since -= 60
    assert await older.turns() == []
    assert caplog.messages.count("partition_waits_for_definitions") == 2
    # Until others are applied that it can use.
    older.source.latest = version(6, RED)
    assert "add played:7:0:0" in said(await older.turns())
    assert older.hosted.processor.rollout.version == "6"


async def test_a_partition_whose_definitions_are_not_to_be_had_does_nothing_under_others(hosting):
    lost = Hosting(version(2), dict(hosting.rows))
    assert not lost.hosted.processor.rollout.is_available
    lost.source.latest, lost.source.are_lost = version(1), True
    lost.brings(sent(0, 7, 0, "play"))
    assert await lost.turns() == []
    assert lost.hosted.count == 1
    lost.source.are_lost = False
    assert "add played:7:0:0" in said(await lost.turns())


async def test_records_go_on_under_the_old_definitions_while_a_switch_is_prepared(hosting):
    hosting.source.latest = version(2, RED)
    hosting.brings(sent(0, 7, 0, "play", user_attributes={"color": "red"}))
    before = len(hosting.lane.pieces)
    assert hosting.loop._turn(hosting.hosted)
    assert hosting.hosted.preparing is not None
    assert said(hosting.lane.pieces[before:]) == ["add played:7:0:0", "add not-bought:7:0:1"]
    assert hosting.hosted.processor.rollout.version == "1"
    await hosting.hosted.preparing
    assert [one.split(":")[0] for one in said(await hosting.turns())] == ["add red"]
    assert hosting.hosted.processor.rollout.version == "2"


async def test_a_version_that_comes_while_another_is_prepared_is_the_one_taken_over(hosting):
    hosting.brings(sent(0, 7, 0, "play", user_attributes={"color": "red"}))
    await hosting.turns()
    hosting.source.latest = version(2)
    assert not hosting.loop._turn(hosting.hosted)
    hosting.source.latest = version(3, RED)
    before = len(hosting.lane.pieces)
    assert [one.split(":")[0] for one in said(await hosting.turns())] == ["add red"]
    switches = [one for one in hosting.lane.pieces[before:] if one[2]]
    assert len(switches) == 1
    assert hosting.hosted.processor.rollout.version == "3"


async def test_what_a_switch_needs_is_worked_out_once_for_all_partitions():
    made = [Hosting(version(1)) for _ in range(2)]
    latest = version(2, RED, audience("new", did("open", workspace="short"), workspace="short"))
    for one in made:
        await one.turns()
        one.source.latest = latest
        await one.turns()
        assert one.hosted.processor.rollout.version == "2"
    first, second = (one.hosted.processor for one in made)
    assert len(first.rollout.missing) == 1
    assert first._active.engine.plan is second._active.engine.plan
    assert first.rollout.backfill._engine.plan is second.rollout.backfill._engine.plan
