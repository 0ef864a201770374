"""A backfill beside live records: what it waits for, and what waits for it, with no broker."""

import pytest

from tests.core.accounts import audience, did
from tests.kafka.tasks import Driven, version
from tests.partition.records import ids, sent

OPENED = audience("opened", did("open", workspace="short"), workspace="short")
FEW, MANY = 900, 1_500
"""Profiles whose rows may be written as live records wait, and more."""


def opened(first, count, profiles=FEW):
    return [sent(n, n % profiles, n, "open") for n in range(first, first + count)]


def said(pieces):
    return [one.split(":")[0] for effects, _next, _barrier in pieces for one in ids(effects)]


async def switched(profiles):
    """A partition just after a switch to an audience that needs history."""
    made = Driven(version(1))
    await made.steps()
    made.brings(*opened(0, 3_000, profiles))
    await made.steps()
    await made.switches_to(version(2, OPENED))
    await made.steps()
    made.committer.pieces.clear()
    return made


@pytest.fixture
async def driven():
    return await switched(FEW)


async def read(driven, until):
    for _ in range(1_000):
        if until():
            return
        if not driven.task.read_history():
            await driven.has_prepared()
    raise AssertionError("it never ends")


async def test_history_takes_effect_once_it_is_read_up_to_the_live_position(driven):
    assert len(driven.rollout.missing) == 1
    await read(driven, lambda: not driven.rollout.missing)
    *_, (switch, next_offset, barrier) = driven.committer.pieces
    assert (b"~definitions" in switch.rows, next_offset, barrier) == (True, None, True)
    assert driven.rollout.backfill.position == 2_999
    assert not driven.task.waits_for_history
    assert said(await driven.steps()) == ["add opened"] * FEW


async def test_rows_of_history_are_written_beside_live_records_and_alone_only_at_the_end():
    driven = await switched(MANY)
    backfill = driven.rollout.backfill
    await read(driven, lambda: backfill.position > 2_100)
    assert len(driven.committer.pieces) == 1  # that it has begun
    driven.brings(sent(3_000, 7, 3_000, "play"))
    assert driven.task.step()
    live, history = driven.committer.pieces[1:]
    assert said([live]) == ["add played"]
    assert len(history[0].rows) == 500
    assert history[1:] == (None, False)
    while driven.rollout.missing:
        driven.task.step()
        driven.task.read_history()
        await driven.has_prepared()
    pieces = driven.committer.pieces
    assert [barrier for _effects, _next, barrier in pieces].count(True) == 1
    assert max(len(effects.rows) for effects, _next, _barrier in pieces) <= 1_000


async def test_live_records_wait_for_the_last_of_history_and_not_for_long(driven):
    driven.committer.busy = True  # so that it cannot end
    await read(driven, lambda: driven.task.waits_for_history)
    backfill, clock = driven.rollout.backfill, driven.context.now
    assert backfill.position >= 1_999
    driven.brings(*opened(3_000, 600))
    assert driven.task.is_ready
    driven.task.step()
    assert driven.task.next_offset == 3_000
    clock.now += 5.1
    await read(driven, lambda: not driven.task.waits_for_history)
    driven.task.step()
    assert driven.task.next_offset == 3_500
    driven.task.step()
    # It is not made to wait again at once.
    driven.committer.busy = False
    for _ in range(20):
        driven.task.read_history()
        assert not driven.task.waits_for_history
    clock.now += 10.1
    await read(driven, lambda: not driven.rollout.missing)
    assert driven.rollout.backfill.position == driven.task.next_offset - 1


async def test_a_backfill_waits_for_a_switch_to_other_definitions(driven):
    driven.source.latest = version(3)
    assert not driven.task.read_history()
    while await driven.has_prepared():
        assert not driven.task.read_history()
    assert driven.task.step()
    assert (driven.rollout.version, driven.rollout.backfill) == ("3", None)


async def test_nothing_is_read_once_the_committer_has_failed(driven):
    driven.committer.failed = True
    assert not driven.task.read_history()
    await driven.task.close()
