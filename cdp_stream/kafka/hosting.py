"""The partitions that this worker holds: whose turn it is, and what comes with an assignment.

One loop takes turns: from each partition a slice of records, then a slice of due instants, then the
event loop's other work. So ticks and events never interleave within a slice, and neither starves
the other, nor one partition another. What may be in a slice follows from semantics.md (Instants):

* after a restart the due instants up to the durable time come first, before any record;
* a time marker ends a slice; records behind it wait, and its offset is committed, when every due
  instant up to it has fired;
* the clock goes no further than ``clock.time_limit`` allows, and that limit is durable before the
  outputs of its tick are sent;
* a partition takes over other definitions between two slices, when nothing of it is on its way and
  nothing is due by its time; nothing further is done before that is durable. Its rows follow in
  slices of their own, one a turn, and when a marker waits all of them before its end.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Collection
from typing import Any

from faust.types import TP

from cdp_stream.errors import BrokerError
from cdp_stream.formats.rows import INPUT_KEY
from cdp_stream.kafka.backfill import Backfills
from cdp_stream.kafka.changelog import find_lost_positions
from cdp_stream.kafka.chunks import Chunk
from cdp_stream.kafka.clock import time_limit
from cdp_stream.kafka.definitions_source import DefinitionsSource
from cdp_stream.kafka.hosted import SLICE, HostedPartition, is_time_marker
from cdp_stream.kafka.hosting_plan import HostingPlan
from cdp_stream.kafka.lanes import Lanes
from cdp_stream.kafka.log import log
from cdp_stream.kafka.metrics import Metrics
from cdp_stream.kafka.recreation import (
    TopicWatch,
    changelog_is_gone,
    definitions_were_replaced,
    input_was_replaced,
)
from cdp_stream.kafka.table import ProfileTable
from cdp_stream.kafka.transactions import FencedError
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import Effects, Processor

__all__ = ["PartitionHosting"]

_HELD_RECORDS = 30_000
"""A partition that holds more is not fetched until it is down to half."""
_SWEPT_AT_ONCE = 250
"""Rows looked at in a turn because definitions changed: a few ms."""
_BEHIND_S = 30.0
"""So long a partition waits for definitions that another worker has read already."""
_SAMPLE_S = 1.0
_POLL_S = 0.05
"""How often an idle loop looks whether the clock may go on."""


class PartitionHosting:
    """All partitions of this worker, and the loop that gives them their turns.

    Args:
        app: The Faust app; its consumer and producer are used once they run.
        processor_factory: Makes the processor of a partition, by its number.
        table: The table of profiles.
        plan: Which topics, and how time goes.
        metrics: Where to count.
        definitions: What the partitions are evaluated by; ``None`` where processors know that.
    """

    def __init__(
        self,
        app: Any,
        processor_factory: Callable[[int], Processor],
        *,
        table: ProfileTable,
        plan: HostingPlan,
        metrics: Metrics,
        definitions: DefinitionsSource | None = None,
    ) -> None:
        self._app = app
        self._processor_factory = processor_factory
        self._table = table
        self._plan = plan
        self._events = plan.events
        self._metrics = metrics
        self._definitions = definitions
        self._partitions: dict[int, HostedPartition] = {}
        self._generation = -1
        self._lanes = Lanes(app, plan, table, metrics, fail=self._lane_failed, freed=self.wake_up)
        self._backfills = Backfills(
            plan, metrics.backfill, submit=self._submit_history, wake=self.wake_up
        )
        followed = None if definitions is None else definitions.topic
        self._watch = TopicWatch(plan.client, plan.events, plan.topics.changelog, followed)
        self._epochs = itertools.count(1)
        self._open = False
        self._wake = asyncio.Event()
        self._releases = 0
        self._sampled_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self.ready = False

    # -- what Faust calls ------------------------------------------------------------------------

    def accept(self, partition: int, chunk: Chunk) -> None:
        """Take a chunk over from the agent.

        A chunk that was fetched before the partition's last seek is dropped: it is fetched again.
        """
        hosted = self._partitions.get(partition)
        if hosted is None or chunk.epoch != hosted.epoch:
            return
        self._check_in_range(partition)
        hosted.chunks.append(chunk)
        hosted.held += len(chunk)
        if hosted.held > _HELD_RECORDS and not hosted.paused:
            hosted.paused = True
            self._app.consumer.pause_partitions({TP(self._events, partition)})
        self._wake.set()

    async def release(self) -> None:
        """Stop taking turns, drop what waits, and wait for what is on its way."""
        self._releases += 1
        self._open = self.ready = False
        for hosted in self._partitions.values():
            hosted.drop_waiting()
        for hosted in list(self._partitions.values()):
            await hosted.lane.drain()

    async def restore(self, assigned: Collection[int], generation: int) -> bool:
        """Hold exactly these partitions, restored, with the consumer at their next records.

        A partition kept from the generation before is as it was left. One that skipped a
        generation may have had another owner in between, and is read anew.

        Returns:
            Whether they are held now; not if they were released again meanwhile.

        Raises:
            BrokerError: The input no longer reaches up to what was applied of it.
        """
        releases = self._releases
        kept = {p for p, held in self._partitions.items() if not held.lane.failed} & set(assigned)
        if generation != self._generation + 1:
            kept = set()
        self._generation = generation
        self._lanes.join_generation()
        await self._let_go(set(self._partitions) - kept)
        new = sorted(set(assigned) - kept)
        started = time.monotonic()
        records = await self._take_over(new)
        seconds = time.monotonic() - started
        self._metrics.recovered(records, seconds)
        log("partitions_assigned", kept=sorted(kept), restored=new, changelog_records=records,
            seconds=round(seconds, 3))  # fmt: skip
        await self._seek()
        if self._releases != releases or self.failure is not None:
            return False
        if not self._tasks:
            watch = asyncio.create_task(self._watch.watch(self.fail))
            self._tasks = [asyncio.create_task(self._run()), watch]
        self._open = self.ready = True
        self._wake.set()
        return True

    async def stop(self) -> None:
        """Release everything, for good."""
        await self.release()
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        await self._backfills.stop()
        await asyncio.gather(*(hosted.lane.close() for hosted in self._partitions.values()))

    async def _let_go(self, numbers: Collection[int]) -> None:
        """Forget partitions; those of this worker come back as if it had never had them."""
        gone = [self._partitions.pop(number) for number in numbers]
        for hosted in gone:
            self._backfills.forget(hosted.number)
            self._table.store.let_go(hosted.number)
            self._metrics.forget(hosted.number)
        await asyncio.gather(*(hosted.lane.close() for hosted in gone))

    async def _take_over(self, numbers: Collection[int]) -> int:
        """Hold partitions, restored; returns how many changelog records that took.

        The lanes first: under exactly-once that ends what the last owners were writing, and what is
        read after it stays as it is.
        """
        lanes = {number: self._lanes.create(number) for number in numbers}
        try:
            if lanes:
                await self._watch.learn()
            await asyncio.gather(*(lane.open() for lane in lanes.values()))
            records = await self._table.restore(self._plan.client, numbers)
            for number, lane in lanes.items():
                processor = await self._table.revive(
                    self._plan.client, number, self._processor_factory
                )
                noted = self._table.store.rows(number).get(INPUT_KEY)
                note = self._watch.note(number, noted, processor.position)
                hosted = self._partitions[number] = HostedPartition(number, processor, lane)
                if note is not None:
                    self._submit(hosted, Effects(rows={INPUT_KEY: note}), None)
        except BaseException:
            held = [hosted.lane for hosted in self._partitions.values()]
            await asyncio.gather(*(lane.close() for lane in lanes.values() if lane not in held))
            raise
        return records

    async def _seek(self) -> None:
        consumer = self._app.consumer
        tps = {TP(self._events, number): hosted for number, hosted in self._partitions.items()}
        if not tps:
            return
        known = {p: h.applied + 1 for p, h in self._partitions.items() if h.applied >= 0}
        lost = await find_lost_positions(self._plan.client, self._events, known)
        for number, end in lost.items():
            read = (
                f"as partition {number}, of which {known[number]} records were read, ends at {end}"
            )
            raise input_was_replaced(self._events, read)
        committed = await consumer.committed(tps)
        for tp, hosted in tps.items():
            if hosted.applied < 0 and committed.get(tp):
                raise changelog_is_gone(
                    self._plan.topics.changelog,
                    f"as partition {tp.partition} has no rows and the group's position is "
                    f"{committed[tp]}",
                )
        fresh = [tp for tp, hosted in tps.items() if hosted.applied < 0 and not committed.get(tp)]
        starts = dict(await consumer.earliest_offsets(*fresh)) if fresh else {}
        epoch = next(self._epochs)
        for tp, hosted in tps.items():
            starts.setdefault(tp, max(committed.get(tp) or 0, hosted.applied + 1))
            hosted.epoch = epoch
            if hosted.fire_to is not None and (committed.get(tp) or 0) <= hosted.applied:
                # It ended between a time marker, or a write, and the commit behind it.
                hosted.marker = hosted.applied + 1
        await consumer.start_at(starts, epoch)

    def wake_up(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def _lane_failed(self, number: int, error: BaseException) -> None:
        """A partition that another worker has taken over is given up; the rest goes on."""
        hosted = self._partitions.get(number)
        if hosted is None or not isinstance(error, FencedError):
            self.fail(error)
            return
        hosted.lost_at = time.monotonic()
        log("partition_lost", level=logging.WARNING, partition=number, reason=str(error))

    def fail(self, error: BaseException) -> None:
        """End the worker: nothing more is started, and the position stays where it is."""
        self._open = self.ready = False
        self.failure = self.failure or error
        self.failed.set()
        self._wake.set()

    # -- turns -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while self.failure is None:
                if not await self._round():
                    await self._wait_for_work()
                self._sample()
        except Exception as error:  # noqa: BLE001 - the outer edge: it ends the worker, told once
            self.fail(error)

    async def _round(self) -> bool:
        worked = False
        for hosted in list(self._partitions.values()):
            if not self._open or not self._holds_lease():
                return False
            if self._may_go(hosted):
                worked |= self._turn(hosted)
                await asyncio.sleep(0)
            if self._backfill(hosted):
                worked = True
                await asyncio.sleep(0)
        return worked

    async def _wait_for_work(self) -> None:
        self._wake.clear()
        if self._work_waits():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_POLL_S):
                await self._wake.wait()

    def _work_waits(self) -> bool:
        # Work may have come between the last round and the clearing of the event.
        return (
            self._open
            and self._holds_lease()
            and any(hosted.chunks and self._may_go(hosted) for hosted in self._partitions.values())
        )

    def _may_go(self, hosted: HostedPartition) -> bool:
        """Under low load one piece at a time, so that records gather instead of batches of one;
        around a change of definitions too.
        """
        if hosted.held >= SLICE and not hosted.switching and self._wanted(hosted) is None:
            return hosted.lane.has_room
        return hosted.lane.is_idle

    def _turn(self, hosted: HostedPartition) -> bool:
        """One slice of records if they may go, then one slice of due instants if any is due, then
        one of rows that definitions have yet to reach.
        """
        self._check_in_range(hosted.number)
        hosted.switching = False
        wanted = self._wanted(hosted)
        if wanted is not None:
            return self._turn_to(hosted, wanted)
        hosted.behind_since = None
        if not hosted.processor.is_able:
            # It was restored before its definitions were read, and has done nothing since.
            hosted.processor.restore(self._table.store.rows(hosted.number))
        may_apply = hosted.fire_to is None and not self._backfills.holds(hosted)
        worked = may_apply and self._apply(hosted)
        worked = self._tick(hosted) or worked
        return self._sweep(hosted) or worked

    def _backfill(self, hosted: HostedPartition) -> bool:
        """A few ms of the partition's backfill, if it has one; none around a switch."""
        may_go = self._open and not hosted.switching and not hosted.lane.failed
        return may_go and self._wanted(hosted) is None and self._backfills.turn(hosted)

    def _submit_history(self, hosted: HostedPartition, effects: Effects, is_switch: bool) -> None:
        hosted.switching = is_switch
        self._submit(hosted, effects, None, barrier=is_switch)

    def _wanted(self, hosted: HostedPartition) -> Definitions | None:
        """The definitions that a partition has yet to take over, ``None`` for none."""
        if self._definitions is None:
            return None
        latest = self._definitions.latest
        return None if hosted.processor.version == latest.version else latest

    def _turn_to(self, hosted: HostedPartition, wanted: Definitions) -> bool:
        """Take over definitions, as soon as nothing is due by the partition's time."""
        processor = hosted.processor
        version = processor.version
        assert self._definitions is not None
        if version is not None and self._definitions.is_newer(version):
            self._wait_for(hosted, version)
            return False
        hosted.behind_since = None
        if version is not None and processor.is_able:
            due = processor.next_due()
            if hosted.fire_to is not None or (due is not None and due <= processor.time):
                # A marker waits for the rows that the definitions before have yet to reach.
                return self._tick(hosted) or self._sweep(hosted)
        hosted.switching = True
        skipped = self._definitions.between(version, wanted.version)
        effects = processor.switch(wanted, skipped=skipped)
        self._submit(hosted, effects, None, barrier=True)
        log("definitions_in_force", partition=hosted.number, version=wanted.version,
            before=version, rows_to_sweep=processor.rows_to_sweep(),
            waiting_for_history=len(processor.missing))  # fmt: skip
        if effects.started or effects.stopped:
            log("connections_changed", partition=hosted.number, started=effects.started,
                stopped=effects.stopped)  # fmt: skip
        return True

    def _wait_for(self, hosted: HostedPartition, version: str) -> None:
        """Another worker has read more of the topic; so shall we in a moment, if it is the same.

        Raises:
            ReplacedError: It seems not to be.
        """
        now = time.monotonic()
        if hosted.behind_since is None:
            hosted.behind_since = now
        elif now - hosted.behind_since > _BEHIND_S:
            assert self._definitions is not None
            raise definitions_were_replaced(
                self._definitions.topic or "",
                f"as partition {hosted.number} is under version {version}, and the newest there is "
                f"{self._definitions.latest.version}",
            )

    def _sweep(self, hosted: HostedPartition) -> bool:
        processor = hosted.processor
        if not processor.rows_to_sweep() or not hosted.lane.has_room:
            return False
        started = time.perf_counter()
        effects = processor.sweep(_SWEPT_AT_ONCE)
        self._metrics.swept(time.perf_counter() - started, effects)
        self._submit(hosted, effects, None)
        if not processor.rows_to_sweep():
            log("definitions_swept", partition=hosted.number, version=processor.version)
        return True

    def _apply(self, hosted: HostedPartition) -> bool:
        records = hosted.take_slice()
        if not records:
            self._maybe_resume(hosted)
            return False
        started = time.perf_counter()
        effects = hosted.processor.apply(records)
        self._metrics.applied(hosted.number, len(records), time.perf_counter() - started, effects)
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
                if hosted.marker is not None and processor.rows_to_sweep():
                    return False  # what is due in rows that wait to be swept fires before
                self._end_of_firing(hosted)
                return True
            limit = hosted.fire_to
        else:
            limit = self._time_limit(hosted)
        if due is None or due > limit or not hosted.lane.has_room:
            return False
        if limit > processor.time:
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

    def _submit(
        self,
        hosted: HostedPartition,
        effects: Effects,
        next_offset: int | None,
        *,
        barrier: bool = False,
    ) -> None:
        self._table.store.write(hosted.number, effects.rows)
        hosted.lane.submit(effects, next_offset, barrier=barrier)

    def _maybe_resume(self, hosted: HostedPartition) -> None:
        if hosted.paused and hosted.held <= _HELD_RECORDS // 2:
            hosted.paused = False
            self._app.consumer.resume_partitions({TP(self._events, hosted.number)})

    # -- what the broker said --------------------------------------------------------------------

    def _time_limit(self, hosted: HostedPartition) -> int:
        return time_limit(
            self._plan.clock,
            time=hosted.processor.time,
            grace_ms=self._plan.grace_ms,
            applied=hosted.applied,
            end=self._app.consumer.observation.ends.get((self._events, hosted.number)),
        )

    def _holds_lease(self) -> bool:
        lease_at: float = self._app.consumer.observation.lease_at
        return time.monotonic() - lease_at < self._plan.session_timeout_s

    def _check_in_range(self, number: int) -> None:
        out_of_range = self._app.consumer.observation.out_of_range.get((self._events, number))
        if out_of_range is not None and (hosted := self._partitions[number]).applied >= 0:
            raise input_was_replaced(self._events, f"as partition {number}, which was read up to "
                                     f"offset {hosted.applied}, has nothing there")  # fmt: skip

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
        highwaters = self._app.consumer.observation.highwaters
        for number, hosted in self._partitions.items():
            self._backfills.sample(hosted)
            processor = hosted.processor
            lag = highwaters.get((self._events, number), 0) - hosted.applied - 1
            self._metrics.sample(
                number, lag=max(0, lag), limit=self._time_limit(hosted), processor=processor
            )
        self._metrics.backfill.log_now_and_then()
        if self._definitions is not None:
            self._metrics.definitions_invalid(self._definitions.invalid)
