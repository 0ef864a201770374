"""From a change that was read to the partner's answer: batched, dispatched in order, delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Iterable
from dataclasses import replace
from typing import Any, Final, Protocol

from aiokafka.errors import MessageSizeTooLargeError

from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.kafka.commit.record_writer import without_value
from cdp_stream.partition.effects import Rejected
from cdp_stream.sinks.delivery.batching import Batcher
from cdp_stream.sinks.delivery.ordered_dispatch import OrderedDispatch
from cdp_stream.sinks.delivery.partner_lists import PartnerLists
from cdp_stream.sinks.http.cancellation import AbandonedError, Cancellation
from cdp_stream.sinks.offsets.assignment import Assignment
from cdp_stream.sinks.offsets.in_flight import Batch, InFlight
from cdp_stream.sinks.output.context import OutputContext

__all__ = ["Pipeline", "Results"]

_LEAST_IN_FLIGHT: Final = 2_000
_MOST_IN_FLIGHT: Final = 50_000


class Results(Protocol):
    """Receives the outcomes of deliveries."""

    def delivered(self, items: Collection[InFlight]) -> None:
        """The partner has accepted these changes, or never will."""

    def delivery_failed(self, fault: Fault, change: OutputChange[Any]) -> None:
        """A fault ended the delivery of a batch whose first change is given."""


class Pipeline:
    """The changes of one output that are batched or in flight.

    Args:
        lists: Finds or makes the partner's lists; None where the connector makes none.
    """

    def __init__(
        self,
        context: OutputContext,
        assignment: Assignment,
        lists: PartnerLists | None,
        results: Results,
    ) -> None:
        context.sending.join(self)
        self._context = context
        self._assignment = assignment
        self._lists = lists
        self._results = results
        batching, most = context.connector.gathering, context.destination.most
        self._batcher = Batcher(batching, context.state.list_of)
        self._dispatch = OrderedDispatch(
            self._perform, most, per_connection=batching.per_connection
        )
        self._most = min(_MOST_IN_FLIGHT, max(_LEAST_IN_FLIGHT, 2 * batching.count * most))
        self._cancellations: dict[Cancellation, frozenset[str]] = {}

    @property
    def has_capacity(self) -> bool:
        """Whether more may be added."""
        memory = self._dispatch.memory + self._batcher.memory
        return self._dispatch.count < self._most and memory < self._context.sending.share()

    @property
    def next_due(self) -> float | None:
        """When the next batch has waited long enough, on the caller's clock."""
        return self._batcher.next_due

    def add(self, item: InFlight, now: float) -> None:
        """Batch a change, and dispatch what is complete."""
        self._submit(self._batcher.add(item, now))
        if 2 * self._batcher.memory > self._context.sending.share():
            # It would leave no capacity for more, and only wait until it is due.
            self._submit(self._batcher.flush_largest())

    def add_alone(self, item: InFlight) -> None:
        """Dispatch a change by itself."""
        self._submit([Batch([item])])

    def flush(self, connection: str) -> None:
        """Dispatch the batches that have changes of a connection."""
        for key in (connection, ""):
            self._submit(self._batcher.flush(key))

    def send_due(self, now: float) -> None:
        """Dispatch what has waited long enough."""
        self._submit(self._batcher.due(now))

    def stop_connection(self, connection: str) -> None:
        """Cancel the retries of a connection, and forget its batched changes."""
        for cancellation, connections in self._cancellations.items():
            if connections == {connection}:
                cancellation.set()
        self._batcher.drop(connection)

    def in_flight(self, connections: Collection[str]) -> set[str]:
        """Those of these connections that have changes in flight, or waiting behind those."""
        return {
            item.change.connection
            for batch in (self._dispatch.batches if connections else ())
            for item in batch.items
            if item.change.connection in connections
        }

    async def drain(self, timeout_s: float) -> None:
        """Wait a while for requests under way, and forget the rest. The assignment must deliver
        nothing by now.
        """
        for cancellation in self._cancellations:
            cancellation.set()
        works = [self._dispatch.drain(timeout_s)]
        if self._lists is not None:
            works.append(self._lists.drain(timeout_s))
        await asyncio.gather(*works)
        self._batcher.clear()

    async def reject(self, records: Iterable[tuple[int, Any, str]]) -> None:
        """Write records to the topic of changes that the partner will never accept.

        Args:
            records: Of each the partition; itself as aiokafka decoded it, or in flight; the reason.
        """
        sent = []
        for partition, one, why in records:
            headers = [
                ("reason", why.encode("utf-8", "replace")),
                ("output", self._context.output.encode()),
                ("offset", str(one.offset).encode()),
            ]
            record = one.key, one.value or b"", headers
            sent.append((partition, record, await self._send_rejected(partition, record)))
        await asyncio.gather(*(self._have_written(*one) for one in sent))

    async def _send_rejected(self, partition: int, record: Rejected) -> Awaitable[Any]:
        key, value, headers = record
        sent: Awaitable[Any] = await self._context.producer.send(
            self._context.rejected_topic, value, key=key, partition=partition, headers=headers
        )
        return sent

    async def _have_written(self, partition: int, record: Rejected, sent: Awaitable[Any]) -> None:
        """Wait until a record is written; without its value if that is too large for the topic."""
        try:
            await sent
        except MessageSizeTooLargeError:
            await (await self._send_rejected(partition, without_value(record)))

    def _submit(self, batches: list[Batch]) -> None:
        for batch in batches:
            self._dispatch.submit(batch)

    async def _perform(self, batch: Batch) -> None:
        """Deliver one batch; what is not confirmed at the end waits in the topic."""
        delivers = self._assignment.delivers
        items = [item for item in batch.items if delivers(item.change.connection)]
        if not items:
            return
        connections = frozenset(item.change.connection for item in items)
        cancellation = Cancellation()
        self._cancellations[cancellation] = connections
        try:
            outcome = await self._deliver([item.change for item in items], cancellation)
            rejected = [(items[at], why) for at, why in sorted(outcome.rejected.items())]
            await self.reject((item.partition, item, why) for item, why in rejected)
        except AbandonedError:
            return
        except Fault as fault:
            if fault.scope == "connection" and len(connections) > 1:
                await self._perform_apart(items)
            else:
                self._results.delivery_failed(fault, items[0].change)
            return
        except Exception as error:  # noqa: BLE001 - Kafka took no rejected change
            self._context.tasks.fail(error)
            return
        finally:
            del self._cancellations[cancellation]
        self._context.metrics.delivered(len(items) - len(rejected), len(rejected))
        self._results.delivered(items)

    async def _perform_apart(self, items: list[InFlight]) -> None:
        """Deliver each connection separately, to find the one at fault."""
        by_connection: dict[str, list[InFlight]] = {}
        for item in items:
            by_connection.setdefault(item.change.connection, []).append(item)
        for part in by_connection.values():
            await self._perform(Batch(part))

    async def _deliver(
        self, changes: list[OutputChange[Any]], cancellation: Cancellation
    ) -> Outcome:
        if self._lists is not None:
            found: dict[str, str | None] = {}
            for change in changes:
                if change.list_id is None and change.connection not in found:
                    found[change.connection] = await self._list_for(change, cancellation)
            changes = [
                change if change.list_id else replace(change, list_id=found[change.connection])
                for change in changes
            ]
        return await self._context.destination.deliver(changes, cancellation)

    async def _list_for(self, change: OutputChange[Any], cancellation: Cancellation) -> str | None:
        """The list of a change that names none; None where an audience goes that never had one.

        For a deletion none is made or searched for: a list of that name may belong to somebody
        else.
        """
        assert self._lists is not None
        if change.action == AUDIENCE_DELETE:
            return self._context.state.list_of(change.connection)
        return await self._lists.list_for(change, cancellation)
