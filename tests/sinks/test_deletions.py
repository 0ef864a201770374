"""Deletions of audiences: once all partitions have come to them, by whoever holds partition 0."""

from __future__ import annotations

from cdp_stream.sinks.deletions import Deletions
from cdp_stream.sinks.memory import Memory
from cdp_stream.sinks.taken import Taken
from tests.sinks.connectors import change
from tests.sinks.topic import memory


def deletion(partition: int, offset: int = 5, number: int = 50) -> Taken:
    what = change(number, mpid=0, action="audience_delete")
    return Taken(what, partition, offset, 0, b"", b"")


class Worker:
    """What one worker's deletions have done."""

    def __init__(self, known: Memory, partitions: int) -> None:
        self.asked: list[Taken] = []
        self.done: list[Taken] = []
        self.deletions = Deletions(known, partitions, act=self.asked.append, done=self.done.append)

    async def advance(self, *come_to: Taken) -> None:
        for item in come_to:
            self.deletions.add(item)
        await self.deletions.advance(lambda _item: True)


async def test_the_partner_is_told_once_every_partition_has_come_to_it() -> None:
    known = memory()
    first, second = Worker(known, 3), Worker(known, 3)
    await first.advance(deletion(0), deletion(1))
    assert first.asked == []
    await second.advance(deletion(2))
    await first.advance()
    assert first.asked == [deletion(0)]
    assert first.deletions.acted([deletion(0)]) == []
    await first.advance()
    await second.advance()
    assert (first.done, second.done) == ([deletion(0), deletion(1)], [deletion(2)])


async def test_one_that_is_paused_while_the_partner_deletes_is_noted_all_the_same() -> None:
    known = memory()
    worker, other = Worker(known, 2), Worker(known, 2)
    await other.advance(deletion(1))
    await worker.advance(deletion(0))
    assert worker.asked == [deletion(0)]
    worker.deletions.drop("a@out")
    assert worker.deletions.acted([deletion(0)]) == []
    await worker.advance()
    await other.advance()
    assert (worker.done, other.done) == ([deletion(0)], [deletion(1)])
    # Read again, it is known as done.
    await worker.advance(deletion(0))
    assert worker.asked == [deletion(0)]
    assert worker.done == [deletion(0)] * 2


async def test_one_that_is_read_again_before_it_is_noted_is_not_done_twice() -> None:
    known = memory()
    worker = Worker(known, 1)
    await worker.advance(deletion(0))
    worker.deletions.drop("a@out")
    worker.deletions.acted([deletion(0)])
    await worker.advance(deletion(0))
    await worker.advance()
    assert (worker.asked, worker.done) == ([deletion(0)], [deletion(0)])


async def test_an_output_that_is_stopped_notes_what_the_partner_has_deleted() -> None:
    known = memory()
    worker = Worker(known, 1)
    await worker.advance(deletion(0))
    worker.deletions.acted([deletion(0)])
    worker.deletions.clear()
    await worker.deletions.note_acted()
    taking_over = Worker(known, 1)
    await taking_over.advance(deletion(0))
    assert (taking_over.asked, taking_over.done) == ([], [deletion(0)])


async def test_what_is_no_deletion_is_left_to_others() -> None:
    worker = Worker(memory(), 1)
    add = Taken(change(1), 0, 1, 0, b"7", b"")
    assert worker.deletions.acted([add]) == [add]
