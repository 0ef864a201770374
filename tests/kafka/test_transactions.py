"""One partition's transactions on a broker: together or not at all, and by one writer alone."""

import asyncio
import gc
import inspect

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaError,
)

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.aiokafka_patches.transactional_producer import TransactionalProducer
from cdp_stream.kafka.commit import partition_producer
from cdp_stream.kafka.commit.partition_producer import FencedError, NotEndedError
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.partition.effects import Effects
from cdp_stream.settings import Settings
from tests.kafka.transactional import SUFFIXES, TEN, Partition, batch_of, effects, epoch


@pytest.fixture
async def partition(kafka_broker, topic_prefix):
    settings = Settings(broker=kafka_broker, prefix=topic_prefix)
    await ensure_topics(settings)
    made = Partition(settings)
    yield made
    for owner in made.owners:
        await owner.committer.close()


@pytest.mark.kafka
async def test_outputs_rows_and_position_take_effect_together(partition):
    owner = await partition.owner()
    await owner.submit((effects(), 7))
    assert await partition.counts() == [10, 10, 1, 2]
    assert await partition.position() == 7
    assert owner.positions == [7]


@pytest.mark.kafka
async def test_pieces_that_gather_are_one_transaction_in_their_order(partition):
    owner = await partition.owner()
    pieces = [
        (Effects(memberships=[(b"m", b"%d" % n)], rows={b"same": b"%d" % n, b"own%d" % n: b""}),
         n if n % 2 else None)
        for n in range(5)
    ]  # fmt: skip
    await owner.submit(*pieces)
    assert [value for _, value, _ in await partition.read("memberships")] == [
        b"%d" % n for n in range(5)
    ]
    rows = await partition.read("profiles-changelog")
    assert {key: value for key, value, _ in rows}[b"same"] == b"4"
    assert owner.ended("committed") == 1
    assert [count for count, _ in owner.confirmed] == [5]
    assert await partition.position() == 3


@pytest.mark.kafka
async def test_a_tick_is_a_transaction_of_its_own(partition):
    owner = await partition.owner()
    for number, is_tick in enumerate([False, False, True, True, False, False]):
        owner.committer.commit(Effects(memberships=[(b"m", b"%d" % number)]), None, barrier=is_tick)
    await owner.submit()
    assert [value for _, value, _ in await partition.read("memberships")] == [
        b"%d" % number for number in range(6)
    ]
    assert [pieces for pieces, _offset in owner.confirmed] == [2, 1, 1, 2]
    assert owner.ended("committed") == 4


@pytest.mark.kafka
async def test_transactions_follow_one_another_whatever_their_size(partition):
    owner = await partition.owner()
    for number, size in enumerate([1, 6_000, 3]):
        rows = {b"%d-%d" % (number, n): b"y" * 400 for n in range(size)}
        await owner.submit((Effects(rows=rows), number + 1))
    assert len(await partition.read("profiles-changelog")) == 6_004
    assert owner.positions == [1, 2, 3]


@pytest.mark.kafka
async def test_a_position_alone_is_committed_and_nothing_at_all_is_no_transaction(partition):
    owner = await partition.owner()
    await owner.submit((Effects(), 5))
    await owner.submit((Effects(), None))
    assert await partition.position() == 5
    assert owner.committer.failure is None


@pytest.mark.kafka
async def test_who_lost_the_partition_cannot_write(partition):
    first = await partition.owner()
    await first.submit((effects(), 1))
    second = await partition.owner()
    await first.submit((effects(), 2))
    failure = first.committer.failure
    assert isinstance(failure, FencedError)
    assert (first.positions, first.committer.is_ready, first.ended("fenced")) == ([1], False, 1)
    await second.submit((effects({b"other": b"1"}), 3))
    assert await partition.counts() == [20, 20, 2, 3]
    assert await partition.position() == 3


@pytest.mark.kafka
async def test_who_is_no_member_of_the_groups_generation_cannot_write(partition):
    owner = await partition.owner(generation=3, member_id="somebody-else")
    await owner.submit((effects(), 1))
    failure = owner.committer.failure
    assert isinstance(failure, FencedError)
    assert "NotAMemberError" in str(failure)
    await owner.committer.close()
    await partition.owner()
    assert await partition.counts() == [0, 0, 0, 0]
    assert await partition.position() is None


@pytest.mark.kafka
async def test_what_the_last_owner_left_open_is_gone_once_the_next_begins(partition):
    first = await partition.owner()
    await first.submit((effects(), 1))
    under_way = asyncio.Event()

    async def send_and_hang(inner):
        batch = batch_of(inner, TEN)
        await (await inner.send_batch(batch, first.topics.changelog, partition=1))
        under_way.set()
        await asyncio.Event().wait()

    hanging = asyncio.create_task(first.producer.transact(send_and_hang, 2))
    await under_way.wait()
    await partition.owner()
    # The log ends in an abort marker now: reading it ends all the same.
    assert await partition.counts() == [10, 10, 1, 2]
    assert await partition.position() == 1
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)


@pytest.mark.kafka
async def test_a_transaction_that_does_not_end_is_over_after_a_while(partition, monkeypatch):
    monkeypatch.setattr(partition_producer, "_LONGEST_S", 1.0)
    owner = await partition.owner()

    async def send_and_hang(_inner):
        await asyncio.Event().wait()

    async with asyncio.timeout(60):
        with pytest.raises(NotEndedError, match="1 s"):
            await owner.producer.transact(send_and_hang, 2)
    await partition.owner()
    assert await partition.position() is None


@pytest.mark.kafka
async def test_a_write_that_is_refused_takes_the_whole_transaction_back(partition):
    owner = await partition.owner()
    await owner.submit((effects(), 1))
    await owner.submit((effects(rows={b"too-large": b"y" * 17_000_000}), 2))
    failure = owner.committer.failure
    assert isinstance(failure, BrokerError)
    assert "nothing is lost" in str(failure)
    assert owner.ended("aborted") == 1
    assert len(owner.confirmed) == 1
    assert await partition.counts() == [10, 10, 1, 2]
    assert await partition.position() == 1
    following = await partition.owner()
    await following.submit((effects(), 2))
    assert await partition.counts() == [20, 20, 2, 4]


@pytest.mark.kafka
async def test_a_rejected_record_that_is_refused_goes_without_its_value_after_an_abort(partition):
    owner = await partition.owner()
    headers = [("reason", b"too_large"), ("offset", b"7")]
    piece = effects()
    piece.rejected += [
        (b"whole", b"y" * 3_000_000, headers), (b"k", b"z" * 17_000_000, headers), (b"e", b"e", [])
    ]  # fmt: skip
    await owner.submit((piece, 8))
    await owner.submit((effects({b"next": b""}), 9))
    assert owner.committer.failure is None
    found = {key: (value, headers) for key, value, headers in await partition.read("rejected")}
    assert found[b"whole"] == (b"y" * 3_000_000, headers)
    assert found[b"k"] == (None, [*headers, ("value_bytes", b"17000000")])
    assert (owner.ended("aborted"), owner.ended("committed")) == (1, 2)
    assert await partition.counts() == [20, 20, 5, 3]
    assert await partition.position() == 9


class Unanswered(TransactionalProducer):
    """A producer whose broker has let it begin, and answers nothing from then on."""

    async def start(self):
        self._txn_manager.set_pid_and_epoch(5, 0)

    async def partitions_for(self, topic):
        self.client.cluster._partitions[topic] = {0: None, 1: None}

    def fail(self):
        self._message_accumulator.fail_all(KafkaError("much later"))
        self._txn_manager.fatal_error(KafkaError("much later"))


@pytest.mark.parametrize("next_offset", [7, None])
async def test_a_broker_that_ends_no_transaction_is_told_as_what_it_is(monkeypatch, next_offset):
    monkeypatch.setattr(partition_producer, "TransactionalProducer", Unanswered)
    monkeypatch.setattr(partition_producer, "_LONGEST_S", 0.05)
    monkeypatch.setattr(partition_producer, "_CLOSE_S", 0.05)
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    owner = await Partition(Settings(broker="b:9")).owner()
    inner = owner.producer._producer
    await owner.submit((effects(), next_offset), (effects(), None))
    failure = owner.committer.failure
    assert str(failure) == (
        "the broker did not end a transaction of cdp.events partition 1 in 0 s; "
        "nothing is lost: read the broker's log, then restart the worker"
    )
    assert isinstance(failure, BrokerError)
    assert (owner.positions, owner.confirmed, owner.committer.is_ready) == ([], [], False)
    assert [owner.ended(how) for how in ("committed", "aborted", "fenced")] == [0, 1, 0]
    inner.fail()
    await owner.committer.close()
    del inner, failure
    owner.committer.failure = None
    for _ in range(3):
        await asyncio.sleep(0)  # callbacks run, and call others
    gc.collect()
    assert reported == []


# -- opened anew -----------------------------------------------------------------------------------


def sequences(owner):
    return owner.producer._producer._txn_manager._sequence_numbers


@pytest.mark.kafka
async def test_who_was_followed_by_another_cannot_follow_it_in_turn(partition):
    first = await partition.owner()
    await first.submit((effects(), 1))
    second = await partition.owner()
    with pytest.raises(FencedError):
        await first.producer.reopen("it would fence the second")
    await second.submit((effects({b"other": b"1"}), 2))
    assert second.committer.failure is None
    assert await partition.counts() == [20, 20, 2, 3]


@pytest.mark.kafka
async def test_sequences_begin_anew_before_they_wrap(partition):
    owner = await partition.owner()
    for topic in (partition.settings.topic(suffix) for suffix in SUFFIXES):
        # A broker takes any from a producer that it has no records of.
        sequences(owner)[TopicPartition(topic, 1)] = partition_producer._SEQUENCES - 1
    known = epoch(owner)
    for number in range(1, 4):
        await owner.submit((effects({b"%d" % number: b""}), number))
        assert epoch(owner) == (known[0], known[1] + 1)
    assert max(sequences(owner).values()) == 20
    assert await partition.counts() == [30, 30, 3, 3]
    assert await partition.position() == 3


def source(thing):
    return inspect.getsource(thing)
