"""How much an output takes at a time: what its changes take in memory, not how many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching
from cdp_stream.connectors.exchange import Outcome
from cdp_stream.partition.room import Room
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


class Refuses(Partner):
    """Never takes the first of a batch."""

    async def deliver(self, changes: Sequence[OutputChange[Any]], stopping: Stopping) -> Outcome:
        return Outcome({0: "no such user"})


class Topic:
    """Takes records of a thousand bytes at most."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes | None, dict[str, bytes]]] = []

    async def send(
        self, _topic: str, value: bytes | None, *, headers: list[tuple[str, bytes]], **_where: Any
    ) -> asyncio.Future[None]:
        sent = asyncio.get_running_loop().create_future()
        if len(value or b"") > 1_000:
            sent.set_exception(MessageSizeTooLargeError())
        else:
            self.written.append((value, dict(headers)))
            sent.set_result(None)
        return sent


def item(number: int, size: int) -> Taken:
    return Taken(change(number), 0, number, 0, b"7", b"x" * size)


def never(*_told: Any) -> None:
    raise AssertionError


async def until_idle(outgoing: Outgoing) -> None:
    async with asyncio.timeout(5):
        while outgoing.on_their_way({"a@out"}):  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0)


async def test_few_large_changes_leave_no_room_until_the_partner_has_taken_them() -> None:
    partner, room, confirmed = Partner(), Room(4_000_000), list[int]()

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


async def test_a_rejected_change_that_its_topic_does_not_take_is_written_without_its_value() -> (
    None
):
    topic, confirmed = Topic(), list[int]()
    outgoing = Outgoing(
        Outlet(Refuses(), Batching(), None, topic, "rejected", "out"),  # type: ignore[arg-type]
        Reports(
            lambda _connection: True,
            lambda items: confirmed.extend(one.offset for one in items),
            never,
            never,
        ),
        SinkMetrics().of("out"),
    )
    for number, size in ((1, 1_000), (2, 1_001)):
        outgoing.add_alone(item(number, size))
        await until_idle(outgoing)
    assert confirmed == [1, 2]
    (value, headers), (left_out, more) = topic.written
    assert (value, headers["reason"], headers["offset"]) == (b"x" * 1_000, b"no such user", b"1")
    assert (left_out, more["offset"], more["value_bytes"]) == (None, b"2", b"1001")
