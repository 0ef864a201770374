"""One partition of a prefix, and its owners one after the other."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from cdp_stream.kafka.aiokafka_patches.group_member import GroupMembership
from cdp_stream.kafka.commit.committer import Committer
from cdp_stream.kafka.commit.exactly_once import ExactlyOnceWriter
from cdp_stream.kafka.commit.partition_producer import PartitionProducer
from cdp_stream.kafka.commit.record_writer import OutputTopics
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.observability.metrics import Metrics
from cdp_stream.partition.effects import Effects
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.store.rows import MemoryRows

SUFFIXES = ("memberships", "membership-state", "rejected", "profiles-changelog")


TEN = [(b"k%d" % n, b"v" * 300) for n in range(10)]


class Partition:
    """Partition 1 of the input, and what was committed for it."""

    def __init__(self, settings):
        self.settings = settings
        self.client = {"bootstrap_servers": settings.brokers}
        self.source = TopicPartition(settings.topic("events"), 1)
        self.owners = []

    async def owner(self, *, generation=-1, member_id="", metrics=None):
        """A new owner, which fences the one before."""
        made = Owner(self, GroupMembership(self.settings.group_id, generation, member_id),
                     metrics or Metrics())  # fmt: skip
        self.owners.append(made)
        await made.committer.open()
        return made

    async def read(self, suffix):
        found = []
        async with asyncio.timeout(90):
            await read_to_end(
                self.client, self.settings.topic(suffix), [1],
                lambda _, records: found.extend((r.key, r.value, r.headers) for r in records),
            )  # fmt: skip
        return found

    async def counts(self):
        return [len(await self.read(suffix)) for suffix in SUFFIXES]

    async def position(self):
        consumer = AIOKafkaConsumer(
            **self.client, group_id=self.settings.group_id, enable_auto_commit=False
        )
        async with consumer:
            consumer.assign([self.source])
            return await consumer.committed(self.source)


class Confirmed(MemoryRows):
    """Rows that keep what was confirmed of them."""

    def __init__(self, confirmed):
        super().__init__()
        self.confirmed = confirmed

    def confirm(self, _partition, writes, position):
        self.confirmed.append((writes, position))


class Owner:
    def __init__(self, partition, membership, metrics):
        self.positions, self.confirmed = [], []
        self.metrics = metrics
        topic = partition.settings.topic
        topics = OutputTopics(*(topic(suffix) for suffix in SUFFIXES), topic("output."))
        self.producer = PartitionProducer(
            partition.client, f"{partition.settings.group_id}-1", partition.source,
            targets=topics.names, membership=lambda: membership, metrics=metrics,
        )  # fmt: skip
        self.budget = MemoryBudget(1_000_000)
        self.topics = topics
        self.committer = Committer(
            ExactlyOnceWriter(self.producer, topics, 1, self.positions.append),
            Confirmed(self.confirmed), 1, budget=self.budget, progressed=lambda: None,
        )  # fmt: skip

    async def submit(self, *pieces):
        for effects, next_offset in pieces:
            self.committer.commit(effects, next_offset)
        async with asyncio.timeout(60):
            await self.committer.drain()
        assert self.budget.used == 0

    def ended(self, outcome):
        return self.metrics.registry.get_sample_value(
            "cdp_transactions_total", {"outcome": outcome}
        )


def effects(rows=None):
    return Effects(memberships=list(TEN), state=list(TEN), rejected=[(b"r", b"v", [])],
                   rows=rows or {b"row": b"1", b"~partition": b"2"})  # fmt: skip


def batch_of(inner, records):
    batch = inner.create_batch()
    for key, value in records:
        batch.append(key=key, value=value, timestamp=None)
    batch.close()
    return batch


def epoch(owner):
    manager = owner.producer._producer._txn_manager
    return manager.producer_id, manager.producer_epoch
