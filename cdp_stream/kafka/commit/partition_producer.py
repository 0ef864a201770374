"""The transactional producer of one input partition.

Its transactional id is bound to the partition, so that one producer at a time can write for it:
opening one fences the producer that had the id before, and ends the transaction that it left open.
After that nothing changes the partition's position and rows until this producer writes.

The producer is reopened, in the next epoch of that id, before a transaction that a late request
could spoil (``PartitionProducer.settle``). The broker refuses that once another worker has opened
the partition.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    UnknownProducerId,
)

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.aiokafka_patches.group_member import GroupMembership
from cdp_stream.kafka.aiokafka_patches.transaction_sender import NotAMemberError
from cdp_stream.kafka.aiokafka_patches.transactional_producer import TransactionalProducer
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.kafka.commit.record_writer import MAX_BATCH_BYTES
from cdp_stream.observability.log import log
from cdp_stream.observability.metrics import Metrics

__all__ = ["TRANSACTION_TIMEOUT_MS", "FencedError", "NotEndedError", "PartitionProducer"]

TRANSACTION_TIMEOUT_MS = 60_000
"""After this the broker aborts a transaction that nobody ends: longer than any transaction lasts
while its broker answers, short for readers that wait behind one whose worker has died."""

_LONGEST_S = 90.0
"""After this a worker abandons a transaction: a broker that answers has ended it by then."""
_OPEN_S = 60.0
_CLOSE_S = 3.0
_AGAIN_S = 0.1
_SEQUENCES = 2**30
"""Records to a partition in one epoch. At 2**31 Kafka continues from 0 and aiokafka from -2**31
(KAFKA-7693); no transaction has as many as the difference."""
_LOST = (ProducerFenced, InvalidProducerEpoch, InvalidTxnState, NotAMemberError)
_FORGOTTEN = (InvalidProducerIdMapping, UnknownProducerId)
"""The broker does not know the producer: it was idle for longer than the broker remembers, or
another worker has followed it."""

Send = Callable[[TransactionalProducer], Awaitable[Sequence[asyncio.Future[Any]]]]


class FencedError(Exception):
    """Another worker owns the partition now, or the broker has ended the transaction."""


class NotEndedError(BrokerError):
    """The broker has not ended a transaction in time.

    Its outcome is unknown: the next owner of the partition finds it in the position.
    """


class PartitionProducer:
    """Writes for one input partition, a transaction at a time.

    Args:
        client: Connection settings of the aiokafka client.
        transactional_id: Bound to the partition.
        source: The input partition, whose position is committed.
        targets: Topics that are written to.
        membership: The group member that commits positions; called at each commit.
        metrics: Where transactions are counted.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        transactional_id: str,
        source: TopicPartition,
        *,
        targets: Sequence[str],
        membership: Callable[[], GroupMembership],
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._client = client
        self._transactional_id = transactional_id
        self._source = source
        self._targets = targets
        self._membership = membership
        self._producer: TransactionalProducer | None = None

    async def open(self) -> None:
        """Fence the last owner, and settle its last transaction.

        Raises:
            BrokerError: The broker refuses, or needs more than a minute.
        """
        await self._open(None)

    async def _open(self, succeeded: tuple[int, int] | None) -> None:
        producer = self._producer = TransactionalProducer(
            self._client,
            self._transactional_id,
            self._membership,
            succeeded,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_batch_size=MAX_BATCH_BYTES,
            linger_ms=0,
        )
        try:
            async with asyncio.timeout(_OPEN_S):
                await _start(producer)
                for topic in self._targets:
                    await producer.partitions_for(topic)
        except ProducerFenced as error:
            await self.close()
            raise self._fenced(error) from error
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise BrokerError(
                f"the broker does not begin transactions as {self._transactional_id}: {error!r}",
                "check its log and this client's rights, or use --guarantee at-least-once",
            ) from error
        except BaseException:
            await self.close()
            raise

    async def transact(self, send: Send, next_offset: int | None) -> None:
        """Commit what ``send`` enqueues and the input position in one transaction.

        If a batch was refused, nothing of it has taken effect or ever will. If this partition was
        lost, the position shows whether it has, as soon as the next owner's producer is open.

        Args:
            send: Enqueues to the producer, and returns what to wait for.
            next_offset: The input position; ``None`` does not move it.

        Raises:
            FencedError: This worker does not own the partition any more.
            NotEndedError: The broker was too slow. It may still be open: see ``abort``.
            KafkaError: A batch was refused. The transaction is still open: see ``abort``.
        """
        await self.settle()
        try:
            await self._attempt(send, next_offset)
        except _FORGOTTEN as error:
            # Nothing of it has taken effect. If that is because of another worker, reopening fails.
            await self.reopen(type(error).__name__)
            await self._attempt(send, next_offset)

    async def settle(self) -> None:
        """Begin a new epoch if a request of this one may still take effect: it was not answered,
        and its repetition was. In the new epoch it cannot. Also begin one after very many records.
        Call this when a transaction has ended, as a late request may begin an empty one.

        Raises:
            FencedError: Another worker owns the partition now.
            BrokerError: The broker refuses, or needs more than a minute.
        """
        if self._opened.unanswered.is_set():
            await self.reopen("a request was not answered")
        elif self._opened.last_sequence > _SEQUENCES:
            await self.reopen("a partition has got very many records")

    @property
    def _opened(self) -> TransactionalProducer:
        assert self._producer is not None, "open comes first"
        return self._producer

    async def _attempt(self, send: Send, next_offset: int | None) -> None:
        producer, is_ending = self._opened, False
        started = time.perf_counter()
        try:
            async with asyncio.timeout(_LONGEST_S):
                await self._write(producer, send, next_offset)
                is_ending = True
                await producer.commit_transaction()
        except TimeoutError as error:
            raise NotEndedError(
                f"the broker did not end a transaction of {self._source.topic} partition "
                f"{self._source.partition} in {_LONGEST_S:.0f} s",
                "nothing is lost: read the broker's log, then restart the worker",
            ) from error
        except (KafkaError, AssertionError) as error:
            reason = producer.cause_of(error)
            if isinstance(reason, _LOST) or (is_ending and isinstance(reason, _FORGOTTEN)):
                raise self._fenced(reason) from error
            raise reason from error
        self._metrics.transaction_ended("committed", time.perf_counter() - started)

    async def _write(
        self, producer: TransactionalProducer, send: Send, next_offset: int | None
    ) -> None:
        await producer.begin_transaction()
        waits: list[asyncio.Future[Any]] = []
        if next_offset is not None:
            # A task, which starts when `send` first waits: both join the transaction at once.
            waits.append(asyncio.ensure_future(self._move(producer, next_offset)))
        moving = waits[:]
        try:
            waits += await send(producer)
            if waits:
                # Unlike `gather` it cancels none of them: aiokafka continues with its batches.
                await asyncio.wait(waits)
        except BaseException:
            producer.ignore_failures()
            for one in moving:
                one.cancel()
            raise
        if (refusal := _first_refusal(waits)) is not None:
            raise refusal

    async def abort(self, within_s: float = _CLOSE_S) -> None:
        """End the transaction under way, so that no reader has to wait for its time-out.

        It may fail: then the broker, or the next ``open``, ends the transaction.
        """
        producer = self._producer
        if producer is not None:
            self._metrics.transaction_ended("aborted")
            with contextlib.suppress(Exception):
                async with asyncio.timeout(within_s):
                    await producer.abort_transaction()

    async def reopen(self, reason: str) -> None:
        """Abort what is under way, if anything is, and begin a new epoch.

        A batch that was refused leaves a gap in the sequence of its partition; only a new epoch
        closes it.

        Raises:
            FencedError: Another worker owns the partition now.
            BrokerError: The broker refuses, or needs more than a minute.
        """
        producer = self._opened
        if producer.is_in_transaction:
            await self.abort(_OPEN_S)  # otherwise the broker refuses to reopen it
        await self.close()
        await self._open(producer.identity)
        log("producer_reopened", partition=self._source.partition, reason=reason)

    async def close(self) -> None:
        """Close connections, within a few seconds."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        producer.ignore_failures()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_S):
                await producer.stop()
                producer.ignore_failures()
                return
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_S):
                await producer.client.close()

    async def _move(self, producer: TransactionalProducer, next_offset: int) -> None:
        await producer.send_offsets_to_transaction(
            {self._source: next_offset}, self._membership().group_id
        )

    def _fenced(self, reason: BaseException) -> FencedError:
        self._metrics.transaction_ended("fenced")
        return FencedError(f"{self._transactional_id}: {str(reason) or type(reason).__name__}")


async def _start(producer: TransactionalProducer) -> None:
    """Start it as soon as its broker can be reached."""
    while True:
        try:
            await producer.start()
        except KafkaConnectionError:
            await asyncio.sleep(_AGAIN_S)
        else:
            return


def _first_refusal(waits: Sequence[asyncio.Future[Any]]) -> BaseException | None:
    """The first error: a batch after one that was too large is refused for its sequence alone."""
    refusals = [refusal for one in waits if (refusal := one.exception()) is not None]
    too_large = (one for one in refusals if isinstance(one, MessageSizeTooLargeError))
    return next(too_large, refusals[0] if refusals else None)
