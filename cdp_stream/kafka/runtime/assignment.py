"""The partitions that the group has assigned to this worker: restored, released and given up."""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from functools import partial
from typing import Any

from cdp_stream.formats.rows import INPUT_KEY
from cdp_stream.kafka.aiokafka_patches.fetch_observer import BELIEVED_AFTER_S
from cdp_stream.kafka.aiokafka_patches.group_member import GroupMembership
from cdp_stream.kafka.aiokafka_patches.transaction_sender import NotAMemberError
from cdp_stream.kafka.clients.chunk import FETCHES_WAITING, Chunk
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.kafka.commit.at_least_once import AtLeastOnceWriter
from cdp_stream.kafka.commit.committer import Committer, Writer
from cdp_stream.kafka.commit.exactly_once import ExactlyOnceWriter
from cdp_stream.kafka.commit.partition_producer import PartitionProducer
from cdp_stream.kafka.commit.record_writer import MOST_DELIVERING, OutputTopics
from cdp_stream.kafka.definitions.source import DefinitionsSource
from cdp_stream.kafka.recovery.profile_rows import ProfileRows
from cdp_stream.kafka.recovery.replaced_topics import TopicWatch, check_applied, input_was_replaced
from cdp_stream.kafka.recovery.restore import find_lost_positions
from cdp_stream.kafka.runtime.partition_task import PartitionTask
from cdp_stream.kafka.runtime.scheduler import Scheduler
from cdp_stream.kafka.runtime.task_context import TaskContext
from cdp_stream.observability.log import log
from cdp_stream.observability.metrics import Metrics
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.partition.processor import ProfileProcessor
from cdp_stream.settings import Settings
from cdp_stream.store.rows import RowStore

__all__ = ["Assignment"]

_AGAIN_S = 0.1
_TIDY_S = 60.0


class Assignment:
    """The partitions of this worker, each with its task.

    Args:
        app: The Faust app; its consumer and producer are used once they run.
        processor_factory: Makes the processor of a partition, by its number.
        settings: The worker's.
        store: Keeps the rows of profiles.
        metrics: Where to count.
        definitions: Source of the definitions; ``None`` if processors have their own.

    Attributes:
        failure: What ended the work of all partitions; ``None`` as long as nothing has.
        failed: Set as `failure` is known.
        ready: Whether partitions are assigned and records flow.
    """

    def __init__(
        self,
        app: Any,
        processor_factory: Callable[[int], ProfileProcessor],
        *,
        settings: Settings,
        store: RowStore,
        metrics: Metrics,
        definitions: DefinitionsSource | None = None,
    ) -> None:
        self._app = app
        self._processor_factory = processor_factory
        self._settings = settings
        self._context = TaskContext(app, settings, store, metrics, definitions)
        self._delivering = MemoryBudget(min(settings.memory_for("delivering"), MOST_DELIVERING))
        self._topics = _output_topics(settings)
        self._rows = ProfileRows(store, self._context.client, self._topics.changelog)
        self._tasks: dict[int, PartitionTask] = {}
        self._scheduler = Scheduler(self._tasks, self._context)
        self._generation = -1
        self._membership = GroupMembership(settings.group_id, -1, "")
        followed = None if definitions is None else definitions.topic
        self._watch = TopicWatch(
            self._context.client, self._context.topic, self._topics.changelog, followed
        )
        self._epochs = itertools.count(1)
        self._releases = 0
        self._loops: list[asyncio.Task[None]] = []
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self.ready = False

    # -- what Faust calls ------------------------------------------------------------------------

    def accept(self, partition: int, chunk: Chunk) -> None:
        """Queue a chunk of a partition; that of one that was given up is dropped."""
        task = self._tasks.get(partition)
        if task is not None:
            task.accept(chunk)

    async def release(self) -> None:
        """Pause all tasks, drop what waits, and wait for what is in flight."""
        self._releases += 1
        self._scheduler.pause()
        self.ready = False
        for task in self._tasks.values():
            task.queue.clear()
        for task in list(self._tasks.values()):
            await task.committer.drain()

    async def restore(self, assigned: Collection[int], generation: int) -> bool:
        """Have a restored task for just these partitions, and the consumer at their next records.

        A partition that this worker keeps also keeps its task. If this worker missed a generation,
        the partition may have had another owner in between, and is restored.

        Returns:
            Whether their tasks run now: not if a rebalance has released them meanwhile, or if the
            group has started a generation without this worker.

        Raises:
            BrokerError: The input ends before the last record that was applied.
        """
        releases = self._releases
        kept = {p for p, task in self._tasks.items() if not task.committer.failed} & set(assigned)
        if generation != self._generation + 1:
            kept = set()
        self._generation = generation
        # Positions are committed as a member of this generation. A member of an older one must not
        # commit, so the membership is read here alone, at assignment.
        self._membership = self._app.consumer.membership(self._settings.group_id)
        await self._give_up(set(self._tasks) - kept)
        new = sorted(set(assigned) - kept)
        started = time.monotonic()
        try:
            records = await self._restore(new, generation)
        except NotAMemberError:
            log("assignment_superseded", level=logging.WARNING, partitions=new)
            return False
        seconds = time.monotonic() - started
        self._context.metrics.recovered(records, seconds)
        log("partitions_assigned", kept=sorted(kept), restored=new, changelog_records=records,
            seconds=round(seconds, 3))  # fmt: skip
        self._app.consumer.fetch_at_most(
            self._context.waiting.share() // FETCHES_WAITING, len(self._tasks)
        )
        await self._seek()
        if self._releases != releases or self.failure is not None:
            return False
        if not self._loops:
            loops = (
                self._scheduler.run, self._watch.watch, self._check_positions, self._tidy_rows,
            )  # fmt: skip
            self._loops = [asyncio.create_task(self._run(loop)) for loop in loops]
        self._scheduler.resume()
        self.ready = True
        return True

    async def stop(self) -> None:
        """Release everything, for good."""
        await self.release()
        for loop in self._loops:
            loop.cancel()
        self._loops.clear()
        await asyncio.gather(*(task.close() for task in self._tasks.values()))
        self._rows.store.close()

    def wake_up(self) -> None:
        """Let the scheduler look whether there is work."""
        self._context.work.set()

    def is_paused(self, partition: int) -> bool:
        """Never: records of the input are always wanted."""
        return False

    def fail(self, error: BaseException) -> None:
        """End the worker: no work starts any more, and no committed position moves."""
        self.ready = False
        self._scheduler.pause()
        self.failure = self.failure or error
        self.failed.set()

    async def _run(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await loop()
        except Exception as error:  # noqa: BLE001 - the outer edge: it ends the worker
            self.fail(error)

    async def _tidy_rows(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_S)
            held_ms = self._app.consumer.observer.lease_ms
            await self._rows.refresh(held_ms if self._app.holds_lease else None)
            self._rows.store.tidy()

    # -- assigning and giving up -----------------------------------------------------------------

    async def _give_up(self, numbers: Collection[int]) -> None:
        """Close the tasks of partitions; one that is assigned again is restored like any other."""
        closing = [self._tasks.pop(number) for number in numbers]
        for task in closing:
            self._rows.store.let_go(task.number)
            self._context.metrics.forget(task.number)
        await asyncio.gather(*(task.close() for task in closing))

    async def _restore(self, numbers: Collection[int], generation: int) -> int:
        """Restore partitions and create their tasks; returns how many changelog records were read.

        Committers open first: under exactly-once this ends the transactions of the last owners, so
        that rows and positions which are read afterwards do not change. It also fences the present
        owner, so a worker that is not in the group's present generation must not open one.

        Raises:
            NotAMemberError: The group has started a generation without this worker. No partition
                is assigned.
        """
        context = self._context
        committers = {number: self._new_committer(number) for number in numbers}
        try:
            if committers:
                await self._watch.learn()
                await self._check_membership(generation)
                await asyncio.gather(*(committer.open() for committer in committers.values()))
                await self._check_membership(generation)
            records = await self._rows.restore(numbers)
            for number, committer in committers.items():
                processor = await self._rows.revive(number, self._processor_factory)
                noted = self._rows.store.rows(number).get(INPUT_KEY)
                note = self._watch.note(number, noted, processor.position)
                task = self._tasks[number] = PartitionTask(number, processor, committer, context)
                task.log_unfinished()
                if note is not None:
                    task.write({INPUT_KEY: note})
                await asyncio.sleep(0)  # reading a big partition's rows blocks the loop
        except BaseException:
            unused = [one for number, one in committers.items() if number not in self._tasks]
            await asyncio.gather(*(committer.close() for committer in unused))
            raise
        return records

    def _new_committer(self, number: int) -> Committer:
        """The committer of a partition, not yet open."""
        context, consumer, topics = self._context, self._app.consumer, self._topics
        tp = TopicPartition(context.topic, number)
        writer: Writer
        if self._settings.guarantee == "exactly-once":
            producer = PartitionProducer(
                context.client, f"{self._settings.group_id}-{number}", tp,
                targets=topics.names, membership=lambda: self._membership,
                metrics=context.metrics,
            )  # fmt: skip
            writer = ExactlyOnceWriter(producer, topics, number, partial(consumer.moved, tp))
        else:
            writer = AtLeastOnceWriter(
                lambda: self._app.aiokafka_producer, topics, number, partial(consumer.advance, tp)
            )
        return Committer(
            writer, context.store, number,
            budget=self._delivering, progressed=context.work.set,
        )  # fmt: skip

    async def _check_membership(self, generation: int) -> None:
        """Ask the group's coordinator whether this worker is a member of a generation.

        Raises:
            NotAMemberError: It is not any more.
        """
        releases, consumer = self._releases, self._app.consumer
        while self._releases == releases:
            member = consumer.membership(self._settings.group_id)
            if member.generation != generation:
                break
            is_member = await consumer.is_member(member)
            if is_member:
                return
            if is_member is False:
                break
            await asyncio.sleep(_AGAIN_S)
        raise NotAMemberError

    # -- positions -------------------------------------------------------------------------------

    async def _seek(self) -> None:
        consumer = self._app.consumer
        topic, tasks = self._context.topic, list(self._tasks.values())
        tps = {TopicPartition(topic, task.number): task for task in tasks}
        if not tps:
            return
        await self._check_reached({t.number: t.next_offset for t in tasks if t.next_offset})
        committed = await consumer.committed(tps)
        group, changelog = self._settings.group_id, self._topics.changelog
        for tp, task in tps.items():
            check_applied(group, tp, changelog, committed.get(tp) or 0, task.next_offset - 1)
        fresh = [tp for tp, task in tps.items() if not task.next_offset]
        starts = dict(await consumer.earliest_offsets(*fresh)) if fresh else {}
        epoch = next(self._epochs)
        for tp, task in tps.items():
            starts.setdefault(tp, task.next_offset)
            task.begin_epoch(epoch, committed.get(tp) or 0)
        await consumer.start_at(starts, epoch)

    async def _check_reached(self, positions: Mapping[int, int]) -> None:
        """Check that the input reaches up to the next record of each partition.

        Raises:
            ReplacedError: It does not, and has not for half a minute.
        """
        topic = self._context.topic
        lost = await find_lost_positions(
            self._context.client, topic, positions, believed_after_s=BELIEVED_AFTER_S
        )
        for number, end in lost.items():
            read = (
                f"as partition {number}, of which {positions[number]} records were read, ends at "
                f"{end}"
            )
            raise input_was_replaced(topic, read)

    async def _check_positions(self) -> None:
        """Check each position that a broker reports as missing; read on if it exists after all.

        Raises:
            ReplacedError: A position does not exist.
        """
        doubted = self._context.position_doubted
        while True:
            await doubted.wait()
            doubted.clear()
            tasks = [task for task in self._tasks.values() if task.is_position_doubted]
            await asyncio.gather(*(self._read_on(task) for task in tasks))

    async def _read_on(self, task: PartitionTask) -> None:
        consumer, topic = self._app.consumer, self._context.topic
        tp, position, epoch = TopicPartition(topic, task.number), task.next_offset, task.queue.epoch
        await self._watch.learn()
        await self._check_reached({task.number: position})
        if (await consumer.earliest_offsets(tp))[tp] > position:
            read = f"partition {task.number}, which was read up to offset {position - 1}"
            raise input_was_replaced(topic, f"as {read}, has nothing there")
        if epoch == task.queue.epoch:
            task.queue.clear()
            task.begin_epoch(next(self._epochs))
            await consumer.start_at({tp: position}, task.queue.epoch)
            consumer.resume_partitions({tp})


def _output_topics(settings: Settings) -> OutputTopics:
    return OutputTopics(
        memberships=settings.topic("memberships"),
        state=settings.topic("membership-state"),
        rejected=settings.topic("rejected"),
        changelog=settings.topic("profiles-changelog"),
        output=settings.topic("output."),
    )
