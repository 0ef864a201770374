"""The partitions that this worker holds, and what comes with an assignment: they are taken over,
restored and given up as the group says. Whose turn it is: turns.py.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from cdp_stream.formats.rows import INPUT_KEY
from cdp_stream.kafka.aiokafka_patches.fetch_observer import BELIEVED_AFTER_S
from cdp_stream.kafka.aiokafka_patches.transaction_sender import NotAMemberError
from cdp_stream.kafka.clients.chunk import FETCHES_WAITING, Chunk
from cdp_stream.kafka.commit.partition_producer import FencedError
from cdp_stream.kafka.definitions_source import DefinitionsSource
from cdp_stream.kafka.faust_adapter.table import ProfileTable
from cdp_stream.kafka.lanes import Lanes
from cdp_stream.kafka.log import log
from cdp_stream.kafka.metrics import Metrics
from cdp_stream.kafka.recovery.replaced_topics import TopicWatch, check_applied, input_was_replaced
from cdp_stream.kafka.recovery.restore import find_lost_positions
from cdp_stream.kafka.runtime.record_queue import HostedPartition
from cdp_stream.kafka.runtime.rollout_driver import DefinitionChanges
from cdp_stream.kafka.runtime.scheduler import Turns
from cdp_stream.kafka.runtime.task_context import HostingPlan
from cdp_stream.kafka.topics.topic_partition import TopicPartition
from cdp_stream.partition.effects import Effects
from cdp_stream.partition.processor import ProfileProcessor

__all__ = ["PartitionHosting"]

_AGAIN_S = 0.1


class PartitionHosting:
    """All partitions of this worker.

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
        processor_factory: Callable[[int], ProfileProcessor],
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
        self._partitions: dict[int, HostedPartition] = {}
        self._generation = -1
        self._lanes = Lanes(app, plan, table, metrics, fail=self._lane_failed, freed=self.wake_up)
        self._changes = DefinitionChanges(
            definitions, plan, metrics,
            submit=self._submit_change, wake=self.wake_up, fail=self.fail,
        )  # fmt: skip
        self._turns = Turns(
            app, self._partitions, plan, metrics,
            changes=self._changes, submit=self._submit, look_again=self._look_again,
        )  # fmt: skip
        followed = None if definitions is None else definitions.topic
        self._watch = TopicWatch(plan.client, plan.events, plan.topics.changelog, followed)
        self._epochs = itertools.count(1)
        self._releases = 0
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
        if hosted is None or chunk.epoch != hosted.epoch or self._turns.is_out_of_range(hosted):
            return
        if hosted.add(chunk):
            self._app.consumer.pause_partitions({TopicPartition(self._events, partition)})
        self.wake_up()

    async def release(self) -> None:
        """Stop taking turns, drop what waits, and wait for what is on its way."""
        self._releases += 1
        self._turns.is_open = self.ready = False
        for hosted in self._partitions.values():
            hosted.clear()
        for hosted in list(self._partitions.values()):
            await hosted.lane.drain()

    async def restore(self, assigned: Collection[int], generation: int) -> bool:
        """Hold exactly these partitions, restored, with the consumer at their next records.

        A partition kept from the generation before is as it was left. One that skipped a
        generation may have had another owner in between, and is read anew.

        Returns:
            Whether they are held now; not if they were released again meanwhile, or if the group
            has gone on without this worker.

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
        try:
            records = await self._take_over(new, generation)
        except NotAMemberError:
            log("assignment_overtaken", level=logging.WARNING, partitions=new)
            return False
        seconds = time.monotonic() - started
        self._metrics.recovered(records, seconds)
        log("partitions_assigned", kept=sorted(kept), restored=new, changelog_records=records,
            seconds=round(seconds, 3))  # fmt: skip
        await self._app.consumer.fetch_at_most(
            self._plan.waiting.share() // FETCHES_WAITING, len(self._partitions)
        )
        await self._seek()
        if self._releases != releases or self.failure is not None:
            return False
        if not self._tasks:
            watch = asyncio.create_task(self._watch.watch(self.fail))
            self._tasks = [asyncio.create_task(self._take_turns()), watch]
        self._turns.is_open = self.ready = True
        self.wake_up()
        return True

    async def stop(self) -> None:
        """Release everything, for good."""
        await self.release()
        looking = [hosted.looking for hosted in self._partitions.values() if hosted.looking]
        for task in (*self._tasks, *looking):
            task.cancel()
        self._tasks.clear()
        await self._changes.stop()
        await asyncio.gather(*(hosted.lane.close() for hosted in self._partitions.values()))

    async def _let_go(self, numbers: Collection[int]) -> None:
        """Forget partitions; those of this worker come back as if it had never had them."""
        gone = [self._partitions.pop(number) for number in numbers]
        for hosted in gone:
            if hosted.looking is not None:
                hosted.looking.cancel()
            self._changes.forget(hosted.number)
            self._table.store.let_go(hosted.number)
            self._metrics.forget(hosted.number)
        await asyncio.gather(*(hosted.lane.close() for hosted in gone))

    async def _take_over(self, numbers: Collection[int], generation: int) -> int:
        """Hold partitions, restored; returns how many changelog records that took.

        The lanes first: under exactly-once that ends what the last owners were writing, and what is
        read after it stays as it is. Who opens one must be its rightful owner, for it puts out
        whoever is; and one whom the group has left behind meanwhile must not go on.

        Raises:
            NotAMemberError: The group has gone on without this worker. None is held.
        """
        lanes = {number: self._lanes.create(number) for number in numbers}
        try:
            if lanes:
                await self._watch.learn()
                await self._check_membership(generation)
                await asyncio.gather(*(lane.open() for lane in lanes.values()))
                await self._check_membership(generation)
            records = await self._table.restore(self._plan.client, numbers)
            for number, lane in lanes.items():
                processor = await self._table.revive(
                    self._plan.client, number, self._processor_factory
                )
                noted = self._table.store.rows(number).get(INPUT_KEY)
                note = self._watch.note(number, noted, processor.position)
                hosted = self._partitions[number] = HostedPartition(
                    number, processor, lane, self._plan.waiting
                )
                self._changes.taken_over(hosted)
                if note is not None:
                    self._submit(hosted, Effects(rows={INPUT_KEY: note}), None)
                await asyncio.sleep(0)  # a big partition's rows take a moment to read
        except BaseException:
            held = [hosted.lane for hosted in self._partitions.values()]
            await asyncio.gather(*(lane.close() for lane in lanes.values() if lane not in held))
            raise
        return records

    async def _check_membership(self, generation: int) -> None:
        """Have the group's coordinator say that it counts this worker among a generation.

        Raises:
            NotAMemberError: It does not any more.
        """
        releases, consumer = self._releases, self._app.consumer
        while self._releases == releases:
            member = consumer.membership(self._plan.group)
            if member.generation != generation:
                break
            is_member = await consumer.is_member(member)
            if is_member:
                return
            if is_member is False:
                break
            await asyncio.sleep(_AGAIN_S)
        raise NotAMemberError

    async def _seek(self) -> None:
        consumer = self._app.consumer
        tps = {
            TopicPartition(self._events, number): hosted
            for number, hosted in self._partitions.items()
        }
        if not tps:
            return
        known = {p: h.applied + 1 for p, h in self._partitions.items() if h.applied >= 0}
        await self._check_reached(known)
        committed = await consumer.committed(tps)
        for tp, hosted in tps.items():
            changelog = self._plan.topics.changelog
            check_applied(self._plan.group, tp, changelog, committed.get(tp) or 0, hosted.applied)
        fresh = [tp for tp, hosted in tps.items() if hosted.applied < 0]
        starts = dict(await consumer.earliest_offsets(*fresh)) if fresh else {}
        epoch = next(self._epochs)
        for tp, hosted in tps.items():
            starts.setdefault(tp, hosted.applied + 1)
            hosted.epoch = epoch
            if hosted.fire_to is not None and (committed.get(tp) or 0) <= hosted.applied:
                # It ended between a time marker, or a write, and the commit behind it.
                hosted.marker = hosted.applied + 1
        await consumer.start_at(starts, epoch)

    async def _check_reached(self, positions: Mapping[int, int]) -> None:
        """Check that the input reaches up to the next record of each partition.

        Raises:
            ReplacedError: It does not, and has not for half a minute.
        """
        lost = await find_lost_positions(
            self._plan.client, self._events, positions, believed_after_s=BELIEVED_AFTER_S
        )
        for number, end in lost.items():
            read = (
                f"as partition {number}, of which {positions[number]} records were read, ends at "
                f"{end}"
            )
            raise input_was_replaced(self._events, read)

    async def _look_again(self, hosted: HostedPartition) -> None:
        try:
            await self._read_on(hosted)
        except Exception as error:  # noqa: BLE001 - the outer edge: it ends the worker, told once
            self.fail(error)
        finally:
            hosted.looking = None

    async def _read_on(self, hosted: HostedPartition) -> None:
        """Read on at a partition's position, if that exists after all.

        Raises:
            ReplacedError: It does not.
        """
        tp, position, epoch = (
            TopicPartition(self._events, hosted.number),
            hosted.applied + 1,
            hosted.epoch,
        )
        consumer = self._app.consumer
        await self._watch.learn()
        await self._check_reached({hosted.number: position})
        if (await consumer.earliest_offsets(tp))[tp] > position:
            read = f"partition {hosted.number}, which was read up to offset {hosted.applied}"
            raise input_was_replaced(self._events, f"as {read}, has nothing there")
        if epoch == hosted.epoch:
            hosted.clear()
            hosted.epoch = next(self._epochs)
            await consumer.start_at({tp: position}, hosted.epoch)
            consumer.resume_partitions({tp})

    async def _take_turns(self) -> None:
        try:
            await self._turns.run()
        except Exception as error:  # noqa: BLE001 - the outer edge: it ends the worker, told once
            self.fail(error)

    def wake_up(self) -> None:
        """There may be something to do."""
        self._turns.wake_up()

    def rests(self, partition: int) -> bool:
        """Never: records of the input are always wanted."""
        return False

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
        self.ready = False
        self._turns.end()
        self.failure = self.failure or error
        self.failed.set()

    # -- what partitions do ----------------------------------------------------------------------

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

    def _submit_change(self, hosted: HostedPartition, effects: Effects, is_switch: bool) -> None:
        hosted.switching = is_switch
        self._submit(hosted, effects, None, barrier=is_switch)
