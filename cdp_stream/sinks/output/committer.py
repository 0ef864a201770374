"""Committing what has been confirmed.

What Kafka's own position cannot express (`progress.py`) is durable before that position passes it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from aiokafka.errors import KafkaError

from cdp_stream.observability.log import log
from cdp_stream.sinks.offsets.assignment import AssignedPartition, Assignment
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.offsets.progress import has_other_positions
from cdp_stream.sinks.output.context import OutputContext

__all__ = ["Committer"]

_COUNTS_S: Final = 5.0
"""Between two records that differ in counts alone."""


class Committer:
    """Writes how far the partitions have been delivered."""

    def __init__(self, context: OutputContext, assignment: Assignment) -> None:
        self._context = context
        self._assignment = assignment
        self._one_at_a_time = asyncio.Lock()

    async def commit(self, *, final: bool = False) -> None:
        """Save what must be saved, then move the group's position.

        Args:
            final: Nothing more will be read of the partitions.
        """
        assignment = self._assignment
        async with self._one_at_a_time:
            for partition in list(assignment.partitions.values()):
                self._note_end(partition)
                partition.progress.settle()
                position = partition.progress.position
                is_saved = await self._save(partition, at_rest=assignment.output_stopped or final)
                if is_saved and assignment.partitions.get(partition.number) is partition:
                    assignment.consumer.advance(assignment.tp(partition.number), position)
            try:
                await assignment.consumer.commit()
            except KafkaError as error:
                log("output_commit_failed", level=logging.WARNING, output=self._context.output,
                    reason=type(error).__name__, next="nothing: it is tried again")  # fmt: skip

    def is_next(self, item: InFlight) -> bool:
        """Whether the progress of a connection up to this item is durable."""
        partition = self._assignment.partitions.get(item.partition)
        saved = {} if partition is None or partition.saved is None else partition.saved
        entry = saved.get("connections", {}).get(item.change.connection)
        return entry is not None and entry["offset"] == item.offset

    async def _save(self, partition: AssignedPartition, *, at_rest: bool) -> bool:
        """Write what must be saved; returns whether the group's position may pass it."""
        state, output, number = self._context.state, self._context.output, partition.number
        kept = partition.progress.kept(all_confirmed=at_rest)
        # A slow earlier owner of the partition may have overwritten our record.
        is_there = state.kept(output, number) == partition.saved
        if is_there and kept == partition.saved:
            return True
        waited = time.monotonic() - partition.saved_at
        # Counts alone are not worth a record each time.
        if is_there and not (
            at_rest or has_other_positions(kept, partition.saved) or waited >= _COUNTS_S
        ):
            return True
        # Another worker may own the partition. Kafka itself guards the group's position alone.
        if not self._context.app.holds_lease:
            return False
        await state.keep(output, number, kept)
        partition.saved, partition.saved_at = kept, time.monotonic()
        return True

    def _note_end(self, partition: AssignedPartition) -> None:
        """Pass over the transaction markers behind the last record."""
        ends = self._assignment.consumer.observer.ends
        end = ends.get((self._context.topic, partition.number))
        # An end offset requested before a seek may arrive after it. It is valid only if its last
        # record was read since the seek.
        if end is None or partition.count or self._assignment.output_stopped or partition.last < 0:
            return
        if end.after == partition.last and end.end > partition.last + 1:
            partition.progress.read(end.end)
