"""Committing what has been confirmed, at once and over and over.

What Kafka's own position cannot say (`progress.py`) is durable before that position passes it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from aiokafka.errors import KafkaError

from cdp_stream.kafka.log import log
from cdp_stream.sinks.offsets.assigned_partition import AssignedPartition
from cdp_stream.sinks.offsets.assignment import Assignment
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.offsets.positions import SinkPlan
from cdp_stream.sinks.offsets.progress import says_more
from cdp_stream.sinks.output.audience_deletions import AudienceDeletions
from cdp_stream.sinks.state.sink_state import SinkState

__all__ = ["Committer"]

_GAP_S: Final = 0.02
"""Between two commits: each costs as much as sending a change."""
_COUNTS_S: Final = 5.0
"""Between two records that differ in counts alone."""


class Committer:
    """Writes how far the partitions have been delivered.

    Args:
        plan: Topics.
        partitions: What is held.
        state: Where what Kafka cannot say is kept.
        deletions: Go on as what is before them is durable.
    """

    def __init__(
        self, plan: SinkPlan, partitions: Assignment, state: SinkState, deletions: AudienceDeletions
    ) -> None:
        self._plan = plan
        self._partitions = partitions
        self._state = state
        self._deletions = deletions
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Commit what is confirmed, until cancelled."""
        partitions = self._partitions
        while True:
            await partitions.confirmed.wait()
            partitions.confirmed.clear()
            if partitions.is_open:
                await self.commit()
                await self._deletions.advance(self._is_next)
                await asyncio.sleep(_GAP_S)

    async def commit(self, *, final: bool = False) -> None:
        """Keep what must be kept, then move the group's position.

        Args:
            final: nothing more will be taken of what is held.
        """
        consumer = self._partitions.consumer
        async with self._one_at_a_time:
            for held in list(self._partitions.held.values()):
                self._note_end(held)
                progress = held.progress
                progress.settle()
                position = progress.position
                is_kept = await self._keep(held, at_rest=self._partitions.halted or final)
                if is_kept and self._partitions.held.get(held.number) is held:
                    consumer.advance(self._partitions.tp(held.number), position)
            try:
                await consumer.commit()
            except KafkaError as error:
                log("output_commit_failed", level=logging.WARNING, output=self._plan.output,
                    reason=type(error).__name__, next="nothing: it is tried again")  # fmt: skip

    async def _keep(self, held: AssignedPartition, *, at_rest: bool) -> bool:
        """Write what must be kept; returns whether the group's position may pass it."""
        output, number = self._plan.output, held.number
        kept = held.progress.kept(all_confirmed=at_rest)
        # Who held the partition before us may have been slow, and have written over what is ours.
        is_there = self._state.kept(output, number) == held.written
        if is_there and kept == held.written:
            return True
        waited = time.monotonic() - held.written_at
        # Counts alone are not worth a record each time.
        if is_there and not (at_rest or says_more(kept, held.written) or waited >= _COUNTS_S):
            return True
        if not self._holds_lease():
            return False
        await self._state.keep(output, number, kept)
        held.written, held.written_at = kept, time.monotonic()
        return True

    def _holds_lease(self) -> bool:
        """Whether nobody else can hold our partitions; Kafka itself guards the group's position."""
        lease_at: float = self._partitions.consumer.observer.lease_at
        return time.monotonic() - lease_at < self._plan.session_timeout_s

    def _is_next(self, item: InFlight) -> bool:
        """Whether what is kept says that a connection has come to this item of its own."""
        held = self._partitions.held.get(item.partition)
        kept = {} if held is None or held.written is None else held.written.get("connections", {})
        entry = kept.get(item.change.connection)
        return entry is not None and entry["offset"] == item.offset

    def _note_end(self, held: AssignedPartition) -> None:
        """Pass over what is behind the last record and handed to nobody: ends of transactions."""
        ends = self._partitions.consumer.observer.ends
        end = ends.get((self._plan.topic, held.number))
        # An answer to a question from before a seek may come behind it; it speaks of the same only
        # where a record that has been looked at since is the last.
        if end is None or held.chunks or self._partitions.halted or held.last < 0:
            return
        if end.after == held.last and end.end > held.last + 1:
            held.progress.read(end.end)
