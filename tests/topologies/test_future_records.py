"""A broker may take records from any time: one from 2126 makes nobody but its own profile late."""

import json

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from cdp_stream.kafka.clients.probe import free_port
from cdp_stream.wall_clock import wall_ms
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.running import PARTITIONS, eventually, workers_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

DEFINITIONS = """
version: 1
account: acme
workspaces: [{id: main, lookback: 30d, inputs: [{id: web, kind: platform}]}]
audiences: [{id: played, criteria: {event: Play, when: {last: 3d}}}]
"""
PLACE = 3
"""Where murmur2 puts profiles 1, 7 and 8, of four partitions."""
CENTURY = 100 * 365 * 86_400_000


ran = workers_on("kafka_broker", CdpRunning, clock="wall")


async def create_lenient_input(settings):
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
    await admin.start()
    try:
        lenient = {"message.timestamp.after.max.ms": str(2 * CENTURY)}
        topic = NewTopic(settings.topic("events"), PARTITIONS, 1, topic_configs=lenient)
        await admin.create_topics([topic])
    finally:
        await admin.close()


def play(mpid, at):
    event = {"event_type": "custom_event", "data": {"event_name": "Play"}}
    return json.dumps({"mpid": mpid, "timestamp_unixtime_ms": at, "events": [event]}).encode()


async def test_records_from_the_future_make_nobody_else_late(ran, tmp_path):
    definitions = tmp_path / "definitions.yaml"
    definitions.write_text(DEFINITIONS)
    await create_lenient_input(ran.settings)
    await ran.create_topics()
    now, port = wall_ms(), free_port()
    far = now + CENTURY
    await ran.produce([(PLACE, b"1", play(1, far))], timestamp_ms=far)
    marker = [("time", b"%d" % far)]
    await ran.produce([(PLACE, None, b"")], timestamp_ms=far, headers=marker)
    await ran.produce([(PLACE, None, b"")], headers=marker)  # its record is not from there
    await ran.produce([(PLACE, b"7", play(7, now)), (PLACE, b"8", play(8, now + 1))])
    worker = ran.start_cdp(definitions, "--metrics-port", str(port))
    await eventually(lambda: ran.caught_up(5))
    changes = [json.loads(r.value) for r in (await ran.read("memberships"))[PLACE]]
    joined = [(change["action"], change["mpid"], change["effective_at"]) for change in changes]
    assert joined == [("add", "1", far), ("add", "7", now), ("add", "8", now + 1)]
    (rejected,) = (await ran.read("rejected"))[PLACE]
    assert dict(rejected.headers)["reason"] == b"future_time"

    async def is_told():
        return "records_in_the_future" in ran.log_of(worker)

    await eventually(is_told)
    assert '"records": 2' in ran.log_of(worker)
    assert "topic_accepts_future_records" in ran.log_of(worker)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        told = (await client.get("/metrics")).text
    assert f'cdp_partition_ahead_seconds{{partition="{PLACE}"}} 0.0' in told
    assert "cdp_future_records_total 2.0" in told
