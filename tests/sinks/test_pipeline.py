"""How much an output takes at a time: what its changes take in memory, not how many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.sinks.delivery.pipeline import Pipeline
from cdp_stream.sinks.http.cancellation import Cancellation
from cdp_stream.sinks.offsets.in_flight import InFlight
from tests.sinks.connectors import change
from tests.sinks.without_kafka import assignment, context


class Partner:
    """Takes a batch as soon as it may."""

    most = 4

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.taken: list[int] = []

    async def deliver(
        self, changes: Sequence[OutputChange[Any]], cancellation: Cancellation
    ) -> Outcome:
        await self.may.wait()
        self.taken.append(len(changes))
        return Outcome()


class Refuses(Partner):
    """Never takes the first of a batch."""

    async def deliver(
        self, changes: Sequence[OutputChange[Any]], cancellation: Cancellation
    ) -> Outcome:
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


def item(number: int, size: int) -> InFlight:
    return InFlight(change(number), 0, number, b"7", b"x" * size)


class Results:
    """What came of deliveries: the offsets of what was confirmed, and no fault."""

    def __init__(self) -> None:
        self.confirmed: list[int] = []

    def delivered(self, items: Collection[InFlight]) -> None:
        self.confirmed += [one.offset for one in items]

    def delivery_failed(self, fault: Fault, change: OutputChange[Any]) -> None:
        raise AssertionError(fault)


async def until_idle(pipeline: Pipeline) -> None:
    async with asyncio.timeout(5):
        while pipeline.in_flight({"a@out"}):  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0)


async def test_few_large_changes_fill_the_memory_until_the_partner_has_accepted_them() -> None:
    partner, results = Partner(), Results()
    connector = SimpleNamespace(gathering=Batching(count=1_000))
    of = context(partner, connector=connector, sending=MemoryBudget(4_000_000))
    pipeline = Pipeline(of, await assignment(of), None, results)
    pipeline.add(item(1, 100_000), 0.0)
    assert (pipeline.has_capacity, pipeline.in_flight({"a@out"})) == (True, set())
    # They would gather for a second, up to a thousand: what takes half of the budget goes at once.
    for number in range(2, 12):
        pipeline.add(item(number, 100_000), 0.0)
    assert not pipeline.has_capacity
    assert pipeline.in_flight({"a@out"}) == {"a@out"}
    partner.may.set()
    await until_idle(pipeline)
    assert pipeline.has_capacity
    pipeline.flush("a@out")
    await until_idle(pipeline)
    assert results.confirmed == list(range(1, 12))


async def test_a_rejected_change_that_its_topic_does_not_take_is_written_without_its_value() -> (
    None
):
    topic, results = Topic(), Results()
    of = context(Refuses(), producer=topic)
    pipeline = Pipeline(of, await assignment(of), None, results)
    for number, size in ((1, 1_000), (2, 1_001)):
        pipeline.add_alone(item(number, size))
        await until_idle(pipeline)
    assert results.confirmed == [1, 2]
    (value, headers), (left_out, more) = topic.written
    assert (value, headers["reason"], headers["offset"]) == (b"x" * 1_000, b"no such user", b"1")
    assert (left_out, more["offset"], more["value_bytes"]) == (None, b"2", b"1001")
