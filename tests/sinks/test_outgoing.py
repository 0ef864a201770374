"""How much an output takes at a time: what its changes take in memory, not how many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching
from cdp_stream.connectors.exchange import Outcome
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.sinks.metrics import SinkMetrics
from cdp_stream.sinks.outgoing import Outgoing, Outlet, Reports
from cdp_stream.sinks.stopping import Stopping
from cdp_stream.sinks.taken import Taken
from tests.sinks.connectors import change


class Partner:
    """Takes a batch as soon as it may."""

    most = 4

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.taken: list[int] = []

    async def deliver(self, changes: Sequence[OutputChange[Any]], stopping: Stopping) -> Outcome:
        await self.may.wait()
        self.taken.append(len(changes))
        return Outcome()


def item(number: int, size: int) -> Taken:
    return Taken(change(number), 0, number, 0, b"7", b"x" * size)


def never(*_told: Any) -> None:
    raise AssertionError


async def until_idle(outgoing: Outgoing) -> None:
    async with asyncio.timeout(5):
        while outgoing.on_their_way({"a@out"}):  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0)


async def test_few_large_changes_leave_no_room_until_the_partner_has_taken_them() -> None:
    partner, room, confirmed = Partner(), MemoryBudget(4_000_000), list[int]()

    def confirm(items: Collection[Taken]) -> None:
        confirmed.extend(one.offset for one in items)

    outgoing = Outgoing(
        Outlet(partner, Batching(count=1_000), None, None, "", "out"),  # type: ignore[arg-type] # nothing is rejected
        Reports(lambda _connection: True, confirm, never, never),
        SinkMetrics().of("out"),
        room,
    )
    outgoing.add(item(1, 100_000), 0.0)
    assert (outgoing.has_room, outgoing.on_their_way({"a@out"})) == (True, set())
    # They would gather for a second, up to a thousand: what takes half of the room goes at once.
    for number in range(2, 12):
        outgoing.add(item(number, 100_000), 0.0)
    assert not outgoing.has_room
    assert outgoing.on_their_way({"a@out"}) == {"a@out"}
    partner.may.set()
    await until_idle(outgoing)
    assert outgoing.has_room
    outgoing.flush("a@out")
    await until_idle(outgoing)
    assert confirmed == list(range(1, 12))
