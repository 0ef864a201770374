"""The differential test: what a worker publishes is what `cdp replay` prints, byte for byte,
whatever is killed.
"""

import json
import signal
from collections import Counter
from dataclasses import replace

import pytest

from cdp_stream.settings import Settings
from cdp_stream.wall_clock import wall_ms
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.replays import EVERYTHING, final_state, generated, in_replay_order, replayed
from tests.topologies.running import ended, eventually, running, stop, workers_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SECOND = 1000
MINUTE = 60 * SECOND

ran = workers_on("kafka_broker", CdpRunning, clock="stream")


async def test_a_run_in_time_order_equals_replay_byte_for_byte(ran):
    lines, until = generated(20_000, seed=11)
    await ran.create_topics()
    total = await ran.publish(lines, until)
    ran.start_cdp()
    await eventually(lambda: ran.caught_up(total), within=120)
    changes = replayed(EVERYTHING, lines, until)
    assert len(changes) > 10_000
    messages = await ran.published()
    assert in_replay_order(messages) == changes
    assert set(messages.values()) == {1}
    assert await ran.published_state() == final_state(changes)


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
async def test_kill_9_in_mid_stream_changes_nothing_and_exactly_once_repeats_nothing(
    ran, guarantee
):
    ran.settings = replace(ran.settings, guarantee=guarantee)
    lines, until = generated(20_000, seed=12)
    changes = replayed(EVERYTHING, lines, until)
    await ran.create_topics()
    total, rounds = 0, 4
    size = len(lines) // rounds + 1
    for start in range(0, len(lines), size):
        part = lines[start : start + size]
        last = start + size >= len(lines)
        total += await ran.publish(part, until if last else None)
        worker = ran.start_cdp()
        goal = await ran.count("memberships") + 500

        async def reached(goal=goal):
            return await ran.count("memberships") >= goal

        await eventually(reached, within=120)
        worker.kill()
        await ended(worker)
    ran.start_cdp()
    await eventually(lambda: ran.caught_up(total), within=120)
    messages = await ran.published()
    assert in_replay_order(messages) == changes
    assert guarantee != "exactly-once" or set(messages.values()) == {1}
    assert await ran.published_state() == final_state(changes)


async def test_several_workers_share_the_work_and_equal_replay(ran):
    lines, until = generated(12_000, seed=13)
    await ran.create_topics()
    half = len(lines) // 2
    total = await ran.publish(lines[:half])
    first, _second = ran.start_cdp(), ran.start_cdp()
    await eventually(lambda: ran.caught_up(total), within=120)
    total += await ran.publish(lines[half:], until)
    await stop(first)
    await eventually(lambda: ran.caught_up(total), within=120)
    messages = await ran.published()
    assert in_replay_order(messages) == replayed(EVERYTHING, lines, until)
    assert set(messages.values()) == {1}


async def test_an_hour_of_backlog_on_the_wall_clock_equals_replay(ran, tmp_path):
    """Events and due instants of the hour a worker was down come in order, then time goes on."""
    definitions = tmp_path / "hour.yaml"
    definitions.write_text(
        "version: 1\naccount: a\n"
        "workspaces: [{id: w, profile_lifetime: 2h, inputs: [{id: web, kind: platform}]}]\n"
        "audiences:\n"
        "  - {id: active, criteria: {event: Visit, when: {last: 3m}}}\n"
        "  - {id: keen, criteria: {event: Visit, count: {at_least: 3}, when: {last: 10m}}}\n"
        "  - {id: gone, criteria: {event: Visit, count: {less_than: 1}, when: {last: 5m}}}\n"
    )
    now = wall_ms()
    started = now - 60 * MINUTE
    lines = [
        json.dumps(
            {
                "mpid": number * 7 % 40,
                "timestamp_unixtime_ms": started + number * 6 * SECOND,
                "events": [{"event_type": "custom_event", "data": {"event_name": "Visit"}}],
            }
        ).encode()
        for number in range(590)
    ]
    ran.settings = Settings(broker=ran.settings.broker, prefix=ran.settings.prefix, clock="wall")
    await ran.create_topics()
    await ran.publish(lines)
    ran.start_cdp(definitions)
    until = now - MINUTE
    expected = replayed(definitions, lines, until)
    assert {json.loads(value)["cause"]["kind"] for value in expected} == {"event", "time"}

    async def so_far() -> list[bytes]:
        messages = in_replay_order(await ran.published())
        return [value for value in messages if json.loads(value)["effective_at"] <= until]

    async def complete() -> bool:
        return len(await so_far()) >= len(expected)

    await eventually(complete, within=90)
    assert await so_far() == expected


async def test_a_drop_comes_by_itself_at_its_own_instant(ran, tmp_path):
    definitions = tmp_path / "short.yaml"
    definitions.write_text(
        "version: 1\naccount: a\n"
        "workspaces: [{id: w, inputs: [{id: web, kind: platform}]}]\n"
        "audiences: [{id: now, criteria: {event: Visit, when: {last: 2s}}}]\n"
    )
    ran.settings = Settings(broker=ran.settings.broker, prefix=ran.settings.prefix, clock="wall")
    await ran.create_topics()
    ran.start_cdp(definitions)
    at = wall_ms()
    event = {"event_type": "custom_event", "data": {"event_name": "Visit"}}
    batch = {"mpid": 5, "timestamp_unixtime_ms": at, "events": [event]}
    await ran.publish([json.dumps(batch).encode()])

    async def dropped() -> bool:
        return len(await ran.published()) == 2

    await eventually(dropped)
    add, delete = [json.loads(value) for value in in_replay_order(await ran.published())]
    assert (add["action"], add["effective_at"]) == ("add", at)
    assert (delete["action"], delete["effective_at"]) == ("delete", at + 2001)
    assert delete["cause"]["kind"] == "time"
    assert await ran.published_state() == {}


async def test_hostile_records_are_all_applied_or_rejected_and_the_position_moves_on(ran):
    hostile = [
        b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 5000, b'{"mpid":1}' * 2, b"x" * 200_000,
        b'{"mpid":99999999999999999999}', b'{"mpid":"1","events":{}}', b'{"mpid":1,"events":[1]}',
        b'{"mpid":1,"events":[{"event_type":"custom_event","data":{"event_name":7}}]}',
        b'{"mpid":1,"user_attributes":[]}', b'{"mpid":1,"timestamp_unixtime_ms":1e3}',
        b'{"mpid":2}',
    ]  # fmt: skip
    lines, until = generated(500, seed=14)
    await ran.create_topics()
    # Where murmur2 puts profile 1, of four partitions.
    records = [(3, b"1", value) for value in hostile] + [(3, None, b"{}"), (3, b"x", b"{}")]
    await ran.produce(records)
    total = len(records) + await ran.publish(lines, until)
    worker = ran.start_cdp()
    await eventually(lambda: ran.caught_up(total), within=90)
    rejected = [record for records in (await ran.read("rejected")).values() for record in records]
    reasons = Counter(dict(record.headers)["reason"].decode() for record in rejected)
    assert reasons == {
        "not_json": 4, "not_an_object": 2, "too_large": 2, "no_mpid": 1, "bad_key": 2,
        "bad_event": 4, "bad_profile": 1, "mpid_key_mismatch": 1,
    }  # fmt: skip
    assert {record.value for record in rejected} >= {b"x" * 200_000, b"\xff\xfe", b"[" * 5000}
    assert worker.poll() is None


async def test_sigterm_ends_a_worker_whose_broker_is_gone(own_kafka, tmp_path):
    settings = Settings(broker=own_kafka.bootstrap, prefix="gone", clock="stream")
    with running(settings, tmp_path, kind=CdpRunning) as ran:
        lines, until = generated(200, seed=15)
        await ran.create_topics()
        total = await ran.publish(lines, until)
        worker = ran.start_cdp()
        await eventually(lambda: ran.caught_up(total))
        own_kafka.kill()
        worker.send_signal(signal.SIGTERM)
        assert await ended(worker, within=15) in (0, 3)
