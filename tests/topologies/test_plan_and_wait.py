"""`cdp plan` and `cdp apply --wait` beside a worker: what changes, for whom, and until when."""

import json

import pytest
from aiokafka import AIOKafkaProducer

from cdp_stream.formats.definitions_row import DEFINITIONS_KEY, decode_definitions
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.definitions.member_counts import members_of
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings
from tests.brokers.fixtures import EITHER
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.running import PARTITIONS, eventually, running

START = 1_700_000_000_000
FIRST = """version: 1
account: shop
workspaces: [{id: shop, lookback: unlimited, inputs: [{id: web, kind: platform}]}]
audiences:
  - {id: players, criteria: {event: Play, when: any_time}}
  - {id: premium, criteria: {user_attribute: status, equals: Premium}}
"""
SECOND = FIRST.replace("{event: Play, when", "{event: Play, count: {at_least: 2}, when").replace(
    "{id: premium, criteria", "{id: gold, criteria"
)
PLAYERS, PREMIUM = 30, 10


def batches() -> list[bytes]:
    """Thirty who played once or, every third, twice; ten of them are Premium."""
    played = {"event_type": "custom_event", "data": {"event_name": "Play"}}
    return [
        json.dumps(
            {
                "mpid": mpid,
                "timestamp_unixtime_ms": START + mpid,
                "events": [played] * (1 + (mpid % 3 == 0)),
                "user_attributes": {"status": "Premium" if mpid <= PREMIUM else "Free"},
            }
        ).encode()
        for mpid in range(1, PLAYERS + 1)
    ]


async def versions(ran: CdpRunning) -> list[tuple[str, bool]]:
    """Of each partition the version that it says is in force, and whether all rows are under it."""
    rows = [decode_definitions(own[DEFINITIONS_KEY]) for own in (await ran.own_rows()).values()]
    return [(row.version, row.swept == row.epoch) for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("where", EITHER)
async def test_what_would_change_is_shown_and_waited_for(where, request, topic_prefix, tmp_path):
    guarantee = "exactly-once" if where == "kafka_broker" else "at-least-once"
    settings = Settings(
        broker=request.getfixturevalue(where), prefix=topic_prefix, clock="stream",
        guarantee=guarantee,
    )  # fmt: skip
    with running(settings, tmp_path, kind=CdpRunning) as ran:
        await ran.create_topics()
        total = await ran.publish(batches(), START + 1_000)
        code, _, errors = await ran.cdp("apply", FIRST, "--yes", "--wait", "--timeout", "1s")
        assert code == 3
        assert "version 1 is applied, and was not in force everywhere within 1 s" in errors
        assert f"of {PARTITIONS} partitions: {PARTITIONS} not in force yet" in errors
        ran.start_cdp(None)
        # Nothing is left to apply, and there is something to wait for.
        code, out, errors = await ran.cdp("apply", FIRST, "--yes", "--wait")
        assert code == 0, errors
        assert f"version 1 is in force in {PARTITIONS} partitions" in out
        assert await versions(ran) == [("1", True)] * PARTITIONS
        await eventually(lambda: ran.caught_up(total))

        code, out, _ = await ran.cdp("plan", SECOND, "--detailed-exitcode")
        assert code == 2
        assert "players  criteria; recalculated; 30 members now" in out
        assert "- {event: Play, when: any_time}" in out
        assert "+ {event: Play, count: {at_least: 2}, when: any_time}" in out
        assert "premium  its members leave it; 10 members now" in out
        code, out, _ = await ran.cdp("plan", SECOND, "--json")
        changes = {change["id"]: change for change in json.loads(out)["changes"]}
        assert code == 0
        assert (changes["players"]["members"], changes["premium"]["members"]) == (30, 10)
        assert changes["players"]["values"]["criteria"]["after"]["count"] == {"at_least": 2}
        assert changes["gold"] == {
            "kind": "audience", "id": "gold", "action": "add", "recalculates": True, "fields": [],
        }  # fmt: skip

        code, out, errors = await ran.cdp("apply", SECOND, "--yes", "--wait")
        assert code == 0, errors
        assert f"version 2 is in force in {PARTITIONS} partitions" in out
        # So it is, as the command returns: the criterion that is new has read its history.
        assert await versions(ran) == [("2", True)] * PARTITIONS
        state = await ran.published_state()
        assert sum(key.startswith("players:") for key in state) == PLAYERS // 3
        code, out, _ = await ran.cdp("plan", SECOND, "--detailed-exitcode")
        assert (code, "Nothing to change" in out) == (0, True)


@pytest.mark.kafka
async def test_of_very_many_memberships_none_is_counted_unless_asked_to(kafka_broker, topic_prefix):
    settings = Settings(broker=kafka_broker, prefix=topic_prefix)
    assert await members_of(settings, {"a"}, at_most=10) == {}
    await ensure_topics(settings)
    topic = settings.topic("membership-state")
    async with AIOKafkaProducer(**client_settings(settings)) as producer:
        for number in range(12):
            await producer.send_and_wait(topic, b"x", key=b"a:%d" % number)
        await producer.send_and_wait(topic, None, key=b"a:0")
        await producer.send_and_wait(topic, b"x", key=b"a/b:0")
        await producer.send_and_wait(topic, b"x", key=b"a:1")
    assert await members_of(settings, {"a", "a/b", "c"}, at_most=None) == {"a": 11, "a/b": 1}
    assert await members_of(settings, {"a"}, at_most=10) is None
