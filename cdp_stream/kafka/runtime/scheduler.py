"""Whose turn it is among the partitions that a worker holds, and what is in a turn.

One loop takes turns: from each partition a slice of records, then a slice of due instants, then the
event loop's other work. So ticks and events never interleave within a slice, and neither starves
the other, nor one partition another. A slice of one partition's backfill comes after a round of
them all, or after each slice of a partition that is behind.

What may be in a slice follows from semantics.md (Instants):

* after a restart the due instants up to the durable time come first, before any record;
* a time marker ends a slice; records behind it wait, and its offset is committed, when every due
  instant up to it has fired;
* the clock goes no further than ``clock.time_limit`` allows, and that limit is durable no
  later than the outputs of its tick show;
* a partition takes over other definitions between two slices, when nothing of it is on its way and
  nothing is due by its time; nothing further is done before that is durable. Its rows follow in
  slices of their own, one a turn, and when a marker waits all of them before its end.
"""

import asyncio
import contextlib
import time
from bisect import bisect_right
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.metrics import Metrics
from cdp_stream.kafka.runtime.input_facts import InputFacts
from cdp_stream.kafka.runtime.partition_time import latest_time, time_limit
from cdp_stream.kafka.runtime.record_queue import SLICE, HostedPartition, is_time_marker
from cdp_stream.kafka.runtime.rollout_driver import DefinitionChanges
from cdp_stream.kafka.runtime.task_context import HostingPlan
from cdp_stream.kafka.topics.topic_partition import TopicPartition
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import Effects
from cdp_stream.wall_clock import wall_ms

__all__ = ["Submit", "Turns"]

_SAMPLE_S = 1.0
_POLL_S = 0.05
"""How often an idle loop looks whether the clock may go on."""
_STEPS_BETWEEN_SLICES = 8
"""So many callbacks, one after the other, make the broker's answer to one request of a transaction
the next request. With a slice of a backfill between any two of them a transaction takes as long as
some forty slices; with one only while the broker is waited for, as long as five."""


class Submit(Protocol):
    """Lets effects of a partition show, and has them delivered."""

    def __call__(
        self,
        hosted: HostedPartition,
        effects: Effects,
        next_offset: int | None,
        *,
        barrier: bool = False,
    ) -> None:
        """As :meth:`Lane.submit`."""
        ...


async def _let_live_records_go_on() -> None:
    for _ in range(_STEPS_BETWEEN_SLICES):
        await asyncio.sleep(0)


class Turns:
    """The loop that gives partitions their turns.

    Args:
        app: The Faust app; its consumer is used once it runs.
        partitions: Those that are held, by number; live.
        plan: Which topics, and how time goes.
        metrics: Where to count.
        changes: The definitions of partitions, and how they take over others.
        submit: Takes the effects of a turn.
        look_again: Looks whether a partition's position exists after all.

    Attributes:
        is_open: Whether turns may be taken.
    """

    def __init__(  # noqa: PLR0913 - one for each thing that can happen
        self,
        app: Any,
        partitions: Mapping[int, HostedPartition],
        plan: HostingPlan,
        metrics: Metrics,
        *,
        changes: DefinitionChanges,
        submit: Submit,
        look_again: Callable[[HostedPartition], Coroutine[Any, Any, None]],
    ) -> None:
        self._app = app
        self._partitions = partitions
        self._plan = plan
        self._events = plan.events
        self._metrics = metrics
        self._changes = changes
        self._submit = submit
        self._look_again = look_again
        self._wake = asyncio.Event()
        self._sampled_at = 0.0
        self._input_facts = InputFacts()
        self._has_ended = False
        self._read_last = self._turned_last = -1
        self.is_open = False

    def wake_up(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def end(self) -> None:
        """Take no turn any more."""
        self.is_open = False
        self._has_ended = True
        self._wake.set()

    async def run(self) -> None:
        """Take turns until the :meth:`end`."""
        while not self._has_ended:
            # Before the round: what comes during it is not slept over.
            self._wake.clear()
            if not await self._round():
                await self._wait_for_work()
            self._sample()

    async def _round(self) -> bool:
        worked = False
        for hosted in self._from_next(self._turned_last):
            if not self._may_work():
                return False
            if not self._may_go(hosted):
                continue
            is_behind = hosted.count >= SLICE
            if self._turn(hosted):
                worked, self._turned_last = True, hosted.number
            # With what live records write: alone it would keep the lane from being idle, which
            # they wait for while they are few.
            worked |= self._write_history(hosted)
            await asyncio.sleep(0)
            if is_behind:
                worked |= await self._read_history()
        return await self._read_history() or worked

    def _may_work(self) -> bool:
        return self.is_open and self._holds_lease()

    async def _read_history(self) -> bool:
        """One slice of one partition's backfill: of one that live records wait for, if there is
        any, else of the next that has something to read.
        """
        held = [one for one in self._partitions.values() if self._changes.holds_records(one)]
        for hosted in held or self._from_next(self._read_last):
            if not (self._may_work() and self._may_read(hosted)):
                continue
            if self._changes.read_history(hosted):
                self._read_last = hosted.number
                if not held:
                    await _let_live_records_go_on()
                return True
        return False

    def _from_next(self, last: int) -> list[HostedPartition]:
        """All partitions, from the one behind the last that had what not all may have at once."""
        return sorted(self._partitions.values(), key=lambda one: (one.number <= last, one.number))

    async def _wait_for_work(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_POLL_S):
                await self._wake.wait()

    def _may_go(self, hosted: HostedPartition) -> bool:
        """Under low load one piece at a time, so that records gather instead of batches of one;
        around a change of definitions too.
        """
        if hosted.count >= SLICE and not hosted.switching and self._changes.wanted(hosted) is None:
            return hosted.lane.has_room
        return hosted.lane.is_idle and hosted.lane.has_room

    def _turn(self, hosted: HostedPartition) -> bool:
        """One slice of records if they may go, then one slice of due instants if any is due, then
        one of rows that definitions have yet to reach.
        """
        if self.is_out_of_range(hosted):
            return False
        hosted.switching = False
        wanted = self._changes.wanted(hosted)
        if wanted is not None:
            return self._turn_to(hosted, wanted)
        hosted.behind_since = None
        # It was restored before its definitions were read, and has done nothing since.
        rollout = hosted.processor.rollout
        if not rollout.is_available and not rollout.recall():
            return False
        may_apply = hosted.fire_to is None and not self._changes.holds_records(hosted)
        worked = may_apply and self._apply(hosted)
        worked = self._tick(hosted) or worked
        return self._changes.sweep(hosted) or worked

    def _turn_to(self, hosted: HostedPartition, wanted: Definitions) -> bool:
        """Take over definitions, as soon as nothing is due by the partition's time."""
        processor = hosted.processor
        if self._changes.must_wait(hosted, wanted):
            return False
        if processor.rollout.version is not None and processor.rollout.is_available:
            due = processor.next_due()
            if hosted.fire_to is not None or (due is not None and due <= processor.time):
                # A marker waits for the rows that the definitions before have yet to reach.
                return self._tick(hosted) or self._changes.sweep(hosted)
        self._changes.put_in_force(hosted, wanted)
        return True

    def _write_history(self, hosted: HostedPartition) -> bool:
        return self._may_read(hosted) and self._changes.write_history(hosted)

    def _may_read(self, hosted: HostedPartition) -> bool:
        """Whether its backfill may go on: not around a switch."""
        return self.is_open and not hosted.switching and not hosted.lane.failed

    def _apply(self, hosted: HostedPartition) -> bool:
        records = hosted.take_slice()
        if not records:
            self._maybe_resume(hosted)
            return False
        started = time.perf_counter()
        effects = hosted.processor.apply(records, latest_time(self._plan.clock, wall_ms()))
        if records[-1].offset > hosted.processor.position:
            position = hosted.processor.position
            count = bisect_right(records, position, key=lambda record: record.offset)
            hosted.put_back(records[count:])
            del records[count:]
        self._metrics.applied(hosted.number, len(records), time.perf_counter() - started, effects)
        self._input_facts.applied(hosted.number, effects)
        last = records[-1]
        hosted.applied = last.offset
        next_offset: int | None = last.offset + 1
        if last.key is None and is_time_marker(last):
            hosted.marker, hosted.fire_to = next_offset, hosted.processor.time
            next_offset = last.offset  # all but the marker itself
        self._submit(hosted, effects, next_offset)
        self._maybe_resume(hosted)
        return True

    def _tick(self, hosted: HostedPartition) -> bool:
        processor = hosted.processor
        due = processor.next_due()
        if hosted.fire_to is not None:
            if due is None or due > hosted.fire_to:
                if hosted.marker is not None and processor.rollout.rows_to_migrate():
                    return False  # what is due in rows that wait to be swept fires before
                self._end_of_firing(hosted)
                return True
            limit = hosted.fire_to
        else:
            limit = self._time_limit(hosted)
        if due is None or due > limit or not hosted.lane.has_room:
            return False
        if limit > processor.time and not hosted.lane.is_atomic:
            self._submit(hosted, processor.mark_time(limit), None)
        started = time.perf_counter()
        effects = processor.tick(limit, SLICE)
        self._metrics.ticked(hosted.number, limit - due, time.perf_counter() - started, effects)
        self._submit(hosted, effects, None, barrier=True)
        return True

    def _end_of_firing(self, hosted: HostedPartition) -> None:
        hosted.fire_to = None
        if hosted.marker is not None:
            self._submit(hosted, Effects(), hosted.marker)
            hosted.marker = None

    def _maybe_resume(self, hosted: HostedPartition) -> None:
        if hosted.drained():
            self._app.consumer.resume_partitions({TopicPartition(self._events, hosted.number)})

    # -- what the broker said --------------------------------------------------------------------

    def _time_limit(self, hosted: HostedPartition) -> int:
        return time_limit(
            self._plan.clock,
            time=hosted.processor.time,
            grace_ms=self._plan.grace_ms,
            applied=hosted.applied,
            end=self._app.consumer.observer.ends.get((self._events, hosted.number)),
        )

    def _holds_lease(self) -> bool:
        lease_at: float = self._app.consumer.observer.lease_at
        return time.monotonic() - lease_at < self._plan.session_timeout_s

    def is_out_of_range(self, hosted: HostedPartition) -> bool:
        """Whether a broker said that there is nothing where the partition was read up to. That is
        looked at again; until then what comes of the partition is from elsewhere in it.
        """
        noted = self._app.consumer.observer.out_of_range
        if hosted.applied < 0 or (self._events, hosted.number) not in noted:
            return False
        if hosted.looking is None:
            hosted.looking = asyncio.create_task(self._look_again(hosted))
        return True

    def _check_lost(self) -> None:
        for number, hosted in self._partitions.items():
            patience_s = self._plan.session_timeout_s
            if hosted.lost_at is not None and time.monotonic() - hosted.lost_at > patience_s:
                raise BrokerError(
                    f"{self._events} partition {number} was taken from this worker, and in "
                    f"{patience_s:.0f} s the group has not given out partitions anew",
                    "nothing is lost: start the worker again",
                )

    def _sample(self) -> None:
        if time.monotonic() - self._sampled_at < _SAMPLE_S:
            return
        self._sampled_at = time.monotonic()
        self._check_lost()
        highwaters = self._app.consumer.observer.highwaters
        for number, hosted in self._partitions.items():
            self._changes.sample(hosted)
            processor = hosted.processor
            lag = highwaters.get((self._events, number), 0) - hosted.applied - 1
            self._metrics.sample(
                number, lag=max(0, lag), limit=self._time_limit(hosted), processor=processor
            )
        self._metrics.backfill.log_now_and_then()
        self._input_facts.log_now_and_then()
        self._metrics.tell_rejects()
        self._metrics.definitions_invalid(self._changes.invalid)
