"""Giving a system more partitions: its state is moved through the log.

Kafka places a profile by its id and the number of partitions, so with another number most profiles
have another place. The order of the steps makes each of them safe to be interrupted and done again:

1. Nobody works: the groups have no members, old owners are fenced, the input is read to its end.
2. A marker is written to every partition of the changelog. No worker starts on one.
3. All topics but the input get their partitions. From here on the counts differ, which no worker
   starts on either.
4. Rows and memberships that move are *copied* to where they go.
5. All copies are there, which the marker says now: they are *removed* from where they were.
6. The input gets its partitions. What a producer has published meanwhile by the old number is
   forwarded, in its order.
7. The marker goes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import KafkaError

from cdp_stream.errors import BrokerError, UsageError
from cdp_stream.formats.rows import (
    PARTITION_KEY,
    REPARTITION_KEY,
    PartitionState,
    as_moved,
    decode_partition,
    encode_partition,
)
from cdp_stream.kafka.changelog import read_to_end
from cdp_stream.kafka.connection import client_settings
from cdp_stream.kafka.delivery import MAX_BATCH_BYTES, send_pairs, send_records
from cdp_stream.kafka.guarantee import why_no_transactions
from cdp_stream.kafka.produce import Routing
from cdp_stream.kafka.topics import TOPICS, partition_counts, started_admin
from cdp_stream.partition.relocation import (
    COPY,
    REMOVE,
    Marker,
    check_ready,
    is_own,
    own_rows,
    profile_of_membership,
)
from cdp_stream.settings import Settings

__all__ = ["Repartitioned", "repartition"]

_PIECE = 5_000
_WAIT_S = 30.0
_NEVER = encode_partition(PartitionState(-1, -1))
Rows = dict[bytes, bytes]
Pair = tuple[bytes, bytes | None]


@dataclass(slots=True)
class Repartitioned:
    """What was done, or, in a dry run, what would be.

    Attributes:
        before: How many partitions there were.
        after: How many there are.
        profiles: Rows that moved.
        memberships: Records of the state topic that moved.
        forwarded: Records of the input that came in meanwhile, and were published again.
        resumed: Whether it went on with a move that was interrupted.
    """

    before: int
    after: int
    profiles: int = 0
    memberships: int = 0
    forwarded: int = 0
    resumed: bool = False


async def repartition(
    settings: Settings,
    partitions: int,
    *,
    dry_run: bool = False,
    tell: Callable[[str], None] = lambda _line: None,
) -> Repartitioned:
    """Give all topics of a system so many partitions, and move its state with them.

    Args:
        settings: Which broker, which prefix.
        partitions: How many there are to be; more than there are.
        dry_run: Check and count, and change nothing.
        tell: Told what is begun.

    Returns:
        What was done; nothing was if ``before`` and ``after`` are the same.

    Raises:
        UsageError: It cannot be so many.
        BrokerError: Somebody is at work, input waits, or the broker refuses.
    """
    async with AsyncExitStack() as stack:
        admin = await started_admin(settings)
        stack.push_async_callback(admin.close)
        move = _Move(settings, admin, partitions, tell)
        try:
            return await move.run(dry_run=dry_run)
        except (KafkaError, TimeoutError) as error:
            raise BrokerError(
                f"the broker at {settings.broker} refused a step: {error!r}",
                "check its log and this client's rights, then run the same command again",
            ) from error


class _Move:
    """One run of the procedure."""

    def __init__(
        self,
        settings: Settings,
        admin: AIOKafkaAdminClient,
        partitions: int,
        tell: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._client = client_settings(settings)
        self._admin = admin
        self._to = partitions
        self._tell = tell
        self._routing = Routing(partitions)
        self._events = settings.topic("events")
        self._changelog = settings.topic("profiles-changelog")
        self._state = settings.topic("membership-state")
        self._done = Repartitioned(partitions, partitions)

    async def run(self, *, dry_run: bool) -> Repartitioned:
        counts = await partition_counts(self._admin)
        missing = [t.suffix for t in TOPICS if self._settings.topic(t.suffix) not in counts]
        if missing:
            raise BrokerError(
                f"{self._settings.topic(missing[0])} is not there: no worker has run with this "
                "prefix",
                "name the prefix of the system that you mean with --prefix",
            )
        own = await self._own_rows(counts[self._changelog])
        marker = self._begun(own, counts)
        self._done.before = marker.before
        if marker.before == self._to:
            return self._done
        await self._check_nobody_works(counts)
        transactional = not await why_no_transactions(self._settings)
        if transactional and not dry_run:
            await self._fence(marker.before)
        if not self._done.resumed:
            await self._check_input_is_read(own, marker)
        if dry_run:
            await self._count(marker)
            return self._done
        await self._act(counts, own, marker, transactional=transactional)
        return self._done

    async def _act(
        self,
        counts: Mapping[str, int],
        own: Mapping[int, Rows],
        marker: Marker,
        *,
        transactional: bool,
    ) -> None:
        before = range(marker.before)
        if marker.phase == COPY:
            async with self._producer() as producer:
                await self._mark(producer, marker, marker.before)
            await self._grow(counts, [t for t in self._topics(counts) if t != self._events])
        async with self._producer(self._changelog, self._state) as producer:
            if marker.phase == COPY:
                await self._mark(producer, marker, marker.after)
                for number in before:
                    self._tell(f"copying the profiles of partition {number}")
                    await self._copy(producer, number)
                rows = own_rows({number: own[number] for number in before}, marker)
                for number, pairs in rows.items():
                    await self._send(producer, self._changelog, number, pairs.items())
                await self._mark(producer, marker._replace(phase=REMOVE), marker.after)
            for number in before:
                self._tell(f"removing from partition {number} what was copied")
                await self._remove(producer, number)
            await self._grow(await partition_counts(self._admin), [self._events])
            await self._forward(own, marker, transactional=transactional)
            for number in range(marker.after):
                await self._send(producer, self._changelog, number, [(REPARTITION_KEY, None)])

    # -- whether it may begin --------------------------------------------------------------------

    def _begun(self, own: Mapping[int, Rows], counts: Mapping[str, int]) -> Marker:
        """The marker of a move that was interrupted, or that of one to begin."""
        for rows in own.values():
            if REPARTITION_KEY in rows:
                marker = Marker.decode(rows[REPARTITION_KEY])
                if marker.after != self._to:
                    raise UsageError(
                        f"a move to {marker.after} partitions was begun and is not finished",
                        f"finish it first: --partitions {marker.after}",
                    )
                self._done.resumed = True
                return marker
        there = counts[self._events]
        if self._to < there:
            raise UsageError(
                f"{self._events} has {there} partitions, and Kafka cannot make them fewer",
                "start afresh with another --prefix, and publish the events there",
            )
        for plan in TOPICS:
            if counts[name := self._settings.topic(plan.suffix)] != there:
                raise BrokerError(
                    f"{name} has {counts[name]} partitions, but {self._events} has {there}",
                    f"give {name} {there} partitions first",
                )
        check_ready(own)
        return Marker(there, self._to, COPY)

    async def _check_nobody_works(self, counts: Mapping[str, int]) -> None:
        prefix = self._settings.prefix
        listed = {group for group, *_ in await self._admin.list_consumer_groups()}
        ours = sorted(
            g for g in listed if g.startswith((self._settings.group_id, f"{prefix}-sink"))
        )
        for response in await self._admin.describe_consumer_groups(ours) if ours else []:
            for _error, group, state, *_ in response.groups:
                if state not in ("Empty", "Dead"):
                    raise BrokerError(
                        f"workers are still running: the group {group} has members ({state})",
                        "stop all workers (SIGTERM), wait for their session to end, and try again",
                    )
        outputs = self._outputs(counts)
        for group in ours:
            if group != self._settings.group_id:
                await self._check_outputs_are_sent(group, outputs)

    async def _check_outputs_are_sent(self, group: str, outputs: Iterable[str]) -> None:
        known = await self._admin.list_consumer_group_offsets(group)
        for topic in outputs:
            starts = {tp.partition: max(0, known[tp].offset) for tp in known if tp.topic == topic}
            waiting = await self._records(topic, starts)
            if count := sum(map(len, waiting.values())):
                raise BrokerError(
                    f"{count} changes in {topic} have yet to be sent",
                    "let workers send them (cdp outputs list shows what holds them up): moved "
                    "profiles' later changes would overtake them",
                )

    async def _check_input_is_read(self, own: Mapping[int, Rows], marker: Marker) -> None:
        waiting = await self._records(self._events, await self._positions(own, marker))
        if count := sum(map(len, waiting.values())):
            raise BrokerError(
                f"{count} records of {self._events} have not been applied yet",
                "stop the producers, let workers run until nothing waits "
                "(cdp_input_lag_records), then stop them",
            )

    async def _positions(self, own: Mapping[int, Rows], marker: Marker) -> dict[int, int]:
        """The next offset of the input that each old partition has yet to apply."""
        consumer = AIOKafkaConsumer(
            **self._client, group_id=self._settings.group_id, enable_auto_commit=False
        )
        async with consumer:
            positions = {}
            for number in range(marker.before):
                tp = TopicPartition(self._events, number)
                consumer.assign([tp])
                state = own[number].get(PARTITION_KEY)
                applied = -1 if state is None else decode_partition(state).position
                positions[number] = max(await consumer.committed(tp) or 0, applied + 1)
            return positions

    async def _fence(self, before: int) -> None:
        """Keep whoever held a partition, and does not know that it was lost, from writing."""
        for number in range(before):
            producer = AIOKafkaProducer(
                **self._client, transactional_id=f"{self._settings.group_id}-{number}"
            )
            async with asyncio.timeout(_WAIT_S), producer:
                pass

    # -- topics ----------------------------------------------------------------------------------

    def _outputs(self, counts: Mapping[str, int]) -> list[str]:
        return sorted(name for name in counts if name.startswith(self._settings.topic("output.")))

    def _topics(self, counts: Mapping[str, int]) -> list[str]:
        """All topics that have as many partitions as the input."""
        outputs = [n for n in self._outputs(counts) if counts[n] in (self._done.before, self._to)]
        return [*(self._settings.topic(plan.suffix) for plan in TOPICS), *outputs]

    async def _grow(self, counts: Mapping[str, int], names: Iterable[str]) -> None:
        growing = {name: NewPartitions(self._to) for name in names if counts[name] < self._to}
        if growing:
            self._tell(f"giving {self._to} partitions to {', '.join(sorted(growing))}")
            await self._admin.create_partitions(growing)
        async with asyncio.timeout(_WAIT_S):
            while True:
                there = await partition_counts(self._admin)
                if all(there[name] >= self._to for name in names):
                    return
                await asyncio.sleep(0.1)

    # -- rows ------------------------------------------------------------------------------------

    async def _newest(self, topic: str, number: int) -> Rows:
        """The live rows of a partition."""
        rows: Rows = {}

        def take(_number: int, records: list[Any]) -> None:
            for record in records:
                if record.value is None:
                    rows.pop(record.key, None)
                else:
                    rows[record.key] = record.value

        await read_to_end(self._client, topic, [number], take)
        return rows

    async def _own_rows(self, partitions: int) -> dict[int, Rows]:
        own = {}
        for number in range(partitions):
            rows = await self._newest(self._changelog, number)
            own[number] = {key: value for key, value in rows.items() if is_own(key)}
        return own

    async def _moving(self, topic: str, number: int) -> dict[int, list[Pair]]:
        """The rows of a partition that belong elsewhere, by where."""
        moving: dict[int, list[Pair]] = {}
        for key, value in (await self._newest(topic, number)).items():
            if topic == self._state:
                place = self._routing.partition_of(profile_of_membership(key))
            elif is_own(key):
                continue
            else:
                place = self._routing.partition_of(key)
            if place != number:
                moving.setdefault(place, []).append((key, value))
        return moving

    async def _count(self, marker: Marker) -> None:
        for number in range(marker.before):
            rows = await self._moving(self._changelog, number)
            members = await self._moving(self._state, number)
            self._done.profiles += sum(map(len, rows.values()))
            self._done.memberships += sum(map(len, members.values()))

    async def _copy(self, producer: AIOKafkaProducer, number: int) -> None:
        for place, pairs in (await self._moving(self._changelog, number)).items():
            moved = [(key, None if value is None else as_moved(value))
                     for key, value in pairs]  # fmt: skip
            await self._send(producer, self._changelog, place, moved)
        for place, pairs in (await self._moving(self._state, number)).items():
            await self._send(producer, self._state, place, pairs)

    async def _remove(self, producer: AIOKafkaProducer, number: int) -> None:
        for topic in (self._changelog, self._state):
            for pairs in (await self._moving(topic, number)).values():
                await self._send(producer, topic, number, [(key, None) for key, _ in pairs])
                if topic == self._changelog:
                    self._done.profiles += len(pairs)
                else:
                    self._done.memberships += len(pairs)

    async def _mark(self, producer: AIOKafkaProducer, marker: Marker, partitions: int) -> None:
        for number in range(partitions):
            pair = (REPARTITION_KEY, marker.encode())
            await self._send(producer, self._changelog, number, [pair])

    @asynccontextmanager
    async def _producer(self, *grown: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
        """A running producer that knows the new partitions of topics that were given some."""
        producer = AIOKafkaProducer(
            **self._client, acks="all", max_batch_size=MAX_BATCH_BYTES, **options
        )
        async with producer:
            async with asyncio.timeout(_WAIT_S):
                for topic in grown:
                    while len(await producer.partitions_for(topic)) < self._to:
                        await producer.client.force_metadata_update()
            yield producer

    async def _send(
        self, producer: AIOKafkaProducer, topic: str, number: int, pairs: Iterable[Pair]
    ) -> None:
        """Write rows, and wait until they are there."""
        pairs = list(pairs)
        for start in range(0, len(pairs), _PIECE):
            piece = pairs[start : start + _PIECE]
            await asyncio.gather(*await send_pairs(producer, topic, number, piece))

    # -- what came in meanwhile ------------------------------------------------------------------

    async def _records(self, topic: str, starts: Mapping[int, int]) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {number: [] for number in starts}
        await read_to_end(
            self._client, topic, list(starts), lambda n, records: found[n].extend(records),
            starts=starts,
        )  # fmt: skip
        return found

    async def _forward(
        self, own: Mapping[int, Rows], marker: Marker, *, transactional: bool
    ) -> None:
        """Publish again, where they belong now, the records that came in by the old number.

        Those of a partition and the group's position behind them are one transaction, where there
        are transactions.
        """
        group = self._settings.group_id
        rows = own_rows({number: own[number] for number in range(marker.before)}, marker)
        waiting = await self._records(self._events, await self._positions(own, marker))
        for number, records in waiting.items():
            if all(self._is_placed(record, number) for record in records):
                continue
            last = records[-1].offset
            behind = {TopicPartition(self._events, number): last + 1}
            # A position of the group without one in the rows would tell of a lost changelog.
            state = decode_partition(rows[number].get(PARTITION_KEY, _NEVER))
            row = [(PARTITION_KEY, encode_partition(state._replace(position=last)))]
            if not transactional:
                async with self._producer(self._events) as producer:
                    await self._publish(producer, records)
                    await self._send(producer, self._changelog, number, row)
                await self._commit(behind)
            else:
                options = {"transactional_id": f"{group}-repartition"}
                sending = self._producer(self._events, **options)
                async with sending as producer, producer.transaction():
                    await self._publish(producer, records)
                    await self._send(producer, self._changelog, number, row)
                    await producer.send_offsets_to_transaction(behind, group)
            self._done.forwarded += len(records)

    def _is_placed(self, record: Any, number: int) -> bool:
        return record.key is None or self._routing.partition_of(record.key) == number

    async def _publish(self, producer: AIOKafkaProducer, records: Iterable[Any]) -> None:
        for record in records:
            place = self._routing.partition_of(record.key)
            item = (record.key, record.value, list(record.headers))
            at = record.timestamp
            sent = await send_records(producer, self._events, place, [item], timestamp=at)
            await asyncio.gather(*sent)

    async def _commit(self, behind: Mapping[TopicPartition, int]) -> None:
        consumer = AIOKafkaConsumer(
            **self._client, group_id=self._settings.group_id, enable_auto_commit=False
        )
        async with consumer:
            consumer.assign(list(behind))
            await consumer.commit(dict(behind))
