"""The topics of a stopped system: read whole, written by partition, and given more partitions."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from cdp_stream.errors import counted
from cdp_stream.kafka.clients.admin import partition_counts
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.kafka.commit.record_writer import MAX_BATCH_BYTES, send_pairs
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.kafka.topics.catalog import TOPICS
from cdp_stream.settings import Settings

__all__ = ["WAIT_S", "Pair", "Rows", "StoppedSystem"]

WAIT_S: Final = 30.0
"""How long the broker may need for a step."""
_PIECE = 5_000
_RECORDS = 1_000
"""Records in one transaction, which then takes far less time than the broker allows."""
Rows = dict[bytes, bytes]
"""The rows of a partition that are live, by key."""
Pair = tuple[bytes, bytes | None]
"""A row to write; no value removes it."""


class StoppedSystem:
    """The topics under one prefix.

    Args:
        settings: Which broker, which prefix.
        admin: A running admin client.

    Attributes:
        group: The consumer group of its workers.
        group_names: What the names of its groups begin with.
        events: Name of the input.
        changelog: Name of the topic of rows.
        state: Name of the topic of memberships.
        client: Connection settings of aiokafka clients.
        admin: The admin client.
    """

    def __init__(self, settings: Settings, admin: AIOKafkaAdminClient) -> None:
        self._settings = settings
        self.group = settings.group_id
        self.group_names = (settings.group_id, f"{settings.prefix}-sink")
        self.events = settings.topic("events")
        self.changelog = settings.topic("profiles-changelog")
        self.state = settings.topic("membership-state")
        self.client = client_settings(settings)
        self.admin = admin

    # Topics

    def outputs(self, counts: Mapping[str, int]) -> dict[str, str]:
        """The topics of outputs, and of what they rejected, among those that there are.

        Returns:
            Their names, by the output, or the output and `.rejected`.
        """
        prefix = self._settings.topic("output.")
        names = sorted(name for name in counts if name.startswith(prefix))
        return {name.removeprefix(prefix): name for name in names}

    def topics(self, counts: Mapping[str, int], either: tuple[int, int]) -> list[str]:
        """All topics that have as many partitions as the input, which has either of two counts."""
        outputs = [name for name in self.outputs(counts).values() if counts[name] in either]
        return [*(self._settings.topic(plan.suffix) for plan in TOPICS), *outputs]

    async def ask_to_grow(self, names: Iterable[str], partitions: int) -> None:
        """Ask whether topics can be given so many partitions; they have fewer.

        Raises:
            KafkaError: They cannot.
        """
        wanted = {name: NewPartitions(partitions) for name in names}
        await self.admin.create_partitions(wanted, validate_only=True)

    async def grow(
        self, names: Collection[str], partitions: int, report: Callable[[str], None]
    ) -> None:
        """Give topics so many partitions, and wait until they have them.

        Args:
            names: Of the topics.
            partitions: How many.
            report: Called if some have fewer.
        """
        counts = await partition_counts(self.admin)
        growing = {name: NewPartitions(partitions) for name in names if counts[name] < partitions}
        if growing:
            report(f"giving {counted(partitions, 'partition')} to {', '.join(sorted(growing))}")
            await self.admin.create_partitions(growing)
        async with asyncio.timeout(WAIT_S):
            while True:
                there = await partition_counts(self.admin)
                if all(there[name] >= partitions for name in names):
                    return
                await asyncio.sleep(0.1)

    # Groups

    def sink_group(self, output: str) -> str:
        """The consumer group of an output's sink."""
        return self._settings.sink_group_id(output)

    async def groups(self) -> set[str]:
        """All groups that the broker knows."""
        return {group for group, *_ in await self.admin.list_consumer_groups()}

    # Reading

    async def newest(self, topic: str, number: int) -> Rows:
        """The live rows of a partition."""
        rows: Rows = {}

        def take(_number: int, records: list[Any]) -> None:
            for record in records:
                if record.value is None:
                    rows.pop(record.key, None)
                else:
                    rows[record.key] = record.value

        await read_to_end(self.client, topic, [number], take)
        return rows

    async def count(self, topic: str, starts: Mapping[int, int]) -> int:
        """How many records are in partitions from an offset each to their ends."""
        found = 0

        def take(_number: int, records: list[Any]) -> None:
            nonlocal found
            found += len(records)

        await read_to_end(self.client, topic, list(starts), take, starts=starts)
        return found

    async def pieces(
        self, topic: str, number: int, start: int, end: int
    ) -> AsyncGenerator[list[Any]]:
        """The records of a partition between two offsets, some at a time.

        Raises:
            TimeoutError: The broker stops sending before the end.
        """
        tp = TopicPartition(topic, number)
        consumer = AIOKafkaConsumer(
            **self.client,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        async with consumer:
            consumer.assign([tp])
            consumer.seek(tp, start)
            while await consumer.position(tp) < end:
                fetched = await consumer.getmany(
                    tp, timeout_ms=int(WAIT_S * 1000), max_records=_RECORDS
                )
                if not fetched and await consumer.position(tp) < end:
                    raise TimeoutError(f"nothing came of {topic} {number} before {end}")
                records = [one for one in fetched.get(tp, ()) if one.offset < end]
                if records:
                    yield records

    # Writing

    @asynccontextmanager
    async def producer(
        self, *grown: str, partitions: int = 0, **options: Any
    ) -> AsyncIterator[AIOKafkaProducer]:
        """A running producer that knows the new number of partitions of topics that have grown."""
        producer = AIOKafkaProducer(
            **self.client, acks="all", max_batch_size=MAX_BATCH_BYTES, **options
        )
        async with producer:
            async with asyncio.timeout(WAIT_S):
                for topic in grown:
                    while len(await producer.partitions_for(topic)) < partitions:
                        await producer.client.force_metadata_update()
            yield producer

    async def send(
        self, producer: AIOKafkaProducer, topic: str, number: int, pairs: Iterable[Pair]
    ) -> None:
        """Write rows, and wait until the broker has them."""
        pairs = list(pairs)
        for start in range(0, len(pairs), _PIECE):
            piece = pairs[start : start + _PIECE]
            await asyncio.gather(*await send_pairs(producer, topic, number, piece))

    async def fence(self, before: int) -> None:
        """Fence the former owner of each partition, which may not know that it has lost it."""
        for number in range(before):
            producer = AIOKafkaProducer(**self.client, transactional_id=f"{self.group}-{number}")
            async with asyncio.timeout(WAIT_S), producer:
                pass

    @asynccontextmanager
    async def as_group(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A running consumer that knows the group's positions, and is not a member of it."""
        consumer = AIOKafkaConsumer(**self.client, group_id=self.group, enable_auto_commit=False)
        async with consumer:
            yield consumer

    async def commit(self, behind: Mapping[TopicPartition, int]) -> None:
        """Set the group's positions."""
        async with self.as_group() as consumer:
            consumer.assign(list(behind))
            await consumer.commit(dict(behind))
