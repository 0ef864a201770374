"""Changes on their way out: gathered, delivered, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.connector import Batching
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.kafka.delivery import without_value
from cdp_stream.partition.effects import Rejected
from cdp_stream.partition.room import Room
from cdp_stream.sinks.deliveries import Deliveries
from cdp_stream.sinks.destination import Destination
from cdp_stream.sinks.gathering import Gathering
from cdp_stream.sinks.lists import Lists
from cdp_stream.sinks.metrics import OutputMetrics
from cdp_stream.sinks.stopping import AbandonedError, Stopping
from cdp_stream.sinks.taken import Batch, Taken

__all__ = ["Outgoing", "Outlet", "Reports"]

_LEAST_HELD: Final = 2_000
_MOST_HELD: Final = 50_000


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where changes go.

    Attributes:
        destination: Takes batches; opened.
        batching: How changes gather for it.
        lists: Finds or makes lists; None where there are none to be made.
        producer: Writes what the partner will never take.
        rejected: To this topic.
        output: The output's id.
    """

    destination: Destination
    batching: Batching
    lists: Lists | None
    producer: AIOKafkaProducer
    rejected: str
    output: str


@dataclass(frozen=True, slots=True)
class Reports:
    """Who is told what.

    Attributes:
        wanted: Asked, as a change's turn comes, whether its connection goes on.
        confirmed: Changes that the partner has taken, or never will.
        fault: What has to stop, and a change that it was about.
        failed: Kafka took no rejected change: the sink cannot go on.
    """

    wanted: Callable[[str], bool]
    confirmed: Callable[[Collection[Taken]], None]
    fault: Callable[[Fault, OutputChange[Any]], None]
    failed: Callable[[BaseException], None]


class Outgoing:
    """What is on its way to one destination.

    Args:
        outlet: Where to.
        reports: Who is told what comes of it.
        metrics: Where to count.
        room: Memory for what gathers and is on its way, of all outputs of the process.
    """

    def __init__(
        self, outlet: Outlet, reports: Reports, metrics: OutputMetrics, room: Room | None = None
    ) -> None:
        self._room = room if room is not None else Room()
        self._room.join(self)
        self._outlet = outlet
        self._reports = reports
        self._metrics = metrics
        batching, most = outlet.batching, outlet.destination.most
        made = {} if outlet.lists is None else {"list_of": outlet.lists.known}
        self._gathering = Gathering(batching, **made)
        self._deliveries = Deliveries(self._perform, most, per_connection=batching.per_connection)
        self._most_held = min(_MOST_HELD, max(_LEAST_HELD, 2 * batching.count * most))
        self._stoppings: dict[Stopping, frozenset[str]] = {}

    @property
    def has_room(self) -> bool:
        """Whether more may be taken."""
        memory = self._deliveries.memory + self._gathering.memory
        return self._deliveries.held < self._most_held and memory < self._room.share()

    @property
    def next_due(self) -> float | None:
        """When something that has gathered has waited long enough."""
        return self._gathering.next_due

    def add(self, item: Taken, now: float) -> None:
        """Let a change gather, or go if there are enough."""
        self._submit(self._gathering.add(item, now))
        if 2 * self._gathering.memory > self._room.share():
            # It would leave no room, and wait for nothing but its time.
            self._submit(self._gathering.flush_most())

    def add_alone(self, item: Taken) -> None:
        """Let a change go at once and by itself."""
        self._submit([Batch([item])])

    def flush(self, connection: str) -> None:
        """Let what has gathered of a connection, or with others, go."""
        for key in (connection, ""):
            self._submit(self._gathering.flush(key))

    def send_due(self, now: float) -> None:
        """Let go what has waited long enough."""
        self._submit(self._gathering.due(now))

    def stop_connection(self, connection: str) -> list[Taken]:
        """Try nothing of a connection again; returns what had gathered and is forgotten."""
        for stopping, connections in self._stoppings.items():
            if connections == {connection}:
                stopping.set()
        return self._gathering.drop(connection)

    def on_their_way(self, connections: Collection[str]) -> set[str]:
        """Those of these connections of which something is on its way, or waits for its turn."""
        return {
            item.change.connection
            for batch in (self._deliveries.batches if connections else ())
            for item in batch.items
            if item.change.connection in connections
        }

    async def come_to_rest(self, patience_s: float) -> None:
        """Let what is being asked be answered, within reason, and forget the rest.

        `Reports.wanted` has to say no to everything by now.
        """
        for stopping in self._stoppings:
            stopping.set()
        works = [self._deliveries.drain(patience_s)]
        if self._outlet.lists is not None:
            works.append(self._outlet.lists.come_to_rest(patience_s))
        await asyncio.gather(*works)
        self._gathering.clear()

    async def reject(self, items: list[Taken], outcome: Outcome) -> None:
        """Write what the partner will never take to its own topic, with its answer."""
        sent = []
        for place, why in sorted(outcome.rejected.items()):
            item = items[place]
            headers = [
                ("reason", why.encode("utf-8", "replace")),
                ("output", self._outlet.output.encode()),
                ("offset", str(item.offset).encode()),
            ]
            record = item.key, item.value, headers
            sent.append((item.partition, record, await self._send_rejected(item.partition, record)))
        await asyncio.gather(*(self._have_written(*one) for one in sent))

    async def _send_rejected(self, partition: int, record: Rejected) -> Awaitable[Any]:
        key, value, headers = record
        topic = self._outlet.rejected
        sent: Awaitable[Any] = await self._outlet.producer.send(
            topic, value, key=key, partition=partition, headers=headers
        )
        return sent

    async def _have_written(self, partition: int, record: Rejected, sent: Awaitable[Any]) -> None:
        """Wait until a record is written; without its value where the topic takes none so large."""
        try:
            await sent
        except MessageSizeTooLargeError:
            await (await self._send_rejected(partition, without_value(record)))

    def _submit(self, batches: list[Batch]) -> None:
        for batch in batches:
            self._deliveries.submit(batch)

    async def _perform(self, batch: Batch) -> None:
        """Deliver one batch; what is not confirmed at the end waits in the topic."""
        wanted = self._reports.wanted
        items = [item for item in batch.items if wanted(item.change.connection)]
        if not items:
            return
        connections = frozenset(item.change.connection for item in items)
        stopping = Stopping()
        self._stoppings[stopping] = connections
        try:
            outcome = await self._deliver([item.change for item in items], stopping)
            await self.reject(items, outcome)
        except AbandonedError:
            return
        except Fault as fault:
            if fault.scope == "connection" and len(connections) > 1:
                await self._perform_apart(items)
            else:
                self._reports.fault(fault, items[0].change)
            return
        except Exception as error:  # noqa: BLE001 - Kafka took no rejected change
            self._reports.failed(error)
            return
        finally:
            del self._stoppings[stopping]
        self._metrics.delivered(len(items) - len(outcome.rejected), len(outcome.rejected))
        self._reports.confirmed(items)

    async def _perform_apart(self, items: list[Taken]) -> None:
        """Find out whose fault it was: each connection on its own."""
        by_connection: dict[str, list[Taken]] = {}
        for item in items:
            by_connection.setdefault(item.change.connection, []).append(item)
        for part in by_connection.values():
            await self._perform(Batch(part))

    async def _deliver(self, changes: list[OutputChange[Any]], stopping: Stopping) -> Outcome:
        lists = self._outlet.lists
        if lists is not None:
            found: dict[str, str | None] = {}
            for change in changes:
                if change.list_id is None and change.connection not in found:
                    found[change.connection] = await _list_for(change, lists, stopping)
            changes = [
                change if change.list_id else replace(change, list_id=found[change.connection])
                for change in changes
            ]
        return await self._outlet.destination.deliver(changes, stopping)


async def _list_for(change: OutputChange[Any], lists: Lists, stopping: Stopping) -> str | None:
    """The list of a change that names none; None where an audience goes that never had one.

    For a deletion none is made or looked for: one of that name may be somebody's own.
    """
    if change.action == AUDIENCE_DELETE:
        return lists.known(change.connection)
    return await lists.list_for(change, stopping)
