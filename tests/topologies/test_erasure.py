"""`cdp erase` against a running worker: memberships end, and no store keeps the profile."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from cdp_stream.cli.erase import command
from cdp_stream.kafka.observation import wall_ms
from cdp_stream.settings import Settings
from tests.topologies.running import eventually, running
from tests.topologies.test_worker_equals_replay import CdpRunning

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

DEFINITIONS = (
    "version: 1\naccount: a\n"
    "workspaces: [{id: w, inputs: [{id: web, kind: platform}]}]\n"
    "audiences:\n"
    "  - {id: visited, criteria: {event: Visit}}\n"
    "  - {id: mild, criteria: {event: Visit, count: {less_than: 3}}}\n"
)


@pytest.fixture
def ran(kafka_broker, topic_prefix, tmp_path):
    settings = Settings(broker=kafka_broker, prefix=topic_prefix, clock="wall")
    with running(settings, tmp_path, kind=CdpRunning) as r:
        yield r


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


async def test_an_erased_profile_leaves_its_audiences_and_every_store(ran, tmp_path):
    definitions = tmp_path / "visits.yaml"
    definitions.write_text(DEFINITIONS)
    await ran.create_topics()
    ran.start_cdp(definitions)
    total = await ran.publish([visit(mpid) for mpid in (5, 6, -7)])
    await eventually(lambda: ran.caught_up(total))
    assert {b"visited:5", b"mild:-7"} <= (await newest(ran, "membership-state")).keys()
    settings = ["--broker", ran.settings.broker, "--prefix", ran.settings.prefix]

    def erase():
        return CliRunner().invoke(command, [*settings, "5", "-7", "99"], catch_exceptions=False)

    assert (await asyncio.to_thread(erase)).exit_code == 0

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
