"""What we rely on inside Faust 0.15.3 and aiokafka 0.14.0: an upgrade fails here first.

Each test names the assumption. The behaviour on a broker is tested in tests/topologies.
"""

import asyncio
import inspect
from importlib.metadata import version

import aiokafka
import faust
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator, MessageBatch
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest
from aiokafka.record import default_records
from aiokafka.record.memory_records import MemoryRecords
from faust.app.base import App
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.supervisors import CrashingSupervisor

from cdp_stream.kafka.aiokafka_patches.batch_decoding import WholeBatches, decode_whole_batches
from cdp_stream.kafka.faust_adapter.consumer import (
    ChunkConsumer,
    ChunkConsumerThread,
    ChunkTransport,
)
from cdp_stream.kafka.faust_adapter.table import BulkRecovery, ProfileTables
from cdp_stream.kafka.topics.topic_partition import TopicPartition
from cdp_stream.settings import Settings
from tests.kafka.counting import CountingProcessor
from topologies.profiles import create_app


def parameters(function) -> list[str]:
    return list(inspect.signature(function).parameters)


def source(thing) -> str:
    return inspect.getsource(thing)


@pytest.fixture
async def app(tmp_path):
    made = create_app(Settings(data_dir=tmp_path), CountingProcessor, partitions=4)
    yield made
    made.consumer._thread.thread_loop.close()  # made with the thread, which never ran


def test_the_versions_are_the_ones_that_were_read():
    assert (version("faust-streaming"), version("aiokafka")) == ("0.15.3", "0.14.0")


async def test_the_app_makes_our_transport_and_table_manager(app):
    assert isinstance(app.transport, ChunkTransport)
    assert isinstance(app.producer.transport, ChunkTransport)
    assert isinstance(app.tables, ProfileTables)
    assert isinstance(app.tables.recovery, BulkRecovery)
    assert isinstance(app.consumer, ChunkConsumer)
    assert isinstance(app.consumer._thread, ChunkConsumerThread)


async def test_settings_reach_faust_under_their_names(app):
    conf = app.conf
    assert (conf.broker_max_poll_records, conf.producer_acks, conf.table_standby_replicas) == (
        None, -1, 0,
    )  # fmt: skip
    assert (conf.topic_allow_declare, conf.stream_wait_empty, conf.web_enabled) == (
        False, True, False,
    )  # fmt: skip


async def test_the_agent_crashes_the_worker(app):
    (agent,) = app.agents.values()
    assert agent.supervisor_strategy is CrashingSupervisor


async def test_the_changelog_is_compacted_and_known_to_faust_as_the_tables(app):
    table = app.tables["profiles"]
    assert app.tables.changelog_topics == {"cdp.profiles-changelog"}
    assert (table.changelog_topic.partitions, table.changelog_topic.compacting) == (4, True)


def test_the_fetcher_service_calls_drain_messages_of_the_consumer():
    from faust.transport.consumer import Fetcher

    assert "consumer._drain_messages(self)" in source(Fetcher._fetcher.fun)


def test_faust_looks_whether_partitions_are_stuck_by_this_method_first():
    thread = driver.AIOKafkaConsumerThread
    assert parameters(thread._verify_aiokafka_event_path) == ["self", "now", "tp"]
    assert "if self._verify_aiokafka_event_path(now, tp):" in source(thread.verify_event_path)
    assert "now = monotonic()" in source(Consumer.verify_all_partitions_active)


def test_the_thread_makes_its_consumer_and_fetches_by_these_methods():
    thread = driver.AIOKafkaConsumerThread
    assert parameters(thread._create_worker_consumer) == ["self", "transport"]
    assert parameters(thread._fetch_records) == [
        "self", "consumer", "active_partitions", "timeout", "max_records",
    ]  # fmt: skip
    assert "fetcher.fetched_records" in source(thread._fetch_records)


def test_drained_records_are_returned_with_no_await_after_the_draining():
    # FetchObserver.handed_over is called after it and must come before the next fetch is sent.
    drained = source(fetcher.Fetcher.fetched_records)
    after = drained[drained.index("res_or_error.getall(max_records)") :]
    assert "await" not in after[: after.index("return drained")]
    assert after.index("return drained") < after.index("await asyncio.wait")


def test_every_fetch_goes_through_the_clients_send_and_the_consumer_keeps_these_fields():
    assert "await self._client.send(node_id, request)" in source(
        fetcher.Fetcher._proc_fetch_request
    )
    assert parameters(AIOKafkaClient.send) == ["self", "node_id", "request", "group"]
    started = source(aiokafka.AIOKafkaConsumer.start)
    assert "self._fetch_max_wait_ms" in started
    assert "self._isolation_level" in started


def test_a_fetch_tells_what_it_asks_and_group_requests_are_of_these_types():
    request = FetchRequest(100, 1, 1000, 1, [("t", [(3, 42, 500)])], rack_id="")
    assert request.topics == [("t", [(3, 42, 500)])]
    from aiokafka.consumer import group_coordinator

    assert group_coordinator.HeartbeatRequest is HeartbeatRequest
    assert group_coordinator.SyncGroupRequest is SyncGroupRequest


def test_the_codecs_are_compiled_ones():
    for codec in (default_records.DefaultRecordBatch, default_records.DefaultRecordBatchBuilder):
        assert codec.__module__ == "aiokafka.record._crecords.default_records"


def test_the_fetcher_keeps_results_in_a_dict_of_its_own_and_drains_them_whole():
    assert "self._records = collections.OrderedDict()" in source(fetcher.Fetcher.__init__)
    assert "self._records[tp] = FetchResult(" in source(fetcher.Fetcher._proc_fetch_request)
    drained = source(fetcher.Fetcher.fetched_records)
    assert "type(res_or_error) is FetchResult" in drained
    assert "for msg in self._partition_records:" in source(fetcher.FetchResult.getall)
    started = source(aiokafka.AIOKafkaConsumer.start)
    assert started.count("self._fetcher = Fetcher(") == 1
    assert "await self._consumer.start()" in source(driver.AIOKafkaConsumerThread.on_start)


async def test_a_result_that_is_stored_unpacks_whole_batches_and_moves_the_position():
    consumer, tp = aiokafka.AIOKafkaConsumer(), aiokafka.TopicPartition("t", 0)
    consumer.assign([tp])
    assignment = consumer._subscription.subscription.assignment
    consumer._fetcher = fetcher.Fetcher(consumer._client, consumer._subscription)
    try:
        decode_whole_batches(consumer)
        assignment.state_value(tp).reset_to(0)
        builder = default_records.DefaultRecordBatchBuilder(2, 0, 0, -1, 0, 0, 1_000)
        for number in range(3):
            builder.append(number, 1, b"k", b"%d" % number, [])
        records = fetcher.PartitionRecords(
            tp, MemoryRecords(bytes(builder.build())), [], 0, None, None, True, 1
        )
        consumer._fetcher._records[tp] = result = fetcher.FetchResult(
            tp, assignment=assignment, partition_records=records, backoff=0
        )
        assert isinstance(result._partition_records, WholeBatches)
        drained = await consumer._fetcher.fetched_records([tp])
        assert [record.value for record in drained[tp]] == [b"0", b"1", b"2"]
        assert assignment.state_value(tp).position == 3
        assert not consumer._fetcher._records
    finally:
        await consumer._fetcher.close()
        await consumer.stop()


async def test_aiokafka_keeps_partitions_that_equal_fausts(app):
    assert TP("t", 1) == aiokafka.TopicPartition("t", 1)
    assert hash(TP("t", 1)) == hash(aiokafka.TopicPartition("t", 1))


def test_commits_ask_only_for_pending_partitions_and_new_offsets():
    assert "self._filter_tps_with_pending_acks(topics)" in source(Consumer.force_commit)
    assert "self._new_offset(tp)" in source(Consumer._filter_committable_offsets)


async def test_acks_commit_nothing_and_advances_commit(app):
    consumer = app.consumer
    tp = TP("cdp.events", 0)
    assert list(consumer._filter_tps_with_pending_acks()) == []
    consumer.advance(tp, 17)
    assert list(consumer._filter_tps_with_pending_acks()) == [tp]
    assert consumer._filter_committable_offsets([tp]) == {tp: 17}


async def test_positions_moved_by_transactions_are_known_to_faust_and_not_committed(app):
    consumer, tp = app.consumer, TP("cdp.events", 2)
    consumer.moved(tp, 17)
    assert list(consumer._filter_tps_with_pending_acks()) == []
    assert consumer._committed_offset[tp] == 17
    assert "self.tp_last_committed_at.get(tp)" in source(
        driver.AIOKafkaConsumerThread.verify_event_path
    )
    assert tp in consumer._thread.tp_last_committed_at


def test_a_coordinator_knows_its_generation_and_forgets_it_when_it_is_put_out():
    from aiokafka.consumer.group_coordinator import GroupCoordinator

    made = source(GroupCoordinator.__init__)
    assert "self.generation = OffsetCommitRequest.DEFAULT_GENERATION_ID" in made
    assert "self.member_id = JoinGroupRequest.UNKNOWN_MEMBER_ID" in made
    # That is why membership is read at assignment, and not as positions are moved.
    assert "self.generation = " in source(GroupCoordinator.reset_generation)


def test_fausts_generation_is_the_coordinators_which_answers_as_a_client_does():
    from aiokafka.consumer.group_coordinator import GroupCoordinator

    assigned = source(driver.ConsumerRebalanceListener.on_partitions_assigned)
    assert "generation = self._thread._ensure_consumer()._coordinator.generation" in assigned
    assert "self._thread.app.consumer_generation_id = generation" in assigned
    assert "resp = await self._client.send(" in source(GroupCoordinator._send_req)
    assert parameters(HeartbeatRequest.__init__) == ["self", "group", "generation_id", "member_id"]


async def test_a_pause_changes_the_live_set_that_a_fetch_under_way_drains(app):
    consumer = app.consumer
    a, b = TP("cdp.events", 0), TP("cdp.events", 1)
    live = consumer._set_active_tps({a, b})
    consumer.pause_partitions({b})
    assert live is consumer._get_active_partitions()
    assert live == {a}
    consumer.resume_partitions({TopicPartition("cdp.events", 1)})
    assert live == {a, b}
    # Faust's drivers refuse any other type as they fetch.
    assert {type(tp) for tp in live} == {TP}


def test_recovery_asks_these_and_ends_with_on_recovery_completed():
    restart = source(Recovery._restart_recovery.fun)
    for name in ("_build_highwaters", "_build_offsets", "_seek_offsets", "need_recovery"):
        assert f"self.{name}" in restart, name
    assert "self.on_recovery_completed)(generation_id)" in restart
    assert parameters(Recovery.on_recovery_completed) == ["self", "generation_id"]
    completed = source(Recovery.on_recovery_completed)
    for call in (
        "on_rebalance_complete.send()", "_set_recovery_ended()", "resume_partitions(",
        "self.completed.set()", "flow_control.resume()", "resume_flow()", "_fetcher.maybe_start()",
        "on_actives_ready()", "on_standbys_ready()", "on_rebalance_end()",
    ):  # fmt: skip
        assert call in completed


def test_the_table_manager_starts_by_these_two_steps():
    started = source(TableManager.on_start)
    assert "await self._update_channels()" in started
    assert "await self.recovery.start()" in started


def test_revocation_calls_the_consumer_before_the_app():
    revoked = source(Consumer.on_partitions_revoked)
    assert "self._on_partitions_revoked" in revoked
    assert "_new_transport" in vars(App)
    assert "_new_producer_transport" in vars(App)


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
    assert MessageBatch(TP("t", 0), batch, 10, 10).remaining_linger() is None


def test_a_batch_waits_until_the_one_before_it_is_drained():
    added = source(MessageAccumulator.add_batch)
    assert "wait_drain" in added
    assert added.index("wait_drain") < added.index("_append_batch")


async def test_every_private_name_that_we_override_exists_in_faust():
    for ours, theirs in (
        (ChunkConsumer, driver.Consumer),
        (ChunkConsumerThread, driver.AIOKafkaConsumerThread),
        (BulkRecovery, Recovery),
        (ProfileTables, TableManager),
    ):
        for name in ("_drain_messages", "_new_offset", "_filter_tps_with_pending_acks", "ack",
                     "_new_consumer_thread", "_create_worker_consumer", "_build_highwaters",
                     "_build_offsets", "_seek_offsets", "on_recovery_completed",
                     "recovery"):  # fmt: skip
            if name in vars(ours):
                assert hasattr(theirs, name), name
    assert asyncio.iscoroutinefunction(faust.Table.on_start)
