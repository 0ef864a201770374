"""Reading records of an output's topic, a slice at a time, and giving them to the pipeline."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Final

import orjson

from cdp_stream.connectors.change import AUDIENCE_DELETE
from cdp_stream.connectors.exchange import Fault
from cdp_stream.sinks.delivery.pipeline import Pipeline
from cdp_stream.sinks.delivery.record_reader import UndefinedError, UnreadableError
from cdp_stream.sinks.offsets.assignment import AssignedPartition, Assignment
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.output.audience_deletions import AudienceDeletions
from cdp_stream.sinks.output.context import OutputContext
from cdp_stream.sinks.output.pause_resume import PauseResume
from cdp_stream.wall_clock import wall_ms

__all__ = ["Intake"]

_LONGEST_WAIT_S: Final = 1.0
_DEFINITIONS_S: Final = 30.0
"""How long a record waits for definitions that explain its settings: the worker that wrote it may
have read a new version earlier than we do.
"""


class Intake:
    """Reads what was fetched while the pipeline has capacity."""

    def __init__(
        self,
        context: OutputContext,
        assignment: Assignment,
        pipeline: Pipeline,
        deletions: AudienceDeletions,
        pause_resume: PauseResume,
    ) -> None:
        self._context = context
        self._assignment = assignment
        self._pipeline = pipeline
        self._deletions = deletions
        self._pause_resume = pause_resume
        self._last_served = -1

    async def run(self) -> None:
        """Read on, until cancelled."""
        while True:
            self._assignment.readable.clear()
            if not await self._round():
                await self._wait_for_work()

    async def _round(self) -> bool:
        worked, assignment = False, self._assignment
        for partition in self._in_turn():
            if not (assignment.is_running and self._pipeline.has_capacity):
                break
            records = partition.take_slice()
            if records:
                self._last_served = partition.number
                worked |= self._read(partition, records)
                await asyncio.sleep(0)
            assignment.resume_drained(partition)
        if assignment.is_running:
            self._pipeline.send_due(time.monotonic())
        return worked

    def _in_turn(self) -> list[AssignedPartition]:
        """Every partition, beginning behind the one that was served last."""
        partitions = sorted(self._assignment.partitions.items())
        last = self._last_served
        return [one for _, one in sorted(partitions, key=lambda item: item[0] <= last)]

    async def _wait_for_work(self) -> None:
        due = self._pipeline.next_due
        longest = _LONGEST_WAIT_S
        wait = longest if due is None else max(0.0, min(longest, due - time.monotonic()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._assignment.readable.wait()

    def _read(self, partition: AssignedPartition, records: list[Any]) -> bool:
        """Read records, up to one that has to wait; returns whether any was read."""
        now, progress = time.monotonic(), partition.progress
        for place, record in enumerate(records):
            try:
                change = self._context.reader.read(record.value)
            except UndefinedError as error:
                if self._has_to_wait(partition, record, error):
                    partition.put_back(records[place:])
                    records = records[:place]
                    break
                self._do_without(partition, record, error.outcome)
                continue
            except (UnreadableError, Fault) as error:
                self._do_without(partition, record, error)
                continue
            if not progress.admit(record.offset, change.connection, record.timestamp):
                continue
            item = InFlight(change, partition.number, record.offset, record.key, record.value)
            if change.action == AUDIENCE_DELETE:
                self._take_deletion(partition, item)
            else:
                self._pipeline.add(item, now)
        if not records:
            return False
        partition.note_read(records[-1].offset)
        self._assignment.confirmed.set()
        return True

    def _has_to_wait(
        self, partition: AssignedPartition, record: Any, error: UndefinedError
    ) -> bool:
        """Whether a record is to be read again later, in case definitions come that explain it; not
        if its connection is stopped, as it is read again then anyway.
        """
        if error.connection in self._assignment.stopped_connections:
            return False
        here_s = partition.undefined_for_s(record.offset)
        waited_s = max(here_s, (wall_ms() - record.timestamp) / 1000)
        return not error.has_read_earlier or waited_s < _DEFINITIONS_S

    def _take_deletion(self, partition: AssignedPartition, item: InFlight) -> None:
        change, connector = item.change, self._context.connector
        self._pipeline.flush(change.connection)
        if change.message.get("on_audience_delete", connector.on_audience_delete) == "keep":
            self._assignment.confirm([item])
            return
        partition.progress.block(change.connection, item.offset)
        self._deletions.add(item)

    def _do_without(
        self, partition: AssignedPartition, record: Any, why: UnreadableError | Fault
    ) -> None:
        """Stop a record's connection at it, or reject a record that is not a change."""
        progress = partition.progress
        if isinstance(why, Fault):
            message = orjson.loads(record.value)
            connection = message["connection"]
            progress.read(record.offset)  # so that it resumes at this record
            # It is not admitted if it was delivered before.
            if progress.admit(record.offset, connection, record.timestamp):
                self._pause_resume.fault(why, connection, message)
        elif progress.admit(record.offset, "", record.timestamp):
            self._context.tasks.write(self._reject(partition.number, record, str(why)))

    async def _reject(self, number: int, record: Any, why: str) -> None:
        """Reject a record; it counts as confirmed once that is written."""
        await self._pipeline.reject([(number, record, why)])
        self._context.metrics.unreadable()
        self._assignment.confirm_offsets([(number, record.offset, "")])
