"""`cdp erase` against a running worker: memberships end, and no store keeps the profile."""

import asyncio
import json

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from click.testing import CliRunner
from rocksdict import Options

from cdp_stream.cli.erase import command
from cdp_stream.kafka.produce import Routing
from cdp_stream.store.rocks_partition import RocksPartition
from cdp_stream.wall_clock import wall_ms
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.running import eventually, stop, workers_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

DEFINITIONS = (
    "version: 1\naccount: a\n"
    "workspaces: [{id: w, inputs: [{id: web, kind: platform}]}]\n"
    "audiences:\n"
    "  - {id: visited, criteria: {event: Visit}}\n"
    "  - {id: mild, criteria: {event: Visit, count: {less_than: 3}}}\n"
    "  - {id: loyal, criteria: {event: Visit, count: {at_least: 3}}}\n"
)
TWO_DAYS = 48 * 3_600_000
QUICKLY_COMPACTED = {
    "cleanup.policy": "compact",
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.001",
    "delete.retention.ms": "1",
}


ran = workers_on("kafka_broker", CdpRunning, clock="wall")


def partition_of(mpid):
    return Routing(4).partition_of(b"%d" % mpid)


def visit(mpid):
    event = {"event_type": "custom_event", "data": {"event_name": "Visit"}}
    identities = {"email": f"profile-{mpid}@example.com"}
    batch = {"mpid": mpid, "timestamp_unixtime_ms": wall_ms(), "events": [event]}
    return json.dumps({**batch, "user_identities": identities}).encode()


async def newest(ran, suffix):
    rows = {}
    for records in (await ran.read(suffix)).values():
        rows |= {record.key: record.value for record in records}
    return {key: value for key, value in rows.items() if value is not None}


async def erase(ran, *mpids):
    flags = ["--broker", ran.settings.broker, "--prefix", ran.settings.prefix]

    def run():
        return CliRunner().invoke(command, [*flags, *mpids], catch_exceptions=False)

    assert (await asyncio.to_thread(run)).exit_code == 0


async def test_an_erased_profile_leaves_its_audiences_and_every_store(ran, tmp_path):
    definitions = tmp_path / "visits.yaml"
    definitions.write_text(DEFINITIONS)
    await ran.create_topics()
    ran.start_cdp(definitions)
    total = await ran.publish([visit(mpid) for mpid in (5, 6, -7)])
    await eventually(lambda: ran.caught_up(total))
    assert {b"visited:5", b"mild:-7"} <= (await newest(ran, "membership-state")).keys()
    await erase(ran, "5", "-7", "99")

    async def gone():
        rows = await newest(ran, "profiles-changelog")
        return await ran.caught_up(total + 3) and not rows.keys() & {b"5", b"-7", b"99"}

    await eventually(gone)
    assert b"6" in await newest(ran, "profiles-changelog")
    assert (await newest(ran, "membership-state")).keys() == {b"visited:6", b"mild:6"}
    messages = [json.loads(value) for _key, value in await ran.values()]
    ends = [m for m in messages if m["action"] == "delete"]
    assert sorted((m["mpid"], m["audience_id"], m["cause"]["kind"]) for m in ends) == [
        (mpid, audience, "erasure") for mpid in ("-7", "5") for audience in ("mild", "visited")
    ]
    again = await ran.publish([visit(5)])
    await eventually(lambda: ran.caught_up(total + 3 + again))
    assert b"visited:5" in await newest(ran, "membership-state")


async def create_quickly_compacted(settings):
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
    await admin.start()
    try:
        name = settings.topic("profiles-changelog")
        await admin.create_topics([NewTopic(name, 4, 1, topic_configs=QUICKLY_COMPACTED)])
    finally:
        await admin.close()


def leave_for_two_days(data):
    """As if the rows of a worker that is stopped had been written two days ago."""
    for path in data.iterdir():
        rows = RocksPartition(path, int(path.name), Options(raw_mode=True))
        rows.put({}, -1, wall_ms() - TWO_DAYS)
        rows.close()


async def test_a_worker_that_was_away_for_two_days_does_not_bring_an_erased_profile_back(
    ran, tmp_path
):
    definitions = tmp_path / "visits.yaml"
    definitions.write_text(DEFINITIONS)
    await create_quickly_compacted(ran.settings)
    await ran.create_topics()
    first = ran.start_cdp(definitions, data="data-0")
    total = await ran.publish([visit(5), visit(5)])
    await eventually(lambda: ran.caught_up(total))
    await stop(first)
    leave_for_two_days(ran.directory / "data-0" / ran.settings.topic("profiles-changelog"))

    second = ran.start_cdp(definitions, data="data-1")
    await erase(ran, "5")
    total += 1
    # Another profile of that partition, whose rows let the broker compact those before.
    neighbour = next(n for n in range(6, 99) if partition_of(n) == partition_of(5))

    async def forgotten():
        nonlocal total
        total += await ran.publish([visit(neighbour)])
        await eventually(lambda: ran.caught_up(total))
        records = (await ran.read("profiles-changelog"))[partition_of(5)]
        return all(record.key != b"5" for record in records)

    await eventually(forgotten)
    await stop(second)

    third = ran.start_cdp(definitions, data="data-0")
    total += await ran.publish([visit(5)])
    await eventually(lambda: ran.caught_up(total))
    members = (await newest(ran, "membership-state")).keys()
    assert b"loyal:5" not in members
    assert {b"visited:5", b"mild:5", b"loyal:%d" % neighbour} <= members
    assert "last written 48.0 hours ago" in ran.log_of(third)
