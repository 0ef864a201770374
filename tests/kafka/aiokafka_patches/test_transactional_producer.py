"""What a transactional producer shows of itself."""

import inspect

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.producer import message_accumulator, transaction_manager

from cdp_stream.kafka.aiokafka_patches.group_member import GroupMembership
from cdp_stream.kafka.aiokafka_patches.transactional_producer import (
    TransactionalProducer,
    count_as_kafka_does,
)

PLACE = TopicPartition("t", 0)


async def test_a_producer_shows_who_it_is_and_how_far_it_has_counted():
    made = TransactionalProducer({}, "id", lambda: GroupMembership("g", 1, "m"))
    made._txn_manager.set_pid_and_epoch(5, 2)
    assert (made.identity, made.last_sequence, made.is_in_transaction) == ((5, 2), 0, False)
    await made.begin_transaction()
    made._txn_manager.increment_sequence_number(PLACE, 7)
    assert (made.last_sequence, made.is_in_transaction) == (7, True)
    await made.stop()


async def test_an_idempotent_producer_goes_on_from_0_where_brokers_do():
    made = AIOKafkaProducer(enable_idempotence=True)
    count_as_kafka_does(made)
    manager = made._txn_manager
    manager._sequence_numbers[PLACE] = 2**31 - 10
    manager.increment_sequence_number(PLACE, 30)
    assert manager.sequence_number(PLACE) == 20
    await made.stop()


# -- what the patch relies on inside aiokafka 0.14.0 -----------------------------------------------


def test_the_futures_of_a_transaction_are_kept_where_we_look():
    made = inspect.getsource(transaction_manager.TransactionManager)
    assert "self._pending_txn_offsets = deque()" in made
    assert "def wait_for_transaction_end(self):" in made
    assert "self._drain_waiter = create_future()" in inspect.getsource(
        message_accumulator.MessageBatch
    )


async def test_sequences_are_counted_where_we_look_and_wrap_as_no_broker_takes_them():
    manager, tp = transaction_manager.TransactionManager("id", 1), TopicPartition("t", 0)
    manager._sequence_numbers[tp] = 2**31 - 1
    manager.increment_sequence_number(tp, 1)
    assert manager.sequence_number(tp) == -(2**31)
