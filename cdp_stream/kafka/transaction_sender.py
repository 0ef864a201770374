"""aiokafka's sender of transactions, with shorter waits and fewer ways to fail.

What differs, each held by ``tests/kafka/test_transactions.py``:

* offsets wait until the batches are written: a broker checks with its coordinator that both belong
  to a transaction, and of two such questions about one at a time it drops the first, which costs
  a retry after 100 ms;
* a new transaction that finds the coordinator still writing the last one's markers asks again
  after 2 ms; stock waits 20 ms;
* offsets are sent as a member of the group, so a generation that is over is refused;
* ``NETWORK_EXCEPTION`` and ``CONCURRENT_TRANSACTIONS`` in the answer to offsets are asked again;
  stock takes the first for something else and ends (aiokafka issue 1004);
* a connection that breaks while the coordinator is looked for is made anew; stock ends.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.client import CoordinationType
from aiokafka.errors import (
    IllegalGenerationError,
    KafkaConnectionError,
    KafkaError,
    UnknownMemberIdError,
)
from aiokafka.producer.sender import (
    AddPartitionsToTxnHandler,
    Sender,
    TxnOffsetCommitHandler,
)

from cdp_stream.kafka.transaction_requests import GroupMembership, OffsetsOfMember

__all__ = ["NotAMemberError", "use_quick_sender"]

_MARKERS_S = 0.002
_NETWORK_EXCEPTION = 13
_CONCURRENT_TRANSACTIONS = 51
_NO_MEMBER = frozenset(
    {
        IllegalGenerationError.errno,
        UnknownMemberIdError.errno,
        27,  # REBALANCE_IN_PROGRESS: the next generation has begun without us
        82,  # FENCED_INSTANCE_ID
    }
)


class NotAMemberError(Exception):
    """The group has gone on without this worker."""


class QuickSender(Sender):
    """Stands in for the sender of one producer."""

    membership: Callable[[], GroupMembership]

    def _maybe_do_transactional_request(self) -> Any:
        offsets_wait = self._txn_manager.offsets_to_commit() is not None
        if offsets_wait and not self._txn_manager.partitions_to_add() and self._is_writing():
            return None  # asked again as each write is answered
        return super()._maybe_do_transactional_request()

    def _is_writing(self) -> bool:
        # By their futures: a batch that was answered stays among the pending for a moment.
        written = self._message_accumulator
        pending = (batch.future.done() for batch in written._pending_batches)
        return bool(written._batches) or not all(pending)

    async def _find_coordinator(self, coordinator_type: Any, coordinator_key: str) -> Any:
        while True:
            try:
                return await super()._find_coordinator(coordinator_type, coordinator_key)
            except KafkaError as error:
                if not isinstance(error.__cause__, KafkaConnectionError):
                    raise
            await self.client.force_metadata_update()
            await asyncio.sleep(self._retry_backoff)

    async def _do_add_partitions_to_txn(self, tps: Any) -> Any:
        node_id = await self._find_coordinator(
            CoordinationType.TRANSACTION, self._txn_manager.transactional_id
        )
        return await _AddPartitions(self, tps).do(node_id)

    async def _do_txn_offset_commit(self, offsets: Any, group_id: str) -> None:
        node_id = await self._find_coordinator(CoordinationType.GROUP, group_id)
        await _CommitOffsets(self, offsets, group_id).do(node_id)


class _AddPartitions(AddPartitionsToTxnHandler):
    def handle_response(self, resp: Any) -> Any:
        codes = [code for _, partitions in resp.errors for _, code in partitions]
        return _MARKERS_S if _CONCURRENT_TRANSACTIONS in codes else super().handle_response(resp)


class _CommitOffsets(TxnOffsetCommitHandler):
    def create_request(self) -> OffsetsOfMember:
        manager = self._sender._txn_manager
        return OffsetsOfMember(
            manager.transactional_id,
            (manager.producer_id, manager.producer_epoch),
            self._sender.membership(),
            [(tp.topic, tp.partition, at.offset) for tp, at in sorted(self._offsets.items())],
        )

    def handle_response(self, resp: Any) -> Any:
        # Both versions begin with partition and code; what follows in the newer is no concern.
        resp.errors = [
            (topic, [(partition, code) for partition, code, *_ in partitions])
            for topic, partitions, *_ in resp.errors
        ]
        codes = {code for _, partitions in resp.errors for _, code in partitions}
        if codes & {_NETWORK_EXCEPTION, _CONCURRENT_TRANSACTIONS}:
            return self._default_backoff
        if codes & _NO_MEMBER:
            raise NotAMemberError
        return super().handle_response(resp)


def use_quick_sender(producer: AIOKafkaProducer, membership: Callable[[], GroupMembership]) -> None:
    """Give a transactional producer its sender; before it is started.

    Args:
        producer: The producer.
        membership: Tells as whom offsets are sent; asked at each commit.
    """
    stock = producer._sender
    sender = QuickSender(
        stock.client,
        acks=stock._acks,
        txn_manager=stock._txn_manager,
        message_accumulator=stock._message_accumulator,
        retry_backoff_ms=stock._retry_backoff * 1000,
        request_timeout_ms=stock._request_timeout_ms,
    )
    sender.membership = membership
    producer._sender = sender
