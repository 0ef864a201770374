"""aiokafka's sender of transactions, with shorter waits and fewer ways to fail.

For aiokafka 0.14.0. What differs:

* offsets wait until the batches are written: a broker checks with its coordinator that both belong
  to a transaction, and of two checks of one transaction at a time it drops the first, which costs
  a retry after 100 ms;
* a new transaction that finds the coordinator still writing the last one's markers asks again
  after 2 ms; stock waits 20 ms;
* offsets are sent as a member of the group, and refused from an earlier generation;
* after ``NETWORK_EXCEPTION`` and ``CONCURRENT_TRANSACTIONS`` offsets are sent again; stock mistakes
  the first for another error and ends (aiokafka issue 1004);
* a connection that breaks during the search for the coordinator is opened again; stock ends;
* a producer that succeeds one of the same transactional id starts only if no other has started
  between them;
* a request that was sent and not answered is noted. It may still be on its way, in a buffer or a
  proxy, when its repetition has been answered, and take effect in a later transaction of the same
  epoch: an ``EndTxn`` that comes late commits the first half of the next one (KAFKA-17754).

Unnecessary once aiokafka retries these answers, sends a consumer's group metadata with offsets, and
speaks transactions of version 2 (KIP-890), which give each transaction its own epoch.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.client import CoordinationType
from aiokafka.errors import (
    IllegalGenerationError,
    IncompatibleBrokerVersion,
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    ProducerFenced,
    UnknownMemberIdError,
)
from aiokafka.producer.sender import (
    AddPartitionsToTxnHandler,
    InitPIDHandler,
    Sender,
    TxnOffsetCommitHandler,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    TxnOffsetCommitRequest,
)

from cdp_stream.kafka.aiokafka_patches.group_member import GroupMembership
from cdp_stream.kafka.aiokafka_patches.transaction_requests import NextEpoch, OffsetsOfMember

__all__ = ["NotAMemberError", "QuickSender", "note_unanswered"]

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

_OF_A_TRANSACTION = (
    ProduceRequest,
    AddPartitionsToTxnRequest,
    AddOffsetsToTxnRequest,
    TxnOffsetCommitRequest,
    OffsetsOfMember,
    EndTxnRequest,
)
_NOT_SENT = (NodeNotReadyError, IncompatibleBrokerVersion)


class NotAMemberError(Exception):
    """The group has started a generation without this worker."""


class QuickSender(Sender):
    """Replaces the sender of one producer, before that is started.

    Args:
        producer: It still has aiokafka's sender.
        membership: The group member that sends offsets; called at each commit.
        succeeded: Producer id and epoch that the producer succeeds, if it must succeed just these.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        membership: Callable[[], GroupMembership],
        succeeded: tuple[int, int] | None,
    ) -> None:
        stock = producer._sender
        super().__init__(
            stock.client,
            acks=stock._acks,
            txn_manager=stock._txn_manager,
            message_accumulator=stock._message_accumulator,
            retry_backoff_ms=stock._retry_backoff * 1000,
            request_timeout_ms=stock._request_timeout_ms,
        )
        self.membership = membership
        self.succeeded = succeeded

    async def _do_init_pid(self, node_id: Any) -> Any:
        if self.succeeded is None:
            return await super()._do_init_pid(node_id)
        return await _NextEpoch(self).do(node_id)

    def _maybe_do_transactional_request(self) -> Any:
        offsets_wait = self._txn_manager.offsets_to_commit() is not None
        if offsets_wait and not self._txn_manager.partitions_to_add() and self._is_writing():
            return None  # called again as each write is answered
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


class _NextEpoch(InitPIDHandler):
    def create_request(self) -> NextEpoch:
        manager = self._sender._txn_manager
        return NextEpoch(
            manager.transactional_id, manager.transaction_timeout_ms, self._sender.succeeded
        )

    def handle_response(self, resp: Any) -> Any:
        if resp.error_code == InvalidProducerEpoch.errno:
            raise ProducerFenced
        return super().handle_response(resp)


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


def note_unanswered(producer: AIOKafkaProducer) -> asyncio.Event:
    """An event that is set once a request of a transaction was sent and not answered, from now on.

    An answer with an error is an answer.
    """
    client, unanswered = producer.client, asyncio.Event()
    send = client.send

    async def noting(node_id: int, request: Any, **options: Any) -> Any:
        try:
            return await send(node_id, request, **options)
        except _NOT_SENT:
            raise
        except BaseException:  # also if nobody waits for it any longer
            if isinstance(request, _OF_A_TRANSACTION):
                unanswered.set()
            raise

    client.send = noting
    return unanswered
