"""What a worker reports of inputs that are not fetched: nothing while it is idle, and each that
should be fetched and is not.

Faust looks every few seconds and waits five minutes; here it waits two seconds.
"""

import asyncio
import logging
import time

import pytest
from aiokafka import TopicPartition

from cdp_stream.kafka.faust_adapter.serve import serve_app, stop_app
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings
from tests.kafka.counting import CountingProcessor
from tests.topologies.running import eventually
from topologies.profiles import create_app

PATIENCE_S = 2.0


@pytest.fixture
async def app(kafka_broker, topic_prefix, tmp_path):
    settings = Settings(broker=kafka_broker, prefix=topic_prefix, data_dir=tmp_path, store="memory")
    partitions = await ensure_topics(settings)
    made = create_app(settings, CountingProcessor, partitions=partitions)
    stopping = asyncio.Event()
    serving = asyncio.create_task(serve_app(made, stopping))

    async def is_ready():
        return made.assignment.ready

    await eventually(is_ready)
    thread = made.consumer._thread
    thread.tp_fetch_request_timeout_secs = PATIENCE_S
    thread.tp_stream_timeout_secs = thread.tp_commit_timeout_secs = PATIENCE_S
    yield made
    stopping.set()
    await serving
    await stop_app(made, commit=True)


async def looked_at(app, caplog):
    """The lines that a look at every partition writes."""
    caplog.clear()
    await app.consumer.verify_all_partitions_active()
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.kafka
async def test_an_idle_worker_reports_nothing_and_input_not_fetched_is_reported_once(app, caplog):
    async def has_been_idle():
        return time.monotonic() - app.consumer._thread.time_started > 2 * PATIENCE_S

    await eventually(has_been_idle)
    assigned = app.consumer.assignment()
    assert {tp.topic.rpartition(".")[2] for tp in assigned} == {"events", "profiles-changelog"}
    assert await looked_at(app, caplog) == []

    stuck = TopicPartition(next(tp.topic for tp in assigned if tp.topic.endswith(".events")), 2)
    thread = app.consumer._thread

    async def switch(on):
        """Aiokafka fetches a partition no more, or again, and nobody else knows."""
        consumer = thread._ensure_consumer()
        (consumer.resume if on else consumer.pause)(TopicPartition(*stuck))

    await thread.call_thread(switch, False)
    found = []

    async def is_reported():
        found.extend(await looked_at(app, caplog))
        return bool(found)

    await eventually(is_reported)
    (reported,) = found
    assert (reported.msg, reported.levelno) == ("input_stuck", logging.ERROR)
    assert (reported.facts["topic"], reported.facts["partition"]) == (stuck.topic, 2)
    assert await looked_at(app, caplog) == []

    await thread.call_thread(switch, True)

    async def goes_on():
        answered_at = app.consumer.observer.answered_at[stuck.topic, stuck.partition]
        return time.monotonic() - answered_at < PATIENCE_S

    await eventually(goes_on)
    assert await looked_at(app, caplog) == []
