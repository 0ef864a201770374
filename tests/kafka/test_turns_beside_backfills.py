"""Whose turn it is while history is read: live records come first, with no broker."""

import asyncio
import itertools
import time
from types import SimpleNamespace

import pytest

from cdp_stream.kafka.aiokafka_patches.fetch_observer import FetchObserver
from cdp_stream.kafka.metrics import Metrics
from cdp_stream.kafka.runtime.record_queue import SLICE, HostedPartition
from cdp_stream.kafka.runtime.scheduler import Turns
from tests.kafka.test_turns import Hosting, Lane, version
from tests.partition.records import sent

STEPS_OF_A_REQUEST = 8


class History:
    """Two partitions' definitions, with history to be read whenever the loop asks for it."""

    def __init__(self):
        self.said = []
        self.held = set()
        self.steps = 0

    def wanted(self, hosted):
        return None

    def holds_records(self, hosted):
        return hosted.number in self.held

    def sweep(self, hosted):
        return False

    def read_history(self, hosted):
        self.said.append(("read", hosted.number, self.steps))
        return True

    def write_history(self, hosted):
        self.said.append(("write", hosted.number, self.steps))
        return True

    async def count_steps(self):
        while True:
            self.steps += 1
            await asyncio.sleep(0)


class Loop:
    """Turns of two partitions, which say in order what was done, and at which step of the loop."""

    def __init__(self, partitions, plan):
        self.history = History()
        self.partitions = partitions
        observer = FetchObserver()
        observer.lease_at = time.monotonic()
        self._turns = Turns(
            SimpleNamespace(consumer=SimpleNamespace(observer=observer)),
            partitions, plan, Metrics(), changes=self.history, submit=self._submit,
            look_again=self._look_again,
        )  # fmt: skip
        self._turns.is_open = True

    async def _look_again(self, hosted):
        raise AssertionError

    def _submit(self, hosted, effects, next_offset, *, barrier=False):
        self.history.said.append(("live", hosted.number, self.history.steps))

    async def rounds(self, count):
        """So many rounds; gives what was done in them."""
        counting = asyncio.create_task(self.history.count_steps())
        await asyncio.sleep(0)
        before = len(self.history.said)
        for _ in range(count):
            assert await self._turns._round()
        counting.cancel()
        return self.history.said[before:]


def done(said):
    return [(what, number) for what, number, _step in said]


@pytest.fixture
async def loop():
    partitions = {}
    for number in range(2):
        made = Hosting(version(1))
        await made.turns()
        hosted = partitions[number] = HostedPartition(
            number, made.hosted.processor, Lane(), made.hosting._plan.waiting
        )
        hosted.fire_to = None
    return Loop(partitions, made.hosting._plan)


def brings(hosted, first, count):
    Hosting.brings(
        SimpleNamespace(hosted=hosted),
        *(sent(first + at, 7, first + at, "play") for at in range(count)),
    )


async def test_between_two_slices_of_history_a_request_of_a_transaction_gets_through(loop):
    for hosted in loop.partitions.values():
        hosted.lane.busy = True
    reads = await loop.rounds(6)
    assert done(reads) == [("read", 0), ("read", 1)] * 3
    steps = [step for _what, _number, step in reads]
    between = [later - step for step, later in itertools.pairwise(steps)]
    assert min(between) >= STEPS_OF_A_REQUEST


async def test_live_records_of_every_partition_go_before_history(loop):
    first, second = loop.partitions.values()
    for offset in range(3):
        brings(first, offset, 1)
        brings(second, offset, 1)
        said = done(await loop.rounds(1))
        live = [("live", 0), ("write", 0), ("live", 1), ("write", 1)]
        assert said == [*live, ("read", offset % 2)]


async def test_history_is_written_with_live_records_or_when_the_lane_is_idle(loop):
    first, second = loop.partitions.values()
    first.lane.busy = True
    brings(first, 0, 1)
    brings(second, 0, 1)
    said = await loop.rounds(1)
    assert done(said) == [("live", 1), ("write", 1), ("read", 0)]
    (_, _, live_at), (_, _, written_at), _ = said
    assert live_at == written_at, "a transaction that began between would not take both"


async def test_those_that_are_behind_take_turns_with_history_slice_by_slice(loop):
    first, second = loop.partitions.values()
    brings(first, 0, 2 * SLICE)
    brings(second, 0, 2 * SLICE)
    said = [one for one in done(await loop.rounds(2)) if one[0] != "write"]
    assert said.count(("live", 0)) == said.count(("live", 1)) == 2
    behind = [one for before, one in itertools.pairwise(said) if before[0] == "live"]
    assert {what for what, _number in behind} == {"read"}


async def test_of_partitions_whose_live_records_wait_history_is_read_alone_and_at_once(loop):
    for hosted in loop.partitions.values():
        hosted.lane.busy = True
    loop.history.held.add(1)
    said = await loop.rounds(4)
    assert done(said) == [("read", 1)] * 4
    assert said[-1][2] - said[0][2] < STEPS_OF_A_REQUEST
