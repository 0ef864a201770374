"""One worker on the embedded broker: what a newcomer runs, and the quick test of the whole path."""

import json

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.topologies.running import PARTITIONS, ended, eventually, stop, workers_on

pytestmark = pytest.mark.embedded


ran = workers_on("embedded_broker", clock="stream")


async def test_one_worker_stops_and_goes_on_where_it_was(ran):
    await ran.create_topics()
    records = [(n % PARTITIONS, b"key-%d" % (n % 40), b"%d" % n) for n in range(4_000)]
    await ran.produce(records[:2_000], timestamp_ms=1_000)
    worker = ran.start_worker()
    await eventually(lambda: ran.caught_up(2_000))
    await stop(worker)
    assert await members(ran) == 0
    await ran.produce(records[2_000:], timestamp_ms=2_000)
    await ran.produce([(n, None, b"") for n in range(PARTITIONS)], headers=[("time", b"9000")])
    again = ran.start_worker()
    await eventually(lambda: ran.caught_up(4_000 + PARTITIONS))
    values = await ran.values()
    assert set(values.values()) == {1}
    assert len(values) == 4_000
    assert {value.split(b":")[0] for _, value in values} == {b"%d" % n for n in range(1, 101)}
    assert again.poll() is None


async def members(ran):
    """How many the group has."""
    admin = AIOKafkaAdminClient(bootstrap_servers=ran.settings.brokers)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([ran.settings.group_id])
    finally:
        await admin.close()
    ((_error, _group, _state, _type, _protocol, found, *_),) = answer.groups
    return len(found)


async def test_a_worker_that_was_not_told_falls_back_and_one_that_was_refuses(ran):
    await ran.create_topics()
    await ran.produce([(0, b"k", b"v")])
    falls_back = ran.start_worker()
    await eventually(lambda: ran.caught_up(1))
    facts = [json.loads(line) for line in ran.log_of(falls_back).splitlines()]
    (warning,) = [line for line in facts if line["fact"] == "fell_back_to_at_least_once"]
    assert warning["level"] == "warning"
    (starting,) = [line for line in facts if line["fact"] == "worker_starting"]
    assert starting["guarantee"] == "at-least-once"
    refuses = ran.start_worker(guarantee="exactly-once")
    assert await ended(refuses) == 3
    assert "cannot provide --guarantee exactly-once" in ran.log_of(refuses)
