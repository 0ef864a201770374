"""What we rely on inside Faust 0.15.3 and aiokafka 0.14.0: an upgrade fails here first.

Each test names the assumption. The behaviour on a broker is tested in tests/topologies.
"""

import asyncio
import inspect
from importlib.metadata import version

import aiokafka
import faust
import pytest
from aiokafka.producer.message_accumulator import MessageAccumulator
from faust.app.base import App
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.supervisors import CrashingSupervisor

from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.kafka.faust_adapter.consumer import (
    ChunkConsumer,
    ChunkConsumerThread,
    ChunkTransport,
)
from cdp_stream.kafka.faust_adapter.table import BulkRecovery, ChangelogTables
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
    assert isinstance(app.tables, ChangelogTables)
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


def test_a_batch_waits_until_the_one_before_it_is_drained():
    added = source(MessageAccumulator.add_batch)
    assert "wait_drain" in added
    assert added.index("wait_drain") < added.index("_append_batch")


async def test_every_private_name_that_we_override_exists_in_faust():
    for ours, theirs in (
        (ChunkConsumer, driver.Consumer),
        (ChunkConsumerThread, driver.AIOKafkaConsumerThread),
        (BulkRecovery, Recovery),
        (ChangelogTables, TableManager),
    ):
        for name in ("_drain_messages", "_new_offset", "_filter_tps_with_pending_acks", "ack",
                     "_new_consumer_thread", "_create_worker_consumer", "_build_highwaters",
                     "_build_offsets", "_seek_offsets", "_resume_streams", "on_recovery_completed",
                     "recovery"):  # fmt: skip
            if name in vars(ours):
                assert hasattr(theirs, name), name
    assert asyncio.iscoroutinefunction(faust.Table.on_start)
