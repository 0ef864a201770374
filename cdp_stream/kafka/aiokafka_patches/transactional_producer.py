"""A transactional producer that shows its progress, and why it failed.

For aiokafka 0.14.0, which keeps producer id, epoch and sequence numbers to itself, wraps what ended
its sender in other errors, and leaves futures behind that asyncio reports when nobody awaits them.
Unnecessary once aiokafka shows these values, raises the cause, and awaits its own futures.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from cdp_stream.kafka.aiokafka_patches.group_member import GroupMembership
from cdp_stream.kafka.aiokafka_patches.transaction_sender import QuickSender, note_unanswered

__all__ = ["TransactionalProducer", "count_as_kafka_does", "ignore_failure"]

_SEQUENCES = 2**31


class TransactionalProducer(AIOKafkaProducer):
    """aiokafka's producer with our sender.

    Args:
        client: Connection settings of the aiokafka client.
        transactional_id: Identifies the producer; a later start fences an earlier one.
        membership: The group member that sends offsets; called at each commit.
        succeeded: Producer id and epoch that it succeeds; if another producer has succeeded them,
            it fails to start with ``ProducerFenced``. ``None``: it succeeds any producer.
        options: Further arguments of aiokafka's producer.

    Attributes:
        unanswered: Set once a request of a transaction was sent and not answered.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        transactional_id: str,
        membership: Callable[[], GroupMembership],
        succeeded: tuple[int, int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**client, transactional_id=transactional_id, acks="all", **options)
        self._sender: Any = QuickSender(self, membership, succeeded)
        self.unanswered: asyncio.Event = note_unanswered(self)

    @property
    def identity(self) -> tuple[int, int]:
        """Producer id and epoch, once it has started."""
        return self._txn_manager.producer_id, self._txn_manager.producer_epoch

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return bool(self._txn_manager.is_in_transaction())

    @property
    def last_sequence(self) -> int:
        """How many records the partition with the most of them got in this epoch."""
        return max(self._txn_manager._sequence_numbers.values(), default=0)

    def cause_of(self, error: BaseException) -> BaseException:
        """What ended the sender, which aiokafka wraps, or the error itself."""
        task = self._sender.sender_task
        if task is not None and task.done() and not task.cancelled() and task.exception():
            ended = task.exception()
            error = ended.__cause__ or ended
        self.ignore_failures()
        return error

    def ignore_failures(self) -> None:
        """Keep asyncio from reporting futures that nobody awaits: what has failed, and what will
        when the producer ends.
        """
        manager, written = self._txn_manager, self._message_accumulator
        ended = manager.wait_for_transaction_end()
        futures = [] if ended is None else [ended]
        futures += [future for _, _, future in manager._pending_txn_offsets]
        for batch in itertools.chain(*written._batches.values(), written._pending_batches):
            futures += [batch.future, batch._drain_waiter]
        for future in futures:
            future.add_done_callback(ignore_failure)


def ignore_failure(future: asyncio.Future[Any]) -> None:
    """Keep asyncio from reporting the failure of a future that nobody awaits."""
    if not future.cancelled():
        future.exception()


def count_as_kafka_does(producer: AIOKafkaProducer) -> None:
    """Let an idempotent producer continue from 0 after the 2**31st record to a partition, as
    brokers expect; aiokafka continues from -2**31 (KAFKA-7693).
    """
    manager = producer._txn_manager
    sequences = manager._sequence_numbers

    def increment(partition: Any, count: int) -> None:
        sequences[partition] = (sequences[partition] + count) % _SEQUENCES

    manager.increment_sequence_number = increment
