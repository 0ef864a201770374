"""Gives a system more partitions: its state moves through the log.

Kafka places a profile by its id and the number of partitions, so with another number most profiles
have another place. The order of the steps makes each of them safe to interrupt and repeat:

1. A marker is written to every partition of the changelog. No worker starts on one.
2. From here on no worker writes: the groups have no members, old owners are fenced. So what is read
   now does not change: no definitions are on their way, the input is read to its end. If that is
   not so, or the broker does not confirm it, the marker is removed.
3. All topics but the input get their partitions. From here on the counts differ, which no worker
   starts on either.
4. Rows and memberships that move are *copied* to where they go.
5. The marker records that all copies exist, and what was copied is *removed* from its old place.
6. The input gets its partitions. What a producer has published meanwhile by the old number is
   forwarded in order, piece by piece; before that, the marker records up to which offsets.
7. A row in every partition records where the log was cut: what was applied before the move, and
   what after it, of each old partition. Backfills read by that.
8. The marker is removed.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from cdp_stream.errors import BrokerError, CdpError, UsageError, counted
from cdp_stream.formats.moved_row import MOVED_KEY, encode_moves
from cdp_stream.formats.rows import REPARTITION_KEY
from cdp_stream.kafka.clients.admin import partition_counts, started_admin
from cdp_stream.kafka.commit.guarantee import why_no_transactions
from cdp_stream.kafka.repartition.moved_input import forward, starts_after
from cdp_stream.kafka.repartition.moved_rows import MovedRows
from cdp_stream.kafka.repartition.preconditions import (
    check_input_is_read,
    check_nobody_works,
    check_outputs_are_sent,
)
from cdp_stream.kafka.repartition.stopped_system import WAIT_S, Rows, StoppedSystem
from cdp_stream.kafka.topics.catalog import TOPICS
from cdp_stream.partition.relocation import (
    BEGIN,
    COPY,
    FORWARD,
    REMOVE,
    SETTLE,
    Marker,
    begun,
    check_ready,
    is_marked,
    is_own,
    moves_after,
    own_rows,
    time_of_all,
)
from cdp_stream.settings import Settings

__all__ = ["Repartitioned", "repartition"]


@dataclass(slots=True)
class Repartitioned:
    """What was done, or, in a dry run, what would be.

    Attributes:
        before: How many partitions there were.
        after: How many there are.
        profiles: Rows that moved.
        memberships: Records of the state topic that moved.
        forwarded: Records of the input that arrived meanwhile, and were published again.
        resumed: Whether it resumed a move that was interrupted.
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
    report: Callable[[str], None] = lambda _line: None,
) -> Repartitioned:
    """Give all topics of a system so many partitions, and move its state with them.

    Args:
        settings: Which broker, which prefix.
        partitions: How many there are to be; more than there are.
        dry_run: Check and count, and change nothing.
        report: Called with each step that begins.

    Returns:
        What was done; nothing was if ``before`` and ``after`` are the same.

    Raises:
        UsageError: It cannot be so many.
        BrokerError: A worker runs, input waits, or the broker refuses.
    """
    async with AsyncExitStack() as stack:
        admin = await started_admin(settings)
        stack.push_async_callback(admin.close)
        move = _Move(settings, admin, partitions, report)
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
        report: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._admin = admin
        self._to = partitions
        self._report = report
        self._system = StoppedSystem(settings, admin)
        self._rows = MovedRows(self._system, partitions)
        self._done = Repartitioned(partitions, partitions)

    async def run(self, *, dry_run: bool) -> Repartitioned:
        system, done = self._system, self._done
        counts = await partition_counts(self._admin)
        missing = [t.suffix for t in TOPICS if self._settings.topic(t.suffix) not in counts]
        if missing:
            raise BrokerError(
                f"{self._settings.topic(missing[0])} is not there: no worker has run with this "
                "prefix",
                "name the prefix of the system that you mean with --prefix",
            )
        own = await self._own_rows(counts[system.changelog])
        marker = self._begun(own, counts)
        done.before = marker.before
        if marker.before == self._to:
            if begun(own) is not None and not dry_run:
                async with system.producer() as producer:
                    await self._write(producer, marker.before, REPARTITION_KEY, None)
            return done
        await check_nobody_works(system)
        if not done.resumed:
            # Once the marker counts there is no way back.
            topics = system.topics(counts, (marker.before, marker.before))
            await system.ask_to_grow(topics, self._to)
        if dry_run:
            if not done.resumed:
                await self._check_stopped(counts, marker)
            await self._count(marker)
            return done
        transactional = not await why_no_transactions(self._settings)
        if not done.resumed:
            own, marker = await self._begin(counts, marker, transactional=transactional)
        elif transactional:
            await system.fence(marker.before)
        await self._act(counts, own, marker, transactional=transactional)
        return done

    async def _begin(
        self, counts: Mapping[str, int], marker: Marker, *, transactional: bool
    ) -> tuple[dict[int, Rows], Marker]:
        """Keep workers from starting, and check all preconditions of a move.

        Returns:
            The partitions' own rows, and the marker that is in all of them.
        """
        system = self._system
        self._report("keeping workers from starting")
        async with system.producer() as producer:
            try:
                await self._mark(producer, marker, marker.before)
                # One may have started since the check, with rows that it read before the marker.
                await check_nobody_works(system)
                if transactional:
                    await system.fence(marker.before)
                own, marker = await self._check_stopped(counts, marker)
                await self._mark(producer, marker, marker.before)
            except (CdpError, KafkaError, TimeoutError):
                # Otherwise no worker could start any more, whatever was refused.
                await self._remove_marker(producer, marker.before)
                raise
        return own, marker

    async def _act(
        self,
        counts: Mapping[str, int],
        own: Mapping[int, Rows],
        marker: Marker,
        *,
        transactional: bool,
    ) -> None:
        system = self._system
        if marker.phase == COPY:
            topics = system.topics(counts, (marker.before, self._to))
            others = [name for name in topics if name != system.events]
            await system.grow(others, self._to, self._report)
        grown = (system.changelog, system.state)
        async with system.producer(*grown, partitions=self._to) as producer:
            if marker.phase == COPY:
                await self._mark(producer, marker, marker.after)
                await self._copy(producer, own, marker)
                marker = marker._replace(phase=REMOVE)
                await self._mark(producer, marker, marker.after)
            if marker.phase == REMOVE:
                await self._remove(producer, marker)
                await system.grow([system.events], self._to, self._report)
                # What arrives in an old partition from here on is applied in it: see `Move`.
                starts = await starts_after(system, own, marker)
                marker = marker._replace(phase=FORWARD, starts=starts)
                await self._mark(producer, marker, marker.after)
            if marker.phase == FORWARD:
                self._done.forwarded = await forward(
                    system, own, marker, self._report, transactional=transactional
                )
                marker = marker._replace(phase=SETTLE)
                await self._mark(producer, marker, marker.after)
            await self._settle(producer, own, marker)

    # -- whether it may begin --------------------------------------------------------------------

    def _begun(self, own: Mapping[int, Rows], counts: Mapping[str, int]) -> Marker:
        """The marker of a move that was interrupted, or that of one to begin."""
        marker = begun(own)
        if marker is not None and is_marked(own, marker):
            if marker.after != self._to:
                raise UsageError(
                    f"a move to {counted(marker.after, 'partition')} was begun and is not finished",
                    f"finish it first: --partitions {marker.after}",
                )
            self._done.resumed = True
            return marker
        events = self._system.events
        there = counts[events]
        if self._to < there:
            raise UsageError(
                f"{events} has {counted(there, 'partition')}, and Kafka cannot make them fewer",
                "start afresh with another --prefix, and publish the events there",
            )
        for plan in TOPICS:
            if counts[name := self._settings.topic(plan.suffix)] != there:
                raise BrokerError(
                    f"{name} has {counted(counts[name], 'partition')}, but {events} has {there}",
                    f"give {name} {counted(there, 'partition')} first",
                )
        return Marker(there, self._to, BEGIN)

    async def _check_stopped(
        self, counts: Mapping[str, int], marker: Marker
    ) -> tuple[dict[int, Rows], Marker]:
        """The partitions' own rows as the last worker left them, and the marker with that."""
        own = await self._own_rows(marker.before)
        check_ready(own)
        await check_outputs_are_sent(self._system, own, counts)
        ends = await check_input_is_read(self._system, own, marker.before)
        return own, marker._replace(phase=COPY, time=time_of_all(own), ends=ends)

    async def _own_rows(self, partitions: int) -> dict[int, Rows]:
        own = {}
        for number in range(partitions):
            rows = await self._system.newest(self._system.changelog, number)
            own[number] = {key: value for key, value in rows.items() if is_own(key)}
        return own

    async def _count(self, marker: Marker) -> None:
        for number in range(marker.before):
            moving = await self._rows.count(number)
            self._done.profiles += moving.profiles
            self._done.memberships += moving.memberships

    # -- the steps -------------------------------------------------------------------------------

    async def _mark(self, producer: AIOKafkaProducer, marker: Marker, partitions: int) -> None:
        await self._write(producer, partitions, REPARTITION_KEY, marker.encode())

    async def _remove_marker(self, producer: AIOKafkaProducer, partitions: int) -> None:
        """Let workers start again, if the broker accepts that."""
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(WAIT_S):
                await self._write(producer, partitions, REPARTITION_KEY, None)

    async def _write(
        self, producer: AIOKafkaProducer, partitions: int, key: bytes, value: bytes | None
    ) -> None:
        """Write a row to so many partitions, in their order: see `begun`."""
        for number in range(partitions):
            await self._system.send(producer, self._system.changelog, number, [(key, value)])

    async def _copy(
        self, producer: AIOKafkaProducer, own: Mapping[int, Rows], marker: Marker
    ) -> None:
        for number in range(marker.before):
            self._report(f"copying the profiles of partition {number}")
            await self._rows.copy(producer, number)
        rows = own_rows({number: own[number] for number in range(marker.before)}, marker)
        for number, pairs in rows.items():
            await self._system.send(producer, self._system.changelog, number, pairs.items())

    async def _remove(self, producer: AIOKafkaProducer, marker: Marker) -> None:
        for number in range(marker.before):
            self._report(f"removing from partition {number} what was copied")
            removed = await self._rows.remove(producer, number)
            self._done.profiles += removed.profiles
            self._done.memberships += removed.memberships

    async def _settle(
        self, producer: AIOKafkaProducer, own: Mapping[int, Rows], marker: Marker
    ) -> None:
        moves = encode_moves(moves_after(own, marker))
        await self._write(producer, marker.after, MOVED_KEY, moves)
        await self._write(producer, marker.after, REPARTITION_KEY, None)
