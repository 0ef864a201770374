"""Pieces become batches in their order; what is on its way is bounded by the bytes of all
partitions of the worker, not by pieces.
"""

import asyncio

from cdp_stream.kafka.commit.committer import MAX_WAITING, Committer
from cdp_stream.partition.effects import Effects
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.store.rows import MemoryRows


class Writer:
    """Makes a batch durable when the test lets it; refuses one that moves no position."""

    is_atomic = True

    def __init__(self):
        self.written = []
        self.may_end = asyncio.Event()

    async def write(self, effects, next_offset):
        await self.may_end.wait()
        if next_offset is None:
            raise RuntimeError("refused")
        self.written.append(next_offset)
        return -1

    async def settle(self):
        pass

    async def abort(self):
        pass

    async def close(self):
        pass


def committer(budget, progressed=lambda: None):
    writer = Writer()
    return writer, Committer(writer, MemoryRows(), 0, budget=budget, progressed=progressed)


def piece(size):
    return Effects(rows={b"row": b"x" * size}, outputs=[("o", b"k", b"y" * size)])


async def test_rows_are_in_the_store_at_once():
    store = MemoryRows()
    made = Committer(Writer(), store, 3, budget=MemoryBudget(1_000), progressed=lambda: None)
    made.commit(Effects(rows={b"row": b"1"}), 1)
    assert store.rows(3) == {b"row": b"1"}
    await made.close()


async def test_what_comes_while_a_batch_is_written_is_the_next_and_a_barrier_is_alone():
    writer, made = committer(MemoryBudget(1_000))
    made.commit(piece(1), 1)
    await asyncio.sleep(0)  # it is being written
    for next_offset, barrier in ((2, False), (3, False), (4, True), (5, False)):
        assert made.is_ready
        made.commit(piece(1), next_offset, barrier=barrier)
    assert (made.is_ready, MAX_WAITING) == (False, 4)
    writer.may_end.set()
    await made.drain()
    assert (writer.written, made.is_idle) == ([1, 3, 4, 5], True)


async def test_one_large_piece_stops_every_partition_until_it_is_committed():
    budget = MemoryBudget(1_000)
    first, other = committer(budget), committer(budget)
    first[1].commit(piece(499), 1)
    assert (budget.used, other[1].is_ready) == (998, True)
    other[1].commit(piece(499), 1)
    assert (first[1].is_ready, other[1].is_ready) == (False, False)
    assert first[0].written == []
    other[0].may_end.set()
    await other[1].drain()
    assert (budget.used, first[1].is_ready, first[1].is_idle) == (998, True, False)
    first[0].may_end.set()
    await first[1].drain()
    assert (budget.used, first[0].written) == (0, [1])


def test_nothing_more_may_be_committed_while_others_take_all_the_memory():
    budget = MemoryBudget(1_000)
    _, made = committer(budget)
    budget.reserve(999)
    assert made.is_ready
    budget.reserve(1)
    assert not made.is_ready
    budget.release(1)
    assert made.is_ready


async def test_what_failed_or_was_given_up_takes_no_memory():
    budget = MemoryBudget(1_000)
    writer, failing = committer(budget)
    failing.commit(piece(499), None)
    await asyncio.sleep(0)
    failing.commit(piece(499), 2)
    writer.may_end.set()
    await failing.drain()
    assert (budget.used, failing.failed, failing.is_ready) == (0, True, False)
    assert str(failing.failure) == "refused"
    _, closed = committer(budget)
    closed.commit(piece(499), 1)
    await asyncio.sleep(0)
    closed.commit(piece(499), 2)
    await closed.close()
    assert (budget.used, closed.failure, closed.failed) == (0, None, True)


async def test_a_piece_that_comes_as_the_last_ends_is_written_too():
    budget = MemoryBudget(1_000)
    came = []
    writer, made = committer(budget)
    writer.may_end.set()
    write = writer.write

    def commit_another():
        # Called as the last batch has ended, before anybody has noticed that it has.
        if writer.written == [1] and not came:
            came.append(made.commit(piece(1), 2))

    async def write_and_go_on(effects, next_offset):
        reached = await write(effects, next_offset)
        asyncio.get_running_loop().call_soon(commit_another)
        return reached

    writer.write = write_and_go_on
    made.commit(piece(1), 1)
    await made.drain()
    assert (came, writer.written, budget.used, made.is_idle) == ([None], [1, 2], 0, True)
