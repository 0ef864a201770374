"""One assigned partition and its work: records, due instants, definitions and history, in steps.

A step applies one slice of records if it may, then fires one slice of due instants if any is due,
then migrates one slice of rows to new definitions. So ticks and events never mix within a slice,
and neither starves the other. What a step may do follows from semantics.md (Instants):

* after a restart the instants that are due by the durable time fire first, before any record;
* a time marker ends a slice. Records after it wait until every instant up to it has fired; then
  its offset is committed;
* time goes no further than :func:`time_limit` allows, and that limit is durable no later than the
  outputs of its tick are visible;
* a switch of definitions comes between two slices, when nothing of the partition is in flight and
  nothing is due by its time. The task does nothing else before the switch is durable. Rows are
  migrated in slices of their own, and a time marker waits for all of them.
"""

import asyncio
import logging
import time
from bisect import bisect_right
from collections.abc import Mapping

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.clients.chunk import Chunk
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.kafka.commit.committer import Committer
from cdp_stream.kafka.commit.partition_producer import FencedError
from cdp_stream.kafka.runtime.backfill_driver import BackfillDriver
from cdp_stream.kafka.runtime.partition_time import latest_time, time_limit
from cdp_stream.kafka.runtime.record_queue import RecordQueue
from cdp_stream.kafka.runtime.rollout_driver import RolloutDriver
from cdp_stream.kafka.runtime.task_context import TaskContext
from cdp_stream.observability.log import log
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import Effects, Record
from cdp_stream.partition.processor import ProfileProcessor
from cdp_stream.wall_clock import wall_ms

__all__ = ["SLICE", "PartitionTask"]

SLICE = 500
"""Records, or due instants, in one step: a few ms of blocked loop."""
BACKLOG_SLICE = 1_000
"""Records in one step of a backlog, where rate counts more than latency: each slice costs requests
and tasks. Slices of twice that size are no faster."""
_BACKLOG = 5_000


def _is_time_marker(record: Record) -> bool:
    """Whether a record is a time marker: no key, an empty value, a header ``time``."""
    return (
        record.key is None
        and not record.value
        and any(name == "time" for name, _ in record.headers)
    )


class PartitionTask:
    """One assigned partition: its queue, processor, committer, rollout and backfill.

    Args:
        number: The partition's number.
        processor: The partition's, restored.
        committer: The partition's, open.
        context: What all tasks of the worker share.

    Attributes:
        queue: Records that wait; it has the epoch of the newest seek.
    """

    def __init__(
        self, number: int, processor: ProfileProcessor, committer: Committer, context: TaskContext
    ) -> None:
        self.number = number
        self.processor = processor
        self.committer = committer
        self.queue = RecordQueue(context.waiting)
        self._context = context
        self._consumer = context.app.consumer
        self._tp = TopicPartition(context.topic, number)
        self._rollout = RolloutDriver(number, processor, context)
        self._backfill = BackfillDriver(number, processor, context)
        # After a restart, what was due by the durable time comes before any record.
        self._fire_to: int | None = processor.time
        self._marker_end: int | None = None
        self._is_switching = False
        self._lost_at: float | None = None

    # -- records that arrive -----------------------------------------------------------------------

    def accept(self, chunk: Chunk) -> None:
        """Queue a chunk; one that was fetched before the newest seek is dropped."""
        if chunk.epoch != self.queue.epoch or self._must_check_position():
            return
        if self.queue.add(chunk):
            self._consumer.pause_partitions({self._tp})
        self._context.work.set()

    def begin_epoch(self, epoch: int, committed: int | None = None) -> None:
        """Accept the chunks of an epoch, which begins with the next record.

        Args:
            epoch: Its number.
            committed: The group's position, if the partition is newly assigned.
        """
        self.queue.epoch = epoch
        if committed is not None and self._fire_to is not None and committed < self.next_offset:
            # The last owner ended after a time marker, or a write, and before its commit.
            self._marker_end = self.next_offset

    @property
    def next_offset(self) -> int:
        """Offset of the next record to apply; 0 before the first."""
        return self.processor.position + 1

    @property
    def is_position_doubted(self) -> bool:
        """Whether a broker reported that the partition's position does not exist."""
        return self._tp in self._consumer.observer.out_of_range and self.processor.position >= 0

    def _must_check_position(self) -> bool:
        """Whether the position must be checked first; records that are fetched meanwhile are from
        another place in the partition.
        """
        if self.is_position_doubted:
            self._context.position_doubted.set()
            return True
        return False

    # -- steps -----------------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Whether at least one whole slice of records waits."""
        return self.queue.count >= SLICE

    @property
    def is_ready(self) -> bool:
        """Whether the task may do a step.

        Under low load, and around a switch of definitions, one piece is in flight at a time, so
        that records gather instead of forming batches of one.
        """
        committer = self.committer
        if self.is_behind and not self._is_switching and self._rollout.wanted() is None:
            return committer.is_ready
        return committer.is_idle and committer.is_ready

    def step(self) -> bool:
        """Do a few ms of work, when the task :attr:`is_ready`; returns whether there was any.

        Raises:
            ReplacedError: The definitions in force are not in their topic.
        """
        if self._must_check_position():
            return False
        worked = self._step_live()
        # Write history beside live writes: alone it would keep the committer busy and delay live
        # records, which wait for it while they are few.
        return (self._may_backfill() and self._write_history()) or worked

    def _step_live(self) -> bool:
        self._is_switching = False
        wanted = self._rollout.wanted()
        if wanted is not None:
            return self._step_to(wanted)
        if not self._rollout.can_evaluate():
            return False
        worked = self._fire_to is None and not self.waits_for_history and self._apply()
        worked = self._tick() or worked
        return self._migrate() or worked

    def _step_to(self, wanted: Definitions) -> bool:
        """Switch to definitions as soon as nothing is due by the partition's time."""
        if self._rollout.must_wait(wanted):
            return False
        if self._rollout.has_definitions and self._has_due:
            # A time marker waits until all rows are migrated to the definitions before.
            return self._tick() or self._migrate()
        self._write_switch(self._rollout.switch(wanted))
        return True

    def _apply(self) -> bool:
        processor, context = self.processor, self._context
        # A partition whose fetching is paused is behind, however few records wait here.
        is_backlog = self.queue.count > _BACKLOG or self.queue.paused
        records = self.queue.take(
            BACKLOG_SLICE if is_backlog else SLICE, above=processor.position, ends=_is_time_marker
        )
        if not records:
            self._maybe_resume()
            return False
        started = time.perf_counter()
        effects = processor.apply(records, latest_time(context.settings.clock, wall_ms()))
        position = processor.position
        if records[-1].offset > position:
            count = bisect_right(records, position, key=lambda record: record.offset)
            self.queue.put_back(records[count:])
            del records[count:]
        context.metrics.applied(self.number, len(records), time.perf_counter() - started, effects)
        context.input_facts.applied(self.number, effects)
        last = records[-1]
        next_offset = last.offset + 1
        if last.key is None and _is_time_marker(last):
            self._marker_end, self._fire_to = next_offset, processor.time
            next_offset = last.offset  # all but the marker itself
        self.committer.commit(effects, next_offset)
        self._maybe_resume()
        return True

    def _tick(self) -> bool:
        processor, fire_to = self.processor, self._fire_to
        due = processor.next_due()
        limit = self._time_limit() if fire_to is None else fire_to
        if due is None or due > limit:
            return fire_to is not None and self._end_firing()
        if not self.committer.is_ready:
            return False
        if limit > processor.time and not self.committer.is_atomic:
            self.committer.commit(processor.mark_time(limit))
        started = time.perf_counter()
        effects = processor.tick(limit, SLICE)
        self._context.metrics.ticked(
            self.number, limit - due, time.perf_counter() - started, effects
        )
        self.committer.commit(effects, barrier=True)
        return True

    def _end_firing(self) -> bool:
        """Allow records again once all instants up to the marker or the durable time have fired."""
        if self._marker_end is not None:
            if self._rollout.must_migrate:
                return False  # instants of rows that are not migrated yet fire first
            self.committer.commit(Effects(), self._marker_end)
        self._fire_to = self._marker_end = None
        return True

    def _migrate(self) -> bool:
        if not self._rollout.must_migrate or not self.committer.is_ready:
            return False
        self.committer.commit(self._rollout.migrate())
        return True

    def _maybe_resume(self) -> None:
        if self.queue.drained():
            self._consumer.resume_partitions({self._tp})

    @property
    def _has_due(self) -> bool:
        """Whether an instant is due by the partition's time, or a time marker waits."""
        due = self.processor.next_due()
        return self._fire_to is not None or (due is not None and due <= self.processor.time)

    def _time_limit(self) -> int:
        settings = self._context.settings
        return time_limit(
            settings.clock,
            time=self.processor.time,
            grace_ms=settings.grace,
            applied=self.processor.position,
            end=self._consumer.observer.ends.get(self._tp),
        )

    # -- backfill --------------------------------------------------------------------------------

    @property
    def waits_for_history(self) -> bool:
        """Whether live records wait for the end of the partition's backfill."""
        return self._backfill.pauses_records

    def read_history(self) -> bool:
        """Continue the partition's backfill for a few ms; returns whether there was work."""
        backfill, position = self._backfill, self.processor.position
        if not (self._may_backfill() and backfill.open()):
            return False
        worked = backfill.writes_alone and self._write_history()
        worked = backfill.read(position, is_behind=self.is_behind) or worked
        is_at_rest = self.committer.is_idle and not self._has_due
        effects = backfill.finish(position, is_at_rest=is_at_rest)
        if effects is None:
            return worked
        self._write_switch(effects)
        return True

    def _write_history(self) -> bool:
        if not self.committer.is_ready:
            return False
        effects = self._backfill.next_rows(self.processor.position)
        if effects is None:
            return False
        self.committer.commit(effects)
        return True

    def _may_backfill(self) -> bool:
        """Whether the backfill may continue: not around a switch of definitions.

        The end of a backfill is a switch too, and is prepared like one. Once live records wait for
        that end, the backfill waits for nothing.
        """
        if self._is_switching or self.committer.failed or self._rollout.wanted() is not None:
            return False
        return self.waits_for_history or self._rollout.is_prepared(None)

    # -- writing ---------------------------------------------------------------------------------

    def write(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Write rows that come from no record and no instant."""
        self.committer.commit(Effects(rows=dict(rows)))

    def _write_switch(self, effects: Effects) -> None:
        """Commit a switch; the task does nothing else before it is durable."""
        self._is_switching = True
        self.committer.commit(effects, barrier=True)

    def check_committer(self) -> None:
        """Check that the committer still delivers.

        The task of a partition that another worker owns now does no more steps; others continue.

        Raises:
            CdpError: Effects cannot be delivered; or the partition was lost, and the group has not
                assigned partitions again within a session time-out.
        """
        failure = self.committer.failure
        if failure is None:
            return
        if not isinstance(failure, FencedError):
            raise failure
        now, patience_s = self._context.now(), self._context.settings.session_timeout
        if self._lost_at is None:
            self._lost_at = now
            log("partition_lost", level=logging.WARNING, partition=self.number,
                reason=str(failure))  # fmt: skip
        elif now - self._lost_at > patience_s:
            raise BrokerError(
                f"{self._context.topic} partition {self.number} was lost to another worker, and "
                f"the group has assigned no partitions within {patience_s:.0f} s",
                "nothing is lost: restart the worker",
            )

    # -- life ------------------------------------------------------------------------------------

    def log_unfinished(self) -> None:
        """Log what remains to do of a rollout, when the partition is assigned to this worker."""
        self._rollout.log_unfinished()

    def sample(self) -> None:
        """Set the partition's gauges."""
        position = self.processor.position
        self._backfill.sample(position)
        highwater = self._consumer.observer.highwaters.get(self._tp, 0)
        self._context.metrics.sample(
            self.number, lag=max(0, highwater - position - 1), limit=self._time_limit(),
            processor=self.processor,
        )  # fmt: skip

    async def close(self) -> None:
        """Stop all work, in whatever state it is, and close the committer."""
        self._rollout.close()
        await asyncio.gather(self._backfill.close(), self.committer.close())
