"""Which batches run at a time, and which wait for others."""

from __future__ import annotations

import asyncio

from cdp_stream.sinks.delivery.ordered_dispatch import OrderedDispatch
from cdp_stream.sinks.offsets.in_flight import Batch, InFlight
from tests.sinks.connectors import change


def batch(number: int, *mpids: int, connection: str = "a@out") -> Batch:
    return Batch([
        InFlight(change(number, mpid=mpid, connection=connection), 0, number, b"", b"")
        for mpid in mpids
    ])  # fmt: skip


class Recorder:
    """Deliveries that end when a test says so."""

    def __init__(self, most: int = 10, *, per_connection: bool = True) -> None:
        self.begun: list[int] = []
        self.ends: dict[int, asyncio.Event] = {}
        self.dispatch = OrderedDispatch(self.perform, most, per_connection=per_connection)

    async def perform(self, one: Batch) -> None:
        number = one.items[0].offset
        self.begun.append(number)
        await self.ends.setdefault(number, asyncio.Event()).wait()

    async def end(self, number: int) -> None:
        self.ends.setdefault(number, asyncio.Event()).set()
        await self.settle()

    @staticmethod
    async def settle() -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_batches_of_the_same_profile_go_one_after_the_other() -> None:
    recorder = Recorder()
    for number, mpids in enumerate([(1, 2), (3,), (2, 3), (4,), (2,)]):
        recorder.dispatch.submit(batch(number, *mpids))
    await recorder.settle()
    assert recorder.begun == [0, 1, 3]
    await recorder.end(0)
    assert recorder.begun == [0, 1, 3]
    await recorder.end(1)
    assert recorder.begun == [0, 1, 3, 2]
    await recorder.end(2)
    assert recorder.begun == [0, 1, 3, 2, 4]
    assert recorder.dispatch.count == 2
    for number in (3, 4):
        await recorder.end(number)
    assert recorder.dispatch.count == 0


async def test_connections_are_independent_where_they_are_batched_apart() -> None:
    apart, together = Recorder(), Recorder(per_connection=False)
    for recorder in (apart, together):
        recorder.dispatch.submit(batch(0, 1, connection="a@out"))
        recorder.dispatch.submit(batch(1, 1, connection="b@out"))
        await recorder.settle()
    assert apart.begun == [0, 1]
    assert together.begun == [0]
    for recorder in (apart, together):
        await recorder.end(0)
        await recorder.end(1)


async def test_so_many_at_a_time() -> None:
    recorder = Recorder(most=2)
    for number in range(4):
        recorder.dispatch.submit(batch(number, number))
    await recorder.settle()
    assert recorder.begun == [0, 1]
    await recorder.end(1)
    assert recorder.begun == [0, 1, 2]
    for number in (0, 2, 3):
        await recorder.end(number)


async def test_a_delivery_without_an_end_is_cancelled_at_the_time_out() -> None:
    recorder = Recorder()
    recorder.dispatch.submit(batch(0, 1))
    await recorder.dispatch.drain(0.01)
    assert recorder.dispatch.count == 0
    assert not recorder.dispatch.batches
