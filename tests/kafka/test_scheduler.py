"""Which task takes the next step: live records come before history, with no broker."""

import asyncio
import itertools

import pytest

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.runtime.scheduler import Scheduler
from cdp_stream.store.rows import MemoryRows
from tests.kafka.tasks import Context

STEPS_OF_A_REQUEST = 8


class Loop:
    """Steps of the event loop, and what tasks did at which."""

    def __init__(self):
        self.done = []
        self.steps = 0

    def note(self, what, number):
        self.done.append((what, number, self.steps))

    async def count_steps(self):
        while True:
            self.steps += 1
            await asyncio.sleep(0)


class Task:
    """A task with slices of live records to apply, and history to be read at any time."""

    def __init__(self, number, loop):
        self.number = number
        self.loop = loop
        self.slices = 0
        self.is_busy = self.waits_for_history = False
        self.failure = None

    @property
    def is_ready(self):
        return not self.is_busy

    @property
    def is_behind(self):
        return self.slices > 1

    def step(self):
        if not self.slices:
            return False
        self.slices -= 1
        self.loop.note("live", self.number)
        return True

    def read_history(self):
        self.loop.note("read", self.number)
        return True

    def check_committer(self):
        if self.failure:
            raise self.failure

    def sample(self):
        self.loop.note("sample", self.number)


class Rounds:
    """The rounds of two tasks."""

    def __init__(self):
        self.loop = Loop()
        self.context = Context(MemoryRows())
        self.tasks = {number: Task(number, self.loop) for number in range(2)}
        self.scheduler = Scheduler(self.tasks, self.context)
        self.scheduler.resume()

    async def take(self, count):
        """So many rounds; returns what was done in them, in order."""
        counting = asyncio.create_task(self.loop.count_steps())
        await asyncio.sleep(0)
        before = len(self.loop.done)
        for _ in range(count):
            assert await self.scheduler.round()
        counting.cancel()
        return self.loop.done[before:]


def in_order(done):
    return [(what, number) for what, number, _step in done]


@pytest.fixture
async def rounds():
    return Rounds()


async def test_between_two_slices_of_history_a_request_of_a_transaction_gets_through(rounds):
    for task in rounds.tasks.values():
        task.is_busy = True
    reads = await rounds.take(6)
    assert in_order(reads) == [("read", 0), ("read", 1)] * 3
    steps = [step for _what, _number, step in reads]
    between = [later - step for step, later in itertools.pairwise(steps)]
    assert min(between) >= STEPS_OF_A_REQUEST


async def test_live_records_of_every_partition_go_before_history(rounds):
    for turn in range(3):
        for task in rounds.tasks.values():
            task.slices = 1
        assert in_order(await rounds.take(1)) == [("live", 0), ("live", 1), ("read", turn % 2)]


async def test_whoever_is_behind_the_last_that_stepped_is_the_first_of_the_next_round(rounds):
    first, second = rounds.tasks.values()
    first.slices = 2
    second.is_busy = True
    assert in_order(await rounds.take(1))[0] == ("live", 0)
    second.is_busy, second.slices = False, 1
    assert [one for one in in_order(await rounds.take(1)) if one[0] == "live"] == [
        ("live", 1), ("live", 0),
    ]  # fmt: skip


async def test_tasks_that_are_behind_alternate_with_history_slice_by_slice(rounds):
    for task in rounds.tasks.values():
        task.slices = 3
    done = in_order(await rounds.take(2))
    assert done.count(("live", 0)) == done.count(("live", 1)) == 2
    behind = [one for before, one in itertools.pairwise(done) if before[0] == "live"]
    assert {what for what, _number in behind} == {"read"}


async def test_of_partitions_whose_live_records_wait_history_is_read_alone_and_at_once(rounds):
    for task in rounds.tasks.values():
        task.is_busy = True
    rounds.tasks[1].waits_for_history = True
    done = await rounds.take(4)
    assert in_order(done) == [("read", 1)] * 4
    assert done[-1][2] - done[0][2] < STEPS_OF_A_REQUEST


async def test_no_step_is_taken_in_a_pause_or_without_the_lease_of_the_group(rounds):
    for task in rounds.tasks.values():
        task.slices = 1
    rounds.scheduler.pause()
    assert not await rounds.scheduler.round()
    rounds.scheduler.resume()
    rounds.context.app.holds_lease = False
    assert not await rounds.scheduler.round()
    assert rounds.loop.done == []


async def test_a_failure_to_commit_ends_the_loop_also_in_a_pause(rounds):
    rounds.scheduler.pause()
    running = asyncio.create_task(rounds.scheduler.run())
    await asyncio.sleep(0)
    rounds.tasks[1].failure = BrokerError("refused", "look")
    rounds.context.work.set()
    with pytest.raises(BrokerError, match="refused"):
        async with asyncio.timeout(5):
            await running
    assert {what for what, _number in in_order(rounds.loop.done)} <= {"sample"}


async def test_tasks_are_sampled_once_a_second(rounds):
    rounds.scheduler.pause()
    running = asyncio.create_task(rounds.scheduler.run())
    for _ in range(3):
        rounds.context.work.set()
        await asyncio.sleep(0)
    rounds.context.now.now += 1
    while in_order(rounds.loop.done).count(("sample", 1)) < 2:
        rounds.context.work.set()
        await asyncio.sleep(0)
    assert in_order(rounds.loop.done) == [("sample", 0), ("sample", 1)] * 2
    running.cancel()
