"""Deletions of audiences: once all partitions have come to them, by whoever holds partition 0."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cdp_stream.connectors.exchange import Fault
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.output.audience_deletions import PATIENCE_S, AudienceDeletions
from cdp_stream.sinks.state.sink_state import SinkState
from tests.sinks.connectors import change
from tests.sinks.without_kafka import sink_state


def deletion(partition: int, offset: int = 5, number: int = 50) -> InFlight:
    what = change(number, mpid=0, action="audience_delete")
    return InFlight(what, partition, offset, b"", b"")


class Worker:
    """What one worker's deletions have done.

    Attributes:
        ends: of each partition: below which all is delivered, and where it ends.
    """

    def __init__(self, known: SinkState, partitions: int) -> None:
        self.ends = dict.fromkeys(range(partitions), (9, 9))
        self.faults: list[str] = []
        self.asked: list[InFlight] = []
        self.done: list[InFlight] = []
        self.deletions = AudienceDeletions(
            known, partitions, send=self.asked.append, over=self.done.append
        )

    async def advance(self, *come_to: InFlight) -> None:
        for item in come_to:
            self.deletions.add(item)
        await self.deletions.advance(lambda _item: True)

    async def look(self, now: float) -> None:
        async def reached(
            connection: str, numbers: Collection[int]
        ) -> Mapping[int, tuple[int, int]]:
            assert connection == "a@out"
            return {number: self.ends[number] for number in numbers if number in self.ends}

        def fault(what: Fault, connection: str) -> None:
            assert what.scope == "connection"
            self.faults.append(what.message)
            self.deletions.drop(connection)

        await self.deletions.look(now, reached, fault)


async def test_a_deletion_is_sent_once_every_partition_has_reached_it() -> None:
    known = sink_state()
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
    known = sink_state()
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
    known = sink_state()
    worker = Worker(known, 1)
    await worker.advance(deletion(0))
    worker.deletions.drop("a@out")
    worker.deletions.acted([deletion(0)])
    await worker.advance(deletion(0))
    await worker.advance()
    assert (worker.asked, worker.done) == ([deletion(0)], [deletion(0)])


async def test_an_output_that_is_stopped_notes_what_the_partner_has_deleted() -> None:
    known = sink_state()
    worker = Worker(known, 1)
    await worker.advance(deletion(0))
    worker.deletions.acted([deletion(0)])
    worker.deletions.clear()
    await worker.deletions.note_acted()
    taking_over = Worker(known, 1)
    await taking_over.advance(deletion(0))
    assert (taking_over.asked, taking_over.done) == ([], [deletion(0)])


async def test_what_is_no_deletion_is_left_to_others() -> None:
    worker = Worker(sink_state(), 1)
    add = InFlight(change(1), 0, 1, b"7", b"")
    assert worker.deletions.acted([add]) == [add]


async def test_one_that_a_partition_lacks_is_a_fault_and_done_without_it_when_resumed() -> None:
    known = sink_state()
    worker, other = Worker(known, 3), Worker(known, 3)
    await other.advance(deletion(2))
    await worker.advance(deletion(0))
    for now in (0.0, PATIENCE_S - 1):
        await worker.look(now)
        await other.look(now)
    assert worker.faults == []
    await worker.look(PATIENCE_S)
    (told,) = worker.faults
    assert told.startswith("audience a was deleted, but partition 1 of the output's topic did not")
    # The other stops as it is told of the fault; resumed, both come to it again.
    other.deletions.drop("a@out")
    await other.advance(deletion(2))
    assert worker.asked == []
    await worker.advance(deletion(0))
    assert worker.asked == [deletion(0)]
    worker.deletions.acted([deletion(0)])
    await worker.advance()
    await other.advance()
    assert (worker.done, other.done) == ([deletion(0)], [deletion(2)])
    # The next waits for all again.
    await other.advance(deletion(2, 7))
    await worker.advance(deletion(0, 7))
    assert worker.asked == [deletion(0)]
    await other.advance(deletion(1, 6))
    await worker.advance()
    assert worker.asked == [deletion(0), deletion(0, 7)]


async def test_one_that_partition_0_lacks_is_passed_over_when_resumed() -> None:
    known = sink_state()
    holder, other = Worker(known, 2), Worker(known, 2)
    await other.advance(deletion(1))
    await other.look(0.0)
    await other.look(PATIENCE_S)
    (told,) = other.faults
    assert "partition 0 of the output's topic" in told
    assert "the partner is not asked" in told
    await other.advance(deletion(1))
    await other.advance()
    assert other.done == [deletion(1)]
    # Read again after a crash it is passed over too,
    again = Worker(known, 2)
    await again.advance(deletion(1))
    assert again.done == [deletion(1)]
    # and is none that the next of partition 0 could do with.
    await holder.advance(deletion(0, 7))
    assert holder.asked == []
    await again.advance(deletion(1, 9))
    await holder.advance()
    assert holder.asked == [deletion(0, 7)]


async def test_a_partition_that_is_still_busy_lacks_nothing() -> None:
    known = sink_state()
    worker = Worker(known, 2)
    await worker.advance(deletion(0))
    worker.ends[1] = (3, 9)
    await worker.look(0.0)
    worker.ends[1] = (8, 20)
    await worker.look(9 * PATIENCE_S)
    assert worker.faults == []
    del worker.ends[1]  # Kafka cannot be asked
    await worker.look(9 * PATIENCE_S)
    assert worker.faults == []
    worker.ends[1] = (9, 30)
    await worker.look(9 * PATIENCE_S)
    assert len(worker.faults) == 1


async def test_one_that_comes_in_time_is_no_fault() -> None:
    known = sink_state()
    worker = Worker(known, 2)
    await worker.advance(deletion(0))
    await worker.look(0.0)
    await worker.advance(deletion(1, 9))
    await worker.advance()
    assert worker.asked == [deletion(0)]
    await worker.look(PATIENCE_S)
    assert worker.faults == []
