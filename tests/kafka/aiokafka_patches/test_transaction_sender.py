"""How a producer's sender orders the requests of a transaction, and what it makes of answers."""

import asyncio
import inspect
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError, RequestTimedOutError
from aiokafka.producer import message_accumulator, producer, sender
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import EndTxnRequest, InitProducerIdRequest
from aiokafka.structs import OffsetAndMetadata

from cdp_stream.kafka.aiokafka_patches.batch_encoding import filled_batches
from cdp_stream.kafka.aiokafka_patches.group_member import GroupMembership
from cdp_stream.kafka.aiokafka_patches.transaction_requests import OffsetsOfMember
from cdp_stream.kafka.aiokafka_patches.transaction_sender import (
    NotAMemberError,
    _AddPartitions,
    _CommitOffsets,
    note_unanswered,
)
from cdp_stream.kafka.aiokafka_patches.transactional_producer import TransactionalProducer

END_TXN = EndTxnRequest("id", 5, 1, True)
OFFSETS = OffsetsOfMember("id", (5, 1), GroupMembership("g", 7, "m"), [])


@pytest.fixture
async def in_transaction():
    """A sender that nothing is sent with, in a transaction of one batch and one position."""
    inner = TransactionalProducer({}, "id", lambda: GroupMembership("g", 1, "m"))
    manager, tp = inner._txn_manager, TopicPartition("t", 0)
    manager.set_pid_and_epoch(5, 0)
    manager.begin_transaction()
    (batch,) = filled_batches(inner, [(b"k", b"v")], 1)
    inner._message_accumulator._append_batch(batch, tp)
    manager.partition_added(tp)
    moved = manager.add_offsets_to_txn({tp: OffsetAndMetadata(7, "")}, "g")
    manager.consumer_group_added("g")
    yield inner, tp, moved
    await inner.stop()


async def test_offsets_wait_until_the_batches_are_written(in_transaction):
    inner, tp, _ = in_transaction
    assert inner._sender._maybe_do_transactional_request() is None
    batch = inner._message_accumulator._pop_batch(tp)
    assert inner._sender._maybe_do_transactional_request() is None
    # Told by the answer itself: nobody asks again once its callbacks have run.
    batch.done(0)
    task = inner._sender._maybe_do_transactional_request()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_markers_that_are_still_written_are_waited_for_briefly(in_transaction):
    inner, tp, _ = in_transaction
    busy = SimpleNamespace(errors=[("t", [(0, 51)])])
    assert _AddPartitions(inner._sender, {tp}).handle_response(busy) == 0.002


@pytest.mark.parametrize("code", [13, 51])
async def test_a_coordinator_that_could_not_check_is_asked_again(in_transaction, code):
    inner, tp, moved = in_transaction
    handler = _CommitOffsets(inner._sender, {tp: OffsetAndMetadata(7, "")}, "g")
    answer = SimpleNamespace(errors=[("t", [(0, code, {})], {})])
    assert handler.handle_response(answer) == inner._sender._retry_backoff
    assert not moved.done()


@pytest.mark.parametrize("code", [22, 25, 27, 82])
async def test_who_is_no_member_any_more_is_told_so(in_transaction, code):
    inner, tp, _ = in_transaction
    handler = _CommitOffsets(inner._sender, {tp: OffsetAndMetadata(7, "")}, "g")
    with pytest.raises(NotAMemberError):
        handler.handle_response(SimpleNamespace(errors=[("t", [(0, code, {})], {})]))


@pytest.mark.parametrize(
    ("asked", "error", "is_noted"),
    [
        (END_TXN, RequestTimedOutError, True),
        (END_TXN, KafkaConnectionError, True),
        (END_TXN, asyncio.CancelledError, True),
        (END_TXN, NodeNotReadyError, False),
        (OFFSETS, KafkaConnectionError, True),
        (ProduceRequest("id", -1, 1, []), KafkaConnectionError, True),
        (InitProducerIdRequest("id", 1), KafkaConnectionError, False),
    ],
)
async def test_what_was_sent_and_not_answered_is_noted(asked, error, is_noted):
    inner = AIOKafkaProducer(transactional_id="id")

    async def send(*_arguments):
        raise error

    inner.client.send = send
    unanswered = note_unanswered(inner)
    with pytest.raises(error):
        await inner.client.send(1, asked)
    assert unanswered.is_set() is is_noted
    await inner.stop()


# -- what the patch relies on inside aiokafka 0.14.0 -----------------------------------------------


def source(thing) -> str:
    return inspect.getsource(thing)


def test_the_sender_is_made_with_these_and_kept_under_this_name():
    parameters = list(inspect.signature(sender.Sender.__init__).parameters)
    assert parameters == [
        "self", "client", "acks", "txn_manager", "message_accumulator", "retry_backoff_ms",
        "request_timeout_ms",
    ]  # fmt: skip
    assert "self._sender = Sender(" in source(producer.AIOKafkaProducer.__init__)
    assert "self._retry_backoff = retry_backoff_ms / 1000" in source(sender.Sender.__init__)


def test_the_sender_asks_what_is_next_whenever_a_write_is_answered():
    routine = source(sender.Sender._sender_routine)
    assert "txn_task = self._maybe_do_transactional_request()" in routine
    assert "return_when=asyncio.FIRST_COMPLETED" in routine
    for called in ("_do_add_partitions_to_txn", "_do_txn_offset_commit"):
        assert f"self.{called}(" in source(sender.Sender._maybe_do_transactional_request)
    accumulator = source(message_accumulator.MessageAccumulator)
    assert "self._batches = collections.defaultdict(" in accumulator
    assert "self._pending_batches = set()" in accumulator


def test_the_sender_ends_with_what_went_wrong_as_the_cause():
    routine = source(sender.Sender._sender_routine)
    assert 'raise KafkaError("Unexpected error during batch delivery") from exc' in routine
    assert "fatal_error(task_exception)" in source(sender.Sender._fail_all)


def test_requests_pass_through_what_notes_those_without_an_answer():
    assert "self._sender.client.send(" in source(sender.BaseHandler.do)
    assert "await self._client.send(" in source(sender.SendProduceReqHandler.do)
    assert "self._client = sender.client" in source(sender.SendProduceReqHandler.__init__)
    assert "handler = InitPIDHandler(self)" in source(sender.Sender._do_init_pid)
