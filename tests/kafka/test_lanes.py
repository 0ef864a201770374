"""What a lane has on its way is bounded by the bytes of all lanes of the worker, not by pieces."""

import asyncio

from cdp_stream.kafka.commit.at_least_once import AtLeastOnceLane
from cdp_stream.kafka.commit.exactly_once import ExactlyOnceLane
from cdp_stream.kafka.commit.record_writer import OutputTopics
from cdp_stream.partition.effects import Effects
from cdp_stream.partition.memory_budget import MemoryBudget

TOPICS = OutputTopics("m", "s", "r", "c", "o")


class Transactions:
    """Stands where the partition's transactional producer stands: each waits until it may end."""

    def __init__(self):
        self.ended = []
        self.may_end = asyncio.Event()

    async def transact(self, _send, next_offset):
        await self.may_end.wait()
        if next_offset is None:
            raise RuntimeError("refused")
        self.ended.append(next_offset)

    async def settle(self):
        pass

    async def abort(self):
        pass

    async def close(self):
        pass


def lane(budget, freed=lambda: None):
    made = Transactions()
    return made, ExactlyOnceLane(
        made, TOPICS, 0, committed=lambda offset: None, freed=freed,
        confirm=lambda writes, position: None, budget=budget,
    )  # fmt: skip


def piece(size):
    return Effects(rows={b"row": b"x" * size}, outputs=[("o", b"k", b"y" * size)])


async def test_one_large_piece_leaves_no_room_to_any_lane_until_it_is_committed():
    budget = MemoryBudget(1_000)
    first, other = lane(budget), lane(budget)
    first[1].submit(piece(499), 1)
    assert (budget.used, other[1].has_room) == (998, True)
    other[1].submit(piece(499), 1)
    assert (first[1].has_room, other[1].has_room) == (False, False)
    assert first[0].ended == []
    other[0].may_end.set()
    await other[1].drain()
    assert (budget.used, first[1].has_room, first[1].is_idle) == (998, True, False)
    first[0].may_end.set()
    await first[1].drain()
    assert (budget.used, first[0].ended) == (0, [1])


def test_a_lane_at_least_once_has_no_room_while_others_take_it_all():
    budget = MemoryBudget(1_000)
    made = AtLeastOnceLane(
        lambda: None, TOPICS, 0, advance=lambda offset: None,
        freed=lambda: None, confirm=lambda writes, position: None, budget=budget,
    )  # fmt: skip
    budget.reserve(999)
    assert made.has_room
    budget.reserve(1)
    assert not made.has_room
    budget.release(1)
    assert made.has_room


async def test_what_failed_or_was_given_up_takes_no_room():
    budget = MemoryBudget(1_000)
    transactions, failing = lane(budget)
    failing.submit(piece(499), None)
    await asyncio.sleep(0)
    failing.submit(piece(499), 2)
    transactions.may_end.set()
    await failing.drain()
    assert (budget.used, failing.failed, failing.has_room) == (0, True, False)
    _, closed = lane(budget)
    closed.submit(piece(499), 1)
    await asyncio.sleep(0)
    closed.submit(piece(499), 2)
    await closed.close()
    assert budget.used == 0


async def test_a_piece_that_comes_as_the_last_ends_is_delivered_too():
    budget = MemoryBudget(1_000)
    came = []

    def freed():
        # Called as the last transaction has ended, before anybody has noticed that it has.
        if transactions.ended == [1] and not came:
            came.append(made.submit(piece(1), 2))

    transactions, made = lane(budget)
    transactions.may_end.set()
    original = transactions.transact

    async def transact(send, next_offset):
        await original(send, next_offset)
        asyncio.get_running_loop().call_soon(freed)

    transactions.transact = transact
    made.submit(piece(1), 1)
    await made.drain()
    assert (came, transactions.ended, budget.used, made.is_idle) == ([None], [1, 2], 0, True)
