"""Taking records of an output's topic, a slice at a time, and giving them to be delivered."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.connector import AnyConnector
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.sinks.delivery.pipeline import Pipeline
from cdp_stream.sinks.delivery.record_reader import RecordReader, UndefinedError, UnreadableError
from cdp_stream.sinks.offsets.assigned_partition import AssignedPartition
from cdp_stream.sinks.offsets.assignment import Assignment
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.output.audience_deletions import AudienceDeletions
from cdp_stream.sinks.reporting.metrics import OutputMetrics
from cdp_stream.wall_clock import wall_ms

__all__ = ["Intake"]

_LONGEST_WAIT_S: Final = 1.0
_DEFINITIONS_S: Final = 30.0
"""How long a record waits for definitions that explain its settings: whoever wrote it may have read
a new version earlier than we do.
"""


class Intake:
    """Takes what was fetched, as long as there is room for it on the way out.

    Args:
        partitions: What is held.
        connector: Says what the deletion of an audience does.
        reader: Reads records.
        outgoing: Is given changes.
        deletions: Is given deletions of audiences.
        metrics: Where to count.
        fault: Told what has to stop, and the message that it was about.
        write: Runs what must not be cut short.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - put together in one place
        self,
        partitions: Assignment,
        connector: AnyConnector,
        reader: RecordReader,
        outgoing: Pipeline,
        deletions: AudienceDeletions,
        metrics: OutputMetrics,
        fault: Callable[[Fault, Mapping[str, Any]], None],
        write: Callable[[Any], None],
    ) -> None:
        self._partitions = partitions
        self._connector = connector
        self._reader = reader
        self._outgoing = outgoing
        self._deletions = deletions
        self._metrics = metrics
        self._fault = fault
        self._write = write
        self._last_served = -1

    async def run(self) -> None:
        """Take on, until cancelled."""
        while True:
            self._partitions.wake.clear()
            if not await self._round():
                await self._wait_for_work()

    async def _round(self) -> bool:
        worked = False
        for held in self._in_turn():
            if not self._may_take():
                break
            records = held.take_slice()
            if records:
                self._last_served = held.number
                worked |= self._take(held, records)
                await asyncio.sleep(0)
            if self._partitions.is_down(held):
                held.paused = False
                self._partitions.fetch([held.number])
        if self._partitions.is_open and not self._partitions.halted:
            self._outgoing.send_due(time.monotonic())
        return worked

    def _in_turn(self) -> list[AssignedPartition]:
        """Every partition, beginning behind the one that was served last."""
        held = sorted(self._partitions.held.items())
        last = self._last_served
        return [one for _, one in sorted(held, key=lambda item: item[0] <= last)]

    def _may_take(self) -> bool:
        partitions = self._partitions
        return partitions.is_open and not partitions.halted and self._outgoing.has_room

    async def _wait_for_work(self) -> None:
        due = self._outgoing.next_due
        longest = _LONGEST_WAIT_S
        wait = longest if due is None else max(0.0, min(longest, due - time.monotonic()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._partitions.wake.wait()

    def _take(self, held: AssignedPartition, records: list[Any]) -> bool:
        """Take records, up to one that has to wait; returns whether any was taken."""
        now, progress = time.monotonic(), held.progress
        held.first_seen = None
        for place, record in enumerate(records):
            offset = record.offset
            try:
                change = self._reader.read(record.value)
            except UndefinedError as error:
                if self._waits(held, record, error):
                    held.put_back(records[place:])
                    records = records[:place]
                    break
                self._do_without(held, record, error.outcome)
                continue
            except (UnreadableError, Fault) as error:
                self._do_without(held, record, error)
                continue
            if not progress.take(offset, change.connection, record.timestamp):
                continue
            held.dated[offset] = record.timestamp
            item = InFlight(change, held.number, offset, record.timestamp, record.key, record.value)
            if change.action == AUDIENCE_DELETE:
                self._take_deletion(held, item)
            else:
                self._outgoing.add(item, now)
        if not records:
            return False
        held.last = records[-1].offset
        progress.read(held.last + 1)
        self._partitions.confirmed.set()
        return True

    def _waits(self, held: AssignedPartition, record: Any, error: UndefinedError) -> bool:
        """Whether a record is to be looked at again later, in case definitions come that explain
        it; not if its connection stands still, as it is read again then anyway.
        """
        if error.connection in self._partitions.stopped:
            return False
        now = time.monotonic()
        if held.undefined is None or held.undefined[0] != record.offset:
            held.undefined = record.offset, now
        waited = max(now - held.undefined[1], (wall_ms() - record.timestamp) / 1000)
        return not error.has_looked or waited < _DEFINITIONS_S

    def _do_without(
        self, held: AssignedPartition, record: Any, why: UnreadableError | Fault
    ) -> None:
        if isinstance(why, Fault):
            self._stand_still(held, record, why)
        else:
            self._put_aside(held, record, str(why))

    def _take_deletion(self, held: AssignedPartition, item: InFlight) -> None:
        connection = item.change.connection
        action = item.change.message.get("on_audience_delete", self._connector.on_audience_delete)
        self._outgoing.flush(connection)
        if action == "keep":
            self._partitions.confirm([item])
            return
        held.progress.hold(connection, item.offset, held.dated)
        self._deletions.add(item)

    def _stand_still(self, held: AssignedPartition, record: Any, fault: Fault) -> None:
        """A connection cannot go on at a record, unless that has been delivered before."""
        progress, message = held.progress, orjson.loads(record.value)
        progress.read(record.offset)  # so that it goes on right here
        if progress.take(record.offset, message["connection"], record.timestamp):
            held.dated[record.offset] = record.timestamp
            self._fault(fault, message)
            held.dated.pop(record.offset, None)

    def _put_aside(self, held: AssignedPartition, record: Any, why: str) -> None:
        """A record that is no change is rejected; it waits like one until that is written."""
        if not held.progress.take(record.offset, ""):
            return
        held.dated[record.offset] = record.timestamp
        nothing = OutputChange("", "unreadable", "", "", "", 0, None, (), {}, "", None, None, {})
        item = InFlight(nothing, held.number, record.offset, record.timestamp, record.key,
                     record.value or b"")  # fmt: skip

        async def reject() -> None:
            await self._outgoing.reject([item], Outcome({0: why}))
            self._metrics.unreadable()
            self._partitions.confirm([item])

        self._write(reject())
