"""The task of one partition without a broker: a test brings records and takes the steps."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

from cdp_stream.core.model.definition import Account
from cdp_stream.formats.backfill_rows import Source
from cdp_stream.kafka.aiokafka_patches.fetch_observer import FetchObserver
from cdp_stream.kafka.clients.chunk import Chunk
from cdp_stream.kafka.history.reader import HistorySlice, Start
from cdp_stream.kafka.runtime.partition_task import PartitionTask
from cdp_stream.kafka.runtime.task_context import TaskContext
from cdp_stream.observability.metrics import Metrics
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.processor import ProfileProcessor
from cdp_stream.partition.sources import JoinedLog
from cdp_stream.settings import Settings
from cdp_stream.store.rows import MemoryRows
from tests.core.accounts import DAY, SHORT, audience, has
from tests.partition.records import plan

RED = audience("red", has("color", "equals", "red", "short"), workspace="short")
HOME = replace(SHORT, lifetime_ms=30 * DAY)


def version(number, *audiences):
    account = Account("acme", (HOME,), (*plan().account.audiences, *audiences))
    return Definitions(str(number), 1, account)


class Versions:
    """Definitions that a test replaces; those with numbers above ``newest`` have not been read."""

    topic = "cdp.definitions"

    def __init__(self, latest):
        self.latest = latest
        self.newest = 0
        self.are_lost = False
        self.invalid = 0

    async def start(self, changed):
        pass

    async def stop(self):
        pass

    def known(self, version):
        is_there = version == self.latest.version and not self.are_lost
        return self.latest if is_there else None

    def is_newer(self, version):
        return int(version) > int(self.latest.version)

    def has_read(self, version):
        return int(version) <= self.newest

    def between(self, version, later):
        return []


class Committer:
    """Everything is durable at once, or when the test says so."""

    def __init__(self, store):
        self.store = store
        self.pieces = []
        self.failed = False
        self.failure = None
        self.busy = False
        self.is_atomic = True

    @property
    def is_idle(self):
        return not self.busy

    @property
    def is_ready(self):
        return True

    def commit(self, effects, next_offset=None, *, barrier=False):
        self.store.write(0, effects.rows)
        self.pieces.append((effects, next_offset, barrier))

    async def close(self):
        self.failed = True


class SteadyClock:
    """Stands still until the test moves it."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


class Consumer:
    """Knows what a broker said, and which partitions are paused."""

    def __init__(self):
        self.observer = FetchObserver()
        self.paused = set()

    def pause_partitions(self, tps):
        self.paused |= tps

    def resume_partitions(self, tps):
        self.paused -= tps


class History:
    """The log of one partition as its history reader gives it."""

    def __init__(self, log):
        self.log = log
        self.history = JoinedLog((Source(0, 0),))
        self.start = Start(0, log_is_shorter=False)
        self.taken = 0

    def next_slice(self, limit, through):
        records = [
            one for one in self.log[self.taken : self.taken + limit] if one.offset <= through
        ]
        self.taken += len(records)
        return HistorySlice(records, records[-1].offset if len(records) == limit else through, 0)

    async def close(self):
        pass


class Context(TaskContext):
    """What tasks share, with no broker."""

    def __init__(self, store, source=None, **settings):
        app = SimpleNamespace(consumer=Consumer(), holds_lease=True)
        settings = Settings(**{"clock": "stream", "grace": 0, **settings})
        super().__init__(app, settings, store, Metrics(), source, SteadyClock())
        self.log = []

    def history_reader(self, wanted):
        return History(self.log)


class Driven:
    """One partition's task, driven by a test.

    Attributes:
        task: The task.
        source: Its definitions.
        committer: What the task has committed.
        rows: Its rows.
    """

    def __init__(self, definitions, rows=None, **settings):
        self.source = Versions(definitions)
        store = MemoryRows()
        if rows:
            store.write(0, rows)
        self.rows = store.rows(0)
        self.context = Context(store, self.source, **settings)
        processor = ProfileProcessor(definitions, "cdp.events", 0, known=self.source.known)
        processor.restore(self.rows)
        self.committer = Committer(store)
        self.task = PartitionTask(0, processor, self.committer, self.context)
        self.task.begin_epoch(0)

    @property
    def rollout(self):
        return self.task.processor.rollout

    @property
    def observer(self):
        return self.context.app.consumer.observer

    def brings(self, *records):
        self.context.log += records
        self.task.accept(Chunk(list(records), 0))

    async def steps(self):
        """Step until there is nothing to do; returns the pieces that were committed."""
        before = len(self.committer.pieces)
        for _ in range(500):
            if self.task.is_ready and self.task.step():
                continue
            if not await self.has_prepared():
                return self.committer.pieces[before:]
        raise AssertionError("it never ends")

    async def has_prepared(self):
        """Wait for what is being prepared in another thread; whether anything was."""
        self.context.work.clear()
        await asyncio.sleep(0)  # a preparation that is asked for begins now
        if self.context.work.is_set():
            return True
        if not self.context.preparation.locked():
            return False
        await self.context.work.wait()
        return True

    async def switches_to(self, definitions):
        """New definitions are put in force; the partition does nothing else meanwhile."""
        self.source.latest = definitions
        while self.rollout.version != definitions.version:
            self.task.read_history()  # asks for what is to be prepared, and there is no backfill
            await self.has_prepared()
            self.task.step()
