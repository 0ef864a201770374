"""Faust's transport, with one Faust event per chunk: one partition's records of one fetch.

Stock Faust makes several asyncio tasks per record, which costs ten times what this product may
cost. Here nothing is done per record before the processor sees it. What differs from stock:

* a chunk passes through the schema unchanged (:class:`ChunkSchema`);
* the drain loop hands over one message per partition and fetch, tagged with the *epoch* of the
  partition's last seek, which separates records fetched before a seek from those after it;
* offsets are committed up to what is *durable* (:meth:`ChunkConsumer.advance`), never by Faust's
  acks: Faust acks what an agent failed on, and what it skipped in a rebalance;
* pausing a partition reaches aiokafka, which otherwise keeps polling it;
* a partition is reported as stuck when the broker has not answered for it, and never while its
  records are not wanted;
* before partitions are revoked, they finish what is in flight and commit it.

``tests/kafka/faust_adapter/test_faust_assumptions.py`` tests what this relies on inside Faust.
"""

import asyncio
import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, ClassVar

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from faust.serializers.schemas import Schema
from faust.transport.consumer import ensure_TP, ensure_TPset
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from cdp_stream.kafka.aiokafka_patches.batch_decoding import decode_whole_batches
from cdp_stream.kafka.aiokafka_patches.fetch_limits import limit_fetches, set_up_fetches
from cdp_stream.kafka.aiokafka_patches.fetch_observer import FetchObserver
from cdp_stream.kafka.aiokafka_patches.group_member import (
    GroupMembership,
    is_member,
    leave_in_any_generation,
    membership_of,
)
from cdp_stream.kafka.clients.chunk import FETCH_BYTES, LEAST_FETCHED, MOST_FETCHED, Chunk
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.observability.log import log

__all__ = ["ChunkConsumer", "ChunkSchema", "ChunkTransport"]

_IDLE_S = 0.01


class ChunkSchema(Schema):
    """Hands a message's value to the agent as it is."""

    def compile(self, app: Any, **_options: Any) -> Any:
        """Return the decoder of a topic's messages."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return create_event(message.key, message.value, message.headers, message)

        return decode


class Arrivals:
    """What the consumer's thread has fetched, on its way to the loop that created this object.

    Attributes:
        passed_bytes: How much of what was received was passed on; set by the receiver.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[dict[Any, Chunk] | Exception] = asyncio.Queue()
        self._sent_bytes = 0  # by one thread, as `passed_bytes` by another
        self.passed_bytes = 0

    @property
    def on_their_way_bytes(self) -> int:
        """Approximate memory of what was sent and not passed on yet."""
        return self._sent_bytes - self.passed_bytes

    def send(self, fetched: dict[Any, Chunk] | Exception) -> None:
        """Send chunks, or the error that ended fetching; called in the consumer's thread."""
        if not isinstance(fetched, Exception):
            self._sent_bytes += sum(chunk.size for chunk in fetched.values())
        self._loop.call_soon_threadsafe(self._queue.put_nowait, fetched)

    async def get(self) -> dict[Any, Chunk] | Exception:
        """Receive what was sent next."""
        return await self._queue.get()


class ChunkConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that fetches: observed, read_committed, and answering within 100 ms."""

    consumer: "ChunkConsumer"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.arriving_bytes = FETCH_BYTES
        self._wanted_at: dict[TP, float] = {}
        self._reported_at: dict[TP, float] = {}

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        set_up_fetches(consumer, FETCH_BYTES)
        self.consumer.observer.attach(consumer)
        return consumer

    async def on_start(self) -> None:
        """Start the consumer; it reads nothing before it has subscribed."""
        await super().on_start()
        consumer = self._ensure_consumer()
        decode_whole_batches(consumer)
        leave_in_any_generation(consumer)

    def start_pump(self, arrivals: "Arrivals") -> Future[None]:
        """Fetch without end in this thread; chunks, or an error, arrive in another thread's loop.

        Stock Faust asks this thread for each single fetch, and then sleeps until something else
        wakes its loop.
        """

        async def pump() -> None:
            try:
                while True:
                    if arrivals.on_their_way_bytes > self.arriving_bytes:
                        await asyncio.sleep(_IDLE_S)
                    elif chunks := await self._fetch_chunks():
                        arrivals.send(chunks)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - raised again by the receiver
                arrivals.send(error)

        return asyncio.run_coroutine_threadsafe(pump(), self.thread_loop)

    async def _fetch_chunks(self) -> dict[Any, Chunk]:
        """Drain what was fetched, and note it with no await in between."""
        # The live set: a partition that is resumed meanwhile is drained by the call under way.
        active = self.consumer._get_active_partitions()
        if not (active and self.consumer.flow_active):
            await asyncio.sleep(_IDLE_S)
            return {}
        fetched = await self._fetch_records(self._ensure_consumer(), active, timeout=1.0)
        epochs, observer = self.consumer.epochs, self.consumer.observer
        chunks = {}
        for tp, records in fetched.items():
            observer.handed_over(tp, records[-1].offset)
            chunks[tp] = Chunk(records, epochs.get(tp, 0))
        return chunks

    def set_fetching(self, tps: Iterable[TP], *, on: bool) -> None:
        """Pause or resume partitions in aiokafka itself; from any thread."""
        consumer = self._consumer
        if consumer is None:
            return
        wanted = {TopicPartition(tp.topic, tp.partition) for tp in tps}
        if on:
            self._wanted_at.update(dict.fromkeys(wanted, time.monotonic()))

        def change() -> None:
            assigned = wanted & consumer.assignment()
            if assigned:
                (consumer.resume if on else consumer.pause)(*assigned)

        self.thread_loop.call_soon_threadsafe(change)

    def _verify_aiokafka_event_path(self, now: float, tp: TP) -> bool:
        """Report an input partition that should be fetched and is not; returns whether Faust has
        nothing more to check.

        Stock Faust reports partitions that are paused, as those of the changelog always are, and
        never one whose fetching has stopped: it mistakes aiokafka's wall clock for a steady one.
        """
        app, topic, number = self.consumer.app, tp.topic, tp.partition
        if topic in app.tables.changelog_topics or app.assignment.is_paused(number):
            return True
        if tp in self.consumer._paused_partitions:
            return False  # too much waits: Faust checks next whether that moves
        longest_s = self.tp_fetch_request_timeout_secs
        answered_at = self.consumer.observer.answered_at.get(tp)
        wanted_at = self._wanted_at.get(tp)
        silent_s = now - max(answered_at or 0.0, wanted_at or self.time_started)
        if silent_s < longest_s:
            self._reported_at.pop(tp, None)
            return False
        if now - self._reported_at.get(tp, -math.inf) >= longest_s:
            self._reported_at[tp] = now
            log("input_stuck", level=logging.ERROR, topic=topic, partition=number,
                silent_s=round(silent_s),
                next="check that the leader of the partition is up and can be reached")  # fmt: skip
        return True


class ChunkConsumer(driver.Consumer):
    """Delivers chunks, and commits what was delivered."""

    _thread: ChunkConsumerThread

    def __init__(self, *args: Any, **options: Any) -> None:
        self.observer = FetchObserver()
        self.epochs: dict[tuple[str, int], int] = {}
        self._progress: dict[TP, int] = {}
        super().__init__(*args, **options)

    def _new_consumer_thread(self) -> ChunkConsumerThread:
        return ChunkConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # -- reading ---------------------------------------------------------------------------------

    def fetch_at_most(self, size: int, partitions: int) -> None:
        """Limit a fetch to so many bytes of each of these partitions, within bounds.

        The sum also limits what is on its way from the thread.
        """
        of_one = max(LEAST_FETCHED, min(size, MOST_FETCHED))
        of_all = self._thread.arriving_bytes = min(of_one * max(1, partitions), FETCH_BYTES)
        limit_fetches(self._thread._ensure_consumer(), of_one, of_all)

    async def _drain_messages(self, fetcher: Any) -> None:
        arrivals = Arrivals()
        pump = self._thread.start_pump(arrivals)
        try:
            while not (self.should_stop or fetcher.should_stop):
                fetched = await arrivals.get()
                if isinstance(fetched, BaseException):
                    raise fetched
                for tp, chunk in fetched.items():
                    # Blocks while the flow is suspended; what it then delivers is of an old epoch.
                    await self.callback(self._to_chunk_message(ensure_TP(tp), chunk))
                    arrivals.passed_bytes += chunk.size
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise
        finally:
            pump.cancel()

    def _to_chunk_message(self, tp: TP, chunk: Chunk) -> ConsumerMessage:
        last = chunk.records[-1]
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.timestamp / 1000.0, last.timestamp_type,
            None, None, chunk, None, 0, 0, tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    async def start_at(self, offsets: Mapping[TP, int], epoch: int) -> None:
        """Continue reading partitions at these offsets; their chunks carry ``epoch``."""
        await self._thread.call_thread(self._seek_in_thread, offsets, epoch)
        self._read_offset.update(offsets)

    async def _seek_in_thread(self, offsets: Mapping[TP, int], epoch: int) -> None:
        consumer = self._thread._ensure_consumer()
        for tp, offset in offsets.items():
            self.observer.forget(tp)
            consumer.seek(tp, offset)
            self.epochs[tp] = epoch

    async def committed(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        """The group's committed offset of each partition, ``None`` where there is none."""
        answer: dict[TP, int | None] = await self._thread.call_thread(self._ask_committed, tps)
        self._committed_offset.update(answer)
        return answer

    async def _ask_committed(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        consumer = self._thread._ensure_consumer()
        return {tp: await consumer.committed(tp) for tp in tps}

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        """Stop fetching from partitions, long polls included."""
        tps = ensure_TPset(tps)
        super().pause_partitions(tps)
        self._thread.set_fetching(tps, on=False)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch from partitions again."""
        tps = ensure_TPset(tps)
        super().resume_partitions(tps)
        self._thread.set_fetching(tps, on=True)

    # -- committing ------------------------------------------------------------------------------

    def advance(self, tp: TP, offset: int) -> None:
        """Commit ``offset`` as the group's position of ``tp``, at the next commit.

        Everything below it has been delivered; offsets come in order.
        """
        self._progress[tp] = offset

    def moved(self, tp: TP, offset: int) -> None:
        """Note that a transaction has moved the group's position of ``tp``; nothing is committed.

        Otherwise Faust would log that commits have stopped.
        """
        self._committed_offset[tp] = offset
        self._thread.tp_last_committed_at[tp] = time.monotonic()

    def membership(self, group_id: str) -> GroupMembership:
        """This worker's present membership of the group."""
        return membership_of(self._thread._ensure_consumer(), group_id)

    async def is_member(self, member: GroupMembership) -> bool | None:
        """See :func:`~cdp_stream.kafka.aiokafka_patches.group_member.is_member`."""
        consumer = self._thread._ensure_consumer()
        answer: bool | None = await self._thread.call_thread(is_member, consumer, member)
        return answer

    def ack(self, message: Any) -> bool:
        """Note only that Faust is done with a message; commits follow :meth:`advance`."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter(list(self._progress))

    def _new_offset(self, tp: TP) -> int | None:
        return self._progress.get(tp)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish what is in flight and commit it, before partitions are revoked."""
        try:
            await self.app.assignment.release()
            await self.commit()
        except (KafkaError, OSError, TimeoutError) as error:
            # The rebalance must continue. Nothing is lost: what was not committed is read again.
            self.log.warning("commit before revocation: %r", error)
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._progress.pop(tp, None)


class ChunkTransport(driver.Transport):
    """Faust's aiokafka transport with chunks."""

    Consumer: ClassVar[type[Any]] = ChunkConsumer
