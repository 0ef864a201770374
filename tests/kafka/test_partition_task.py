"""What one partition does in its steps, and what waits for what, with no broker."""

from types import SimpleNamespace

import pytest

from cdp_stream.errors import BrokerError
from cdp_stream.formats.rows import decode_partition
from cdp_stream.kafka.aiokafka_patches.fetch_observer import EndSeen
from cdp_stream.kafka.clients.chunk import Chunk
from cdp_stream.kafka.commit.partition_producer import FencedError
from cdp_stream.kafka.recovery.replaced_topics import ReplacedError
from cdp_stream.partition.effects import META_ROW
from tests.core.accounts import DAY, audience, did
from tests.kafka.tasks import RED, Driven, version
from tests.partition.filling import filling
from tests.partition.records import T, ids, marker, sent

IN_RED = {"user_attributes": {"color": "red"}}


def said(pieces):
    return [one for effects, _next, _barrier in pieces for one in ids(effects)]


def committed(pieces):
    return [next_offset for _effects, next_offset, _barrier in pieces]


@pytest.fixture
async def driven():
    made = Driven(version(1))
    await made.steps()
    return made


async def test_a_slice_that_makes_much_is_delivered_in_parts_and_the_position_follows(driven):
    records = [record for mpid in range(16) for record in filling(4 * mpid, mpid)]
    driven.brings(*records, marker(64, DAY))
    pieces = await driven.steps()
    offsets = [offset for offset in committed(pieces) if offset is not None]
    assert len(offsets) > 4
    assert (offsets, offsets[-2:]) == (sorted(offsets), [64, 65])
    assert max(effects.size for effects, _next, _barrier in pieces) < 3_000_000
    assert {b"%d" % mpid for mpid in range(16)} < set(driven.rows)
    queue = driven.task.queue
    assert (queue.count, queue.size, driven.task.next_offset) == (0, 0, 65)


async def test_slices_are_larger_while_many_records_wait(driven):
    driven.brings(*(sent(n, 7, n, "play") for n in range(7_000)))
    offsets = committed(await driven.steps())
    assert offsets == [1_000, 2_000, *range(2_500, 7_001, 500)]


async def test_slices_are_larger_while_fetching_is_paused():
    driven = Driven(version(1), memory=32)
    await driven.steps()
    share = driven.context.waiting.share()
    driven.brings(*(sent(n, 7, n, "play", text="x" * 1_000) for n in range(share // 1_000)))
    driven.task.step()
    assert driven.task.next_offset == 1_000


async def test_records_of_an_older_seek_and_those_after_a_release_are_dropped(driven):
    driven.brings(sent(0, 7, 0, "play"))
    driven.task.queue.clear()
    driven.brings(sent(0, 7, 0, "play"))
    assert driven.task.queue.count == 0
    driven.task.begin_epoch(3)
    driven.brings(sent(0, 7, 0, "play"))
    driven.task.accept(Chunk([sent(0, 8, 0, "play")], 3))
    assert [one for one in said(await driven.steps()) if one.startswith("add played")] == [
        "add played:8:0:0"
    ]


async def test_fetching_is_paused_while_too_much_waits():
    driven = Driven(version(1), memory=32)
    await driven.steps()
    share, consumer = driven.context.waiting.share(), driven.context.app.consumer
    driven.brings(*(sent(n, n, 0, "play", text="x" * 1_000) for n in range(share // 1_000)))
    assert consumer.paused == {("cdp.events", 0)}
    assert driven.task.step()
    assert consumer.paused == {("cdp.events", 0)}
    await driven.steps()
    assert consumer.paused == set()


async def test_nothing_is_done_at_a_position_that_the_broker_does_not_have(driven):
    driven.brings(sent(0, 7, 0, "play"))
    await driven.steps()
    driven.observer.out_of_range["cdp.events", 0] = 1
    driven.brings(sent(1, 8, 0, "play"))
    assert await driven.steps() == []
    assert driven.task.is_position_doubted
    assert driven.context.position_doubted.is_set()
    assert driven.task.queue.count == 0


async def test_the_offset_of_a_marker_is_committed_again_where_its_commit_was_lost(driven):
    driven.brings(sent(0, 7, 0, "play"), marker(1, DAY))
    assert [offset for offset in committed(await driven.steps()) if offset] == [1, 2]
    again = Driven(version(1), dict(driven.rows))
    again.task.begin_epoch(0, committed=1)
    assert committed(await again.steps()) == [2]
    whole = Driven(version(1), dict(driven.rows))
    whole.task.begin_epoch(0, committed=2)
    assert committed(await whole.steps()) == []


async def test_definitions_come_first_of_all_and_are_durable_before_anything_else():
    fresh = Driven(version(1))
    fresh.brings(sent(0, 7, 0, "play"))
    assert fresh.task.step()
    ((effects, next_offset, barrier),) = fresh.committer.pieces
    assert (list(effects.rows), next_offset, barrier) == (
        [b"~definitions", b"~partition"], None, True,
    )  # fmt: skip
    fresh.committer.busy = True
    assert await fresh.steps() == []
    fresh.committer.busy = False
    assert "add played:7:0:0" in said(await fresh.steps())


async def test_a_switch_waits_for_what_is_in_flight_and_for_what_is_due(driven):
    driven.brings(*(sent(n, n, 0, "play") for n in range(600)))
    await driven.steps()
    driven.brings(sent(600, 1_000, 4 * DAY))
    assert driven.task.step()
    driven.source.latest = version(2, RED)
    driven.committer.busy = True
    assert not driven.task.read_history()
    while await driven.has_prepared():
        assert not driven.task.read_history()
    assert await driven.steps() == []
    driven.committer.busy = False
    pieces = await driven.steps()
    assert driven.rollout.version == "2"
    switch = next(n for n, piece in enumerate(pieces) if b"~definitions" in piece[0].rows)
    assert len([one for one in said(pieces[:switch]) if one.startswith("delete played")]) == 100
    assert said(pieces[switch:]) == []


async def test_records_and_sweeps_take_turns(driven):
    driven.brings(*(sent(n, n, 0, "play", **IN_RED) for n in range(600)))
    await driven.steps()
    await driven.switches_to(version(2, RED))
    driven.brings(*(sent(600 + n, 1, 1, "buy") for n in range(1_200)))
    for _ in range(2):
        waiting, queued = driven.rollout.rows_to_migrate(), driven.task.queue.count
        assert driven.task.step()
        assert driven.rollout.rows_to_migrate() < waiting
        assert driven.task.queue.count == queued - 500
    assert sum("red" in one for one in said(await driven.steps())) > 0


async def test_a_marker_waits_for_the_rows_and_another_version_for_the_marker(driven):
    driven.brings(*(sent(n, n, 0, "play", **IN_RED) for n in range(600)))
    await driven.steps()
    await driven.switches_to(version(2, RED))
    driven.brings(marker(600, DAY))
    waiting, before = driven.rollout.rows_to_migrate(), len(driven.committer.pieces)
    assert driven.task.step()
    assert 0 < driven.rollout.rows_to_migrate() < waiting
    # All but the marker itself.
    assert committed(driven.committer.pieces[before:]) == [600, None]
    driven.source.latest = version(3)
    await driven.steps()
    pieces = driven.committer.pieces[before:]
    assert driven.rollout.version == "3"
    switch = next(n for n, piece in enumerate(pieces) if b"~definitions" in piece[0].rows and n)
    assert 601 in committed(pieces)
    assert sum(one.startswith("add red") for one in said(pieces)) == 600
    assert sum(one.startswith("add red") for one in said(pieces[: pieces.index(next(
        piece for piece in pieces if piece[1] == 601))])) == 600  # fmt: skip
    assert sum(one.startswith("delete red") for one in said(pieces[switch:])) == 600


async def test_time_is_written_before_a_tick_only_where_outputs_may_show_before_rows():
    driven = Driven(version(1), clock="wall")
    driven.brings(sent(0, 7, 0, "play"), sent(1, 8, 1, "buy"))
    await driven.steps()
    ends = driven.observer.ends
    ends["cdp.events", 0] = EndSeen(T + 4 * DAY, 1)
    (tick,) = await driven.steps()
    assert tick[0].memberships
    assert decode_partition(tick[0].rows[META_ROW]).time == T + 4 * DAY
    driven.committer.is_atomic = False
    ends["cdp.events", 0] = EndSeen(T + 31 * DAY, 1)
    mark, *ticks = await driven.steps()
    assert list(mark[0].rows) == [META_ROW]
    assert decode_partition(mark[0].rows[META_ROW]).time == T + 31 * DAY
    assert [barrier for _effects, _next, barrier in (mark, *ticks)] == [False, True]


async def test_definitions_that_are_newer_than_what_was_read_are_waited_for(driven):
    driven.source.latest = version(5, RED)
    await driven.steps()
    late = Driven(version(4), dict(driven.rows))
    late.brings(sent(0, 7, 0, "play"))
    assert await late.steps() == []
    assert late.task.queue.count == 1
    late.source.latest = version(5, RED)
    assert "add played:7:0:0" in said(await late.steps())


async def test_definitions_that_do_not_come_are_not_waited_for_for_ever(driven):
    driven.source.latest = version(5, RED)
    await driven.steps()
    late = Driven(version(4), dict(driven.rows))
    await late.steps()
    late.context.now.now += 60
    with pytest.raises(ReplacedError, match="under version 5, and the newest there is 4"):
        await late.steps()
    late.source.latest = version(5, RED)
    await late.steps()
    # Whatever comes later is waited for anew.
    late.source.latest = version(4)
    assert await late.steps() == []


async def test_nobody_goes_back_from_a_version_that_this_release_cannot_use(driven, caplog):
    driven.source.latest = version(5, RED)
    await driven.steps()
    older = Driven(version(4), dict(driven.rows))
    older.source.newest = 5
    older.brings(sent(0, 7, 0, "play"))
    for _ in range(2):
        assert await older.steps() == []
        older.context.now.now += 60
    assert await older.steps() == []
    assert caplog.messages.count("partition_waiting_for_definitions") == 2
    # Until others are applied that it can use.
    older.source.latest = version(6, RED)
    assert "add played:7:0:0" in said(await older.steps())
    assert older.rollout.version == "6"


async def test_a_partition_whose_definitions_are_not_to_be_had_does_nothing_under_others(driven):
    lost = Driven(version(2), dict(driven.rows))
    assert not lost.rollout.is_available
    lost.source.latest, lost.source.are_lost = version(1), True
    lost.brings(sent(0, 7, 0, "play"))
    assert await lost.steps() == []
    assert lost.task.queue.count == 1
    lost.source.are_lost = False
    assert "add played:7:0:0" in said(await lost.steps())


async def test_records_go_on_under_the_old_definitions_while_a_switch_is_prepared(driven):
    driven.source.latest = version(2, RED)
    driven.brings(sent(0, 7, 0, "play", **IN_RED))
    before = len(driven.committer.pieces)
    assert driven.task.step()
    assert said(driven.committer.pieces[before:]) == ["add played:7:0:0", "add not-bought:7:0:1"]
    assert driven.rollout.version == "1"
    assert await driven.has_prepared()
    assert [one.split(":")[0] for one in said(await driven.steps())] == ["add red"]
    assert driven.rollout.version == "2"


async def test_a_version_that_comes_while_another_is_prepared_is_the_one_taken_up(driven):
    driven.brings(sent(0, 7, 0, "play", **IN_RED))
    await driven.steps()
    driven.source.latest = version(2)
    assert not driven.task.step()
    driven.source.latest = version(3, RED)
    before = len(driven.committer.pieces)
    assert [one.split(":")[0] for one in said(await driven.steps())] == ["add red"]
    switches = [one for one in driven.committer.pieces[before:] if one[2]]
    assert len(switches) == 1
    assert driven.rollout.version == "3"


async def test_what_goes_wrong_while_a_switch_is_prepared_ends_the_work(driven):
    driven.source.latest = SimpleNamespace(version="2")  # none at all
    with pytest.raises(AttributeError):
        await driven.steps()


async def test_what_a_switch_needs_is_worked_out_once_for_all_partitions():
    made = [Driven(version(1)) for _ in range(2)]
    latest = version(2, RED, audience("new", did("open", workspace="short"), workspace="short"))
    for one in made:
        await one.steps()
        one.source.latest = latest
        await one.steps()
        assert one.rollout.version == "2"
    first, second = (one.rollout for one in made)
    assert len(first.missing) == 1
    # One plan serves both, and one plan of the history.
    assert first.pending is second.pending
    assert first.backfill.slots == second.backfill.slots == first.missing
    assert latest.history_of(first.missing) is latest.history_of(second.missing)


async def test_a_failure_to_commit_ends_the_work_and_a_lost_partition_only_when_it_lasts(
    driven, caplog
):
    driven.task.check_committer()
    driven.committer.failure = FencedError("another worker has it")
    for _ in range(2):
        driven.task.check_committer()
        driven.context.now.now += driven.context.settings.session_timeout
    assert caplog.messages.count("partition_lost") == 1
    driven.context.now.now += 1
    with pytest.raises(BrokerError, match="partition 0 was lost to another worker"):
        driven.task.check_committer()
    driven.committer.failure = BrokerError("no", "look")
    with pytest.raises(BrokerError, match="no"):
        driven.task.check_committer()
