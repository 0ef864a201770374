"""A disk that fills up, and a clock that jumps: nothing is lost, and nothing doubled."""

import json
from functools import partial

import pytest

from cdp_stream.offline.generate import Shape, generate
from cdp_stream.settings import Settings
from cdp_stream.wall_clock import wall_ms
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.replays import EVERYTHING, final_state, generated, in_replay_order, replayed
from tests.topologies.running import ended, eventually, workers_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

HOUR_S = 3_600
BRIEF = (
    "version: 1\naccount: a\n"
    "workspaces: [{id: w, inputs: [{id: web, kind: platform}]}]\n"
    "audiences: [{id: now, criteria: {event: Visit, when: {last: 2s}}}]\n"
)


ran = workers_on("kafka_broker", CdpRunning, clock="stream")


async def test_a_disk_that_is_full_ends_the_worker_which_goes_on_with_more_room(ran, small_disk):
    # So many profiles that their rows do not stay in memory.
    shape = Shape(profiles=4_000, events=20_000, days=30, seed=51)
    lines = [line.rstrip(b"\n") for line in generate(shape)]
    until = json.loads(lines[-1])["timestamp_unixtime_ms"]
    await ran.create_topics()
    total = await ran.publish(lines, until)
    data = str(small_disk.path / "data")
    worker = ran.start_cdp(data=data, CDP_MEMORY="64")
    assert await ended(worker, within=120) == 3
    told = ran.log_of(worker)
    assert "the local rows in" in told
    assert "No space left" in told
    assert "see to the disk" in told
    assert "Traceback" not in told
    small_disk.resize("200m")
    ran.start_cdp(data=data)
    await eventually(lambda: ran.caught_up(total))
    await equals_replay(ran, lines, until)


async def test_a_clock_that_jumps_changes_nothing_of_what_the_stream_says(ran, jumping_clock):
    lines, until = generated(6_000, seed=52)
    await ran.create_topics()
    total = 0
    worker = ran.start_cdp(**jumping_clock.variables)
    jumps = (HOUR_S // 2, -2 * HOUR_S, 0)
    size = len(lines) // len(jumps) + 1
    for number, jump in enumerate(jumps):
        part = lines[number * size : (number + 1) * size]
        total += await ran.publish(part, until if number == len(jumps) - 1 else None)
        goal = total - len(part) // 2
        await eventually(lambda goal=goal: ran.caught_up(goal))
        jumping_clock.jump(jump)
    await eventually(lambda: ran.caught_up(total))
    await equals_replay(ran, lines, until)
    assert worker.poll() is None


async def test_a_clock_that_kafka_does_not_believe_ends_the_worker(ran, jumping_clock):
    lines, until = generated(3_000, seed=53)
    await ran.create_topics()
    total = await ran.publish(lines[:1_500])
    worker = ran.start_cdp(data="data", **jumping_clock.variables)
    await eventually(lambda: ran.caught_up(total))
    jumping_clock.jump(72 * HOUR_S)
    total += await ran.publish(lines[1_500:], until)
    assert await ended(worker, within=60) == 3
    assert "set this machine's clock" in ran.log_of(worker)
    ran.start_cdp(data="data")
    await eventually(lambda: ran.caught_up(total))
    await equals_replay(ran, lines, until)


async def equals_replay(ran, lines, until):
    messages = await ran.published()
    changes = replayed(EVERYTHING, lines, until)
    assert in_replay_order(messages) == changes
    assert set(messages.values()) == {1}
    assert await ran.published_state() == final_state(changes)


async def test_time_waits_for_a_clock_that_was_set_back_and_never_goes_back(
    ran, jumping_clock, tmp_path
):
    definitions = tmp_path / "brief.yaml"
    definitions.write_text(BRIEF)
    ran.settings = Settings(broker=ran.settings.broker, prefix=ran.settings.prefix, clock="wall")
    await ran.create_topics()
    worker = ran.start_cdp(definitions, **jumping_clock.variables)
    jumping_clock.jump(-HOUR_S)
    first = await visit(ran, 5)
    await eventually(lambda: tells(ran, [("add", 5, first)]))
    jumping_clock.jump(0)
    so_far = [("add", 5, first), ("delete", 5, first + 2001)]
    await eventually(lambda: tells(ran, so_far))
    # Ahead: what is due by then leaves at its own instant, and a visit that follows too.
    jumping_clock.jump(HOUR_S)
    for mpid in (6, 7):
        at = await visit(ran, mpid)
        so_far += [("add", mpid, at), ("delete", mpid, at + 2001)]
        await eventually(partial(tells, ran, so_far))
        jumping_clock.jump(0)
    assert worker.poll() is None


async def visit(ran, mpid):
    at = wall_ms()
    event = {"event_type": "custom_event", "data": {"event_name": "Visit"}}
    batch = {"mpid": mpid, "timestamp_unixtime_ms": at, "events": [event]}
    await ran.publish([json.dumps(batch).encode()])
    return at


async def tells(ran, expected):
    messages = [json.loads(value) for _key, value in await ran.values()]
    told = sorted((int(m["mpid"]), m["effective_at"], m["action"]) for m in messages)
    return told == sorted((mpid, at, action) for action, mpid, at in expected)
