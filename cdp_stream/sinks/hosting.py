"""The partitions of one output's topic that this worker holds, from taking to committing.

One task takes records and forms batches; `Deliveries` sends them; one task commits what has been
confirmed, at once and over and over, so that a crash re-sends what had no answer and little more;
one task follows `cdp.faults` and stops or goes on. Their order of writing is what loses nothing:
what Kafka's own position cannot say (`progress.py`) is durable before that position passes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Collection
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from faust.types import TP

from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.connector import AnyConnector
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.kafka.chunks import Chunk
from cdp_stream.kafka.log import log
from cdp_stream.kafka.observation import wall_ms
from cdp_stream.sinks.deletions import Deletions
from cdp_stream.sinks.destination import Destination, HttpDestination
from cdp_stream.sinks.held import HeldPartition
from cdp_stream.sinks.lists import Lists
from cdp_stream.sinks.memory import Memory
from cdp_stream.sinks.metrics import OutputMetrics
from cdp_stream.sinks.outgoing import Outgoing, Outlet, Reports
from cdp_stream.sinks.positions import SinkPlan, starting_positions
from cdp_stream.sinks.progress import Progress, says_more
from cdp_stream.sinks.reading import Reader, UnreadableError
from cdp_stream.sinks.showing import show_standing, show_waiting
from cdp_stream.sinks.standing import Standings, faulted
from cdp_stream.sinks.taken import Taken

__all__ = ["SinkHosting"]

_WAITING_RECORDS: Final = 10_000
"""A partition that holds more records is not fetched until it is down to half."""
_TICK_S: Final = 1.0
_COMMIT_GAP_S: Final = 0.02
"""Between two commits: each costs as much as sending a change."""
_RESUME_POLL_S: Final = 0.02
_SAMPLE_S: Final = 5.0
_PATIENCE_S: Final = 5.0
"""How long requests that are on their way may take to be answered once the sink has to stop."""


class SinkHosting:
    """One output's sink.

    Args:
        app: The Faust app; its consumer is used once it runs.
        plan: Topics.
        connector: Says how changes gather.
        reader: Reads records.
        destination: Takes batches; opened.
        standings: Who stands still.
        memory: What sinks remember.
        producer: For rejected changes.
        metrics: Where to count.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - put together in one place
        self,
        app: Any,
        plan: SinkPlan,
        connector: AnyConnector,
        reader: Reader,
        destination: Destination,
        standings: Standings,
        memory: Memory,
        producer: AIOKafkaProducer,
        metrics: OutputMetrics,
    ) -> None:
        self._app = app
        self._plan = plan
        self._connector = connector
        self._reader = reader
        self._destination = destination
        self._standings = standings
        self._memory = memory
        self._metrics = metrics
        self._lists: Lists | None = None
        if isinstance(destination, HttpDestination) and destination.connector.creates_lists:
            self._lists = Lists(plan.output, destination, memory, lambda: 0 in self._partitions)
        self._outgoing = Outgoing(
            Outlet(
                destination, connector.gathering, self._lists, producer, plan.rejected, plan.output
            ),
            Reports(self._goes_on, self._delivered, self._fault, self.fail),
            metrics,
        )
        self._deletions = Deletions(
            memory,
            plan.partitions,
            act=self._outgoing.add_alone,
            done=self._deletion_done,
        )
        self._partitions: dict[int, HeldPartition] = {}
        self._epochs = itertools.count(1)
        self._releases = 0
        self._open = False
        self._halted = self._at_rest = False
        self._stopped: set[str] = set()
        self._to_let_go: list[Taken] = []
        self._wake = asyncio.Event()
        self._standing_changed = asyncio.Event()
        self._confirmed = asyncio.Event()
        self._commits = asyncio.Lock()
        self._changes = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._writes: set[asyncio.Task[None]] = set()
        self._faulting: set[str] = set()
        self._unlisten: list[Any] = []
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self.ready = False

    # -- what Faust calls ------------------------------------------------------------------------

    def accept(self, partition: int, chunk: Chunk) -> None:
        """Take a chunk over from the agent; one fetched before the last seek is dropped."""
        held = self._partitions.get(partition)
        if held is None:
            return
        if self._halted:
            if held.first_seen is None:
                held.first_seen = chunk.records[0].timestamp
            self._app.consumer.pause_partitions({self._tp(partition)})
            return
        if chunk.epoch != held.epoch:
            return
        held.add(chunk)
        if held.waiting > _WAITING_RECORDS and not held.paused:
            held.paused = True
            self._app.consumer.pause_partitions({self._tp(partition)})
        self._wake.set()

    async def release(self) -> None:
        """Let what is on its way be answered, commit that, and hold nothing any more."""
        self._releases += 1
        self._open = self.ready = False
        async with self._changes:
            await self._come_to_rest()
            await self._commit(final=True)
            self._partitions.clear()

    async def restore(self, assigned: Collection[int], generation: int) -> bool:
        """Hold exactly these partitions, each going on where it was.

        Returns:
            Whether they are held now; not if they were released again meanwhile.
        """
        del generation
        releases = self._releases
        await self._standings.topic.caught_up()
        await self._memory.topic.caught_up()
        async with self._changes:
            positions = await starting_positions(
                self._app.consumer, self._plan, self._memory, sorted(assigned)
            )
            if self._releases != releases or self.failure is not None:
                return False
            self._stopped = set(self._standings.stopped_connections(self._plan.output))
            self._halted = self._standings.record(self._plan.output) is not None
            self._at_rest = False
            self._partitions = {}
            for number, position in positions.items():
                kept = self._memory.kept(self._plan.output, number)
                progress = Progress(position, kept, self._stopped)
                self._partitions[number] = HeldPartition(number, progress, kept)
            await self._seek(self._partitions)
        self._start_tasks()
        self._open = self.ready = True
        self._standing_changed.set()
        self._wake.set()
        log("output_partitions_assigned", output=self._plan.output, partitions=sorted(assigned))
        return True

    async def stop(self) -> None:
        """Release everything, for good."""
        if self._writes:
            await asyncio.wait(self._writes, timeout=_PATIENCE_S)
        await self.release()
        for unlisten in self._unlisten:
            unlisten()
        self._unlisten.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def wake_up(self) -> None:
        """Look again whether there is something to do."""
        self._wake.set()

    def fail(self, error: BaseException) -> None:
        """End the sink: nothing more is started, and the position stays where it is."""
        self._open = self.ready = False
        self.failure = self.failure or error
        self.failed.set()
        self._wake.set()

    def _tp(self, number: int) -> TP:
        return TP(self._plan.topic, number)

    async def _seek(self, partitions: dict[int, HeldPartition]) -> None:
        """Read partitions from where their progress says."""
        if not partitions:
            return
        epoch = next(self._epochs)
        starts = {}
        for number, held in partitions.items():
            held.drop_waiting()
            # Before the seek: what is fetched behind it may be here before we go on.
            held.epoch = epoch
            starts[self._tp(number)] = held.progress.start
        await self._app.consumer.start_at(starts, epoch)

    def _start_tasks(self) -> None:
        if self._tasks:
            return
        works = (self._take_on(), self._commit_on(), self._follow_standing(), self._tick())
        self._tasks = [asyncio.create_task(self._guarded(work)) for work in works]
        self._unlisten = [
            self._standings.topic.listen(lambda _key: self._standing_changed.set()),
            self._memory.topic.listen(lambda _key: self._confirmed.set()),
        ]

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - the outer edge: it ends the sink, told once
            self.fail(error)

    # -- taking ------------------------------------------------------------------------------------

    async def _take_on(self) -> None:
        while self.failure is None:
            self._wake.clear()
            if not await self._round():
                await self._wait_for_work()

    async def _round(self) -> bool:
        worked = False
        for held in list(self._partitions.values()):
            if not self._may_take():
                break
            records = held.take_slice()
            if records:
                worked = True
                self._take(held, records)
                await asyncio.sleep(0)
            if held.paused and held.waiting <= _WAITING_RECORDS // 2:
                held.paused = False
                self._app.consumer.resume_partitions({self._tp(held.number)})
        if self._open and not self._halted:
            self._outgoing.send_due(time.monotonic())
        return worked

    def _may_take(self) -> bool:
        return self._open and not self._halted and self._outgoing.has_room

    async def _wait_for_work(self) -> None:
        due = self._outgoing.next_due
        wait = _TICK_S if due is None else max(0.0, min(_TICK_S, due - time.monotonic()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._wake.wait()

    def _take(self, held: HeldPartition, records: list[Any]) -> None:
        now, progress = time.monotonic(), held.progress
        held.first_seen = None
        for record in records:
            offset = record.offset
            try:
                change = self._reader.read(record.value)
            except UnreadableError as error:
                self._put_aside(held, record, str(error))
                continue
            except Fault as fault:
                connection = _connection_of(record.value)
                self._fault(fault, connection)
                progress.take(offset, connection)
                continue
            if not progress.take(offset, change.connection, record.timestamp):
                continue
            held.dated[offset] = record.timestamp
            item = Taken(change, held.number, offset, record.timestamp, record.key, record.value)
            if change.action == AUDIENCE_DELETE:
                self._take_deletion(held, item)
            else:
                self._outgoing.add(item, now)
        held.last = records[-1].offset
        progress.read(held.last + 1)
        self._confirmed.set()

    def _put_aside(self, held: HeldPartition, record: Any, why: str) -> None:
        """A record that is no change is rejected; it waits like one until that is written."""
        if not held.progress.take(record.offset, ""):
            return
        held.dated[record.offset] = record.timestamp
        nothing = OutputChange("", "unreadable", "", "", "", 0, None, (), {}, "", None, None, {})
        item = Taken(nothing, held.number, record.offset, record.timestamp, record.key,
                     record.value or b"")  # fmt: skip

        async def reject() -> None:
            await self._outgoing.reject([item], Outcome({0: why}))
            self._metrics.unreadable()
            self._confirm([item])

        self._write(reject())

    # -- what came of it ---------------------------------------------------------------------------

    def _goes_on(self, connection: str) -> bool:
        return self._open and not self._halted and connection not in self._stopped

    def _delivered(self, items: Collection[Taken]) -> None:
        self._confirm(self._deletions.acted(items))

    def _confirm(self, items: Collection[Taken]) -> None:
        for item in items:
            held = self._partitions.get(item.partition)
            if held is not None:
                held.progress.confirm(item.offset, item.change.connection)
                held.dated.pop(item.offset, None)
        self._confirmed.set()
        self._wake.set()

    def _take_deletion(self, held: HeldPartition, item: Taken) -> None:
        connection = item.change.connection
        action = item.change.message.get("on_audience_delete", self._connector.on_audience_delete)
        self._outgoing.flush(connection)
        if action == "keep":
            self._confirm([item])
            return
        held.progress.hold(connection, item.offset, held.dated)
        self._deletions.add(item)

    def _deletion_done(self, item: Taken) -> None:
        self._confirm([item])
        self._to_let_go.append(item)
        self._standing_changed.set()

    # -- committing --------------------------------------------------------------------------------

    async def _commit_on(self) -> None:
        while self.failure is None:
            await self._confirmed.wait()
            self._confirmed.clear()
            if self._open:
                await self._commit()
                await self._deletions.advance(self._is_next)
                await asyncio.sleep(_COMMIT_GAP_S)

    def _is_next(self, item: Taken) -> bool:
        """Whether what is kept says that a connection has come to this item of its own."""
        held = self._partitions.get(item.partition)
        kept = {} if held is None or held.written is None else held.written.get("connections", {})
        entry = kept.get(item.change.connection)
        return entry is not None and entry["offset"] == item.offset

    async def _commit(self, *, final: bool = False) -> None:
        """Keep what must be kept, then move the group's position."""
        consumer = self._app.consumer
        async with self._commits:
            for held in list(self._partitions.values()):
                self._note_end(held)
                progress = held.progress
                progress.settle()
                position = progress.position
                kept = progress.kept(all_confirmed=self._halted or final)
                # Counts alone are not worth a record each time.
                if kept != held.written and (
                    says_more(kept, held.written)
                    or self._halted
                    or final
                    or time.monotonic() - held.written_at >= _SAMPLE_S
                ):
                    await self._memory.keep(self._plan.output, held.number, kept)
                    held.written, held.written_at = kept, time.monotonic()
                if self._partitions.get(held.number) is held:
                    consumer.advance(self._tp(held.number), position)
            try:
                await consumer.commit()
            except KafkaError as error:
                log("output_commit_failed", level=logging.WARNING, output=self._plan.output,
                    reason=type(error).__name__, next="nothing: it is tried again")  # fmt: skip

    def _note_end(self, held: HeldPartition) -> None:
        """Pass over what is behind the last record and handed to nobody: ends of transactions."""
        end = self._app.consumer.observation.ends.get((self._plan.topic, held.number))
        # An answer to a question from before a seek may come behind it; it speaks of the same only
        # where a record that has been looked at since is the last.
        if end is None or held.chunks or self._halted or held.last < 0:
            return
        if end.after == held.last and end.end > held.last + 1:
            held.progress.read(end.end)

    # -- stopping and going on ---------------------------------------------------------------------

    def _fault(self, fault: Fault, connection: str) -> None:
        """Stop what the fault stops, at once, and have it written."""
        output = self._plan.output
        whole = fault.scope == "output"
        if self._halted or (not whole and connection in self._stopped):
            return
        if whole:
            self._halted = True
        else:
            self._stop_connection(connection)
        self._metrics.faulted(fault.scope)
        log("output_fault", level=logging.ERROR, output=output,
            connection=None if whole else connection, reason=fault.message,
            next=f"cdp outputs resume {output}"
            + ("" if whole else f" --connection '{connection}'"))  # fmt: skip
        record = faulted(output, None if whole else connection, fault.message, wall_ms())
        self._faulting.add(record["id"])

        async def write() -> None:
            await self._standings.put(record)
            self._faulting.discard(record["id"])
            self._standing_changed.set()

        self._write(write())

    def _write(self, work: Any) -> None:
        """Have something written that must not be cut short."""
        task = asyncio.create_task(self._guarded(work))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _follow_standing(self) -> None:
        while self.failure is None:
            await self._standing_changed.wait()
            self._standing_changed.clear()
            if self._open:
                async with self._changes:
                    await self._apply_standing()

    async def _apply_standing(self) -> None:
        output = self._plan.output
        halt = self._standings.record(output) is not None or output in self._faulting
        if halt and not (self._halted and self._at_rest):
            self._halted = self._at_rest = True
            await self._come_to_rest()
            await self._commit()
            log("output_stopped", output=output)
        stopped = self._standings.stopped_connections(output) | (self._faulting - {output})
        for connection in stopped - self._stopped:
            self._stop_connection(connection)
            log("output_connection_stopped", output=output, connection=connection)
        if resumed := self._stopped - stopped:
            await self._resume_connections(resumed, seek=not halt)
        if self._to_let_go:
            await self._let_go(seek=not halt)
        if self._halted and not halt and self._open:
            self._halted = self._at_rest = False
            await self._seek(self._partitions)
            self._app.consumer.resume_partitions({self._tp(n) for n in self._partitions})
            log("output_resumed", output=output)
        self._confirmed.set()
        self._wake.set()
        self._show_standing()

    async def _come_to_rest(self) -> None:
        """Deliver nothing more; what has not been confirmed by the end will be read again."""
        # One of which nothing has been seen is fetched until it is known since when it waits.
        seen = {self._tp(n) for n, held in self._partitions.items() if held.oldest() is not None}
        if seen and self._halted:
            self._app.consumer.pause_partitions(seen)
        await self._outgoing.come_to_rest(_PATIENCE_S)
        for held in self._partitions.values():
            held.first_seen = held.oldest()
            held.drop_waiting()
            held.progress.step_back()
            held.dated.clear()
        self._deletions.clear()
        self._to_let_go.clear()

    def _stop_connection(self, connection: str) -> None:
        self._stopped.add(connection)
        for held in self._partitions.values():
            held.progress.stop(connection, held.dated)
        for item in self._outgoing.stop_connection(connection):
            if item.partition in self._partitions:
                self._partitions[item.partition].dated.pop(item.offset, None)
        self._deletions.drop(connection)
        self._confirmed.set()

    async def _resume_connections(self, connections: set[str], *, seek: bool) -> None:
        """Go on where each was; first what is on its way of them must have come to its end."""
        while self._outgoing.has(connections):
            if not self._open:
                return  # it is looked at again when partitions are assigned
            await asyncio.sleep(_RESUME_POLL_S)
        again: dict[int, HeldPartition] = {}
        for connection in sorted(connections):
            self._stopped.discard(connection)
            log("output_connection_resumed", output=self._plan.output, connection=connection)
        for number, held in self._partitions.items():
            for connection in connections:
                if held.progress.resume(connection):
                    again[number] = held
        if seek:
            await self._read_again(again)

    async def _let_go(self, *, seek: bool) -> None:
        """Go on with connections behind the deletions that held them."""
        again: dict[int, HeldPartition] = {}
        for item in self._to_let_go:
            held = self._partitions.get(item.partition)
            if held is not None and held.progress.let_go(item.change.connection):
                again[item.partition] = held
        self._to_let_go.clear()
        if seek:
            await self._read_again(again)

    async def _read_again(self, partitions: dict[int, HeldPartition]) -> None:
        if partitions:
            await self._seek(partitions)
            self._app.consumer.resume_partitions({self._tp(number) for number in partitions})

    # -- what is shown -----------------------------------------------------------------------------

    async def _tick(self) -> None:
        sampled = 0.0
        while self.failure is None:
            await asyncio.sleep(_TICK_S)
            self._confirmed.set()
            await self._destination.idle()
            if self._lists is not None and self._open and not self._halted:
                self._lists.make_wanted(self._reader, self._fault)
            if self._open and time.monotonic() - sampled >= _SAMPLE_S:
                sampled = time.monotonic()
                await show_waiting(
                    self._app.consumer, self._plan.topic, self._partitions, self._metrics
                )
                self._show_standing()

    def _show_standing(self) -> None:
        show_standing(self._standings, self._plan.output, self._metrics)


def _connection_of(value: bytes | None) -> str:
    return str(orjson.loads(value or b"{}").get("connection", ""))
