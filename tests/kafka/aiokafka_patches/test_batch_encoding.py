"""Pairs become the batches that aiokafka's own ``append`` would make of them."""

import inspect

import aiokafka
from aiokafka import TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder, MessageBatch
from aiokafka.record import default_records
from faust.transport.drivers import aiokafka as driver

from cdp_stream.kafka.aiokafka_patches.batch_encoding import filled_batches


class Batches:
    """Stands where a producer stands that makes small batches."""

    def create_batch(self):
        return BatchBuilder(200, 0, is_transactional=False)


def appended(pairs):
    """What aiokafka makes of pairs by itself."""
    batch = BatchBuilder(200, 0, is_transactional=False)
    for key, value in pairs:
        assert batch.append(key=key, value=value, timestamp=1, headers=[]) is not None
    return batch._build()


def test_pairs_fill_batches_as_appending_one_by_one_does():
    small, large = [(b"a", b"1"), (b"b", None), (b"", b"")], (b"c", b"x" * 500)
    made = list(filled_batches(Batches(), [*small, large, *small], 1))
    assert [batch.record_count() for batch in made] == [3, 1, 3]
    assert [batch._build() for batch in made] == [
        appended(small), appended([large]), appended(small),
    ]  # fmt: skip


def test_no_pairs_are_no_batch():
    assert list(filled_batches(Batches(), [], 1)) == []


# -- what the patch relies on inside aiokafka 0.14.0 -----------------------------------------------


def source(thing) -> str:
    return inspect.getsource(thing)


async def test_a_batch_takes_headers_and_tells_when_it_is_full():
    batch = BatchBuilder(200, 0, is_transactional=False)
    assert batch.append(key=b"k", value=b"v" * 500, timestamp=1, headers=[("h", b"x")]) is not None
    assert batch.append(key=b"k", value=b"v", timestamp=1, headers=[]) is None


async def test_a_batch_wraps_a_builder_and_adds_nothing_but_a_count():
    through, direct = BatchBuilder(200, 0, is_transactional=False), BatchBuilder(200, 0)
    rows = [(b"k", b"v" * 500), (b"k", None), (b"", b"")]
    accepted = [through.append(key=k, value=v, timestamp=1) is not None for k, v in rows[:1]]
    assert accepted == [direct._builder.append(0, 1, *rows[0], []) is not None] == [True]
    assert direct._builder.append(1, 1, b"k", b"v", []) is None
    through, direct = BatchBuilder(900, 0), BatchBuilder(900, 0)
    for number, (key, value) in enumerate(rows):
        through.append(key=key, value=value, timestamp=1)
        direct._builder.append(number, 1, key, value, [])
    direct._relative_offset = len(rows)
    assert direct.record_count() == through.record_count() == 3
    assert direct._build() == through._build()


async def test_batches_of_the_producer_serialise_nothing():
    producer = aiokafka.AIOKafkaProducer()
    batch = producer.create_batch()
    await producer.stop()
    assert (batch._key_serializer, batch._value_serializer) == (None, None)
    assert type(batch._builder) is default_records.DefaultRecordBatchBuilder
    assert "_serializer" not in source(driver.Producer._settings_default)


async def test_a_closed_batch_does_not_linger():
    batch = BatchBuilder(200, 0, is_transactional=False)
    batch.append(key=b"k", value=b"v", timestamp=1)
    batch.close()
    assert MessageBatch(TopicPartition("t", 0), batch, 10, 10).remaining_linger() is None
