"""A network between worker and broker that is cut, breaks connections, or is slow."""

import asyncio

import pytest

from tests.chaos.network import QUICK, NetworkRunning, equals_replay
from tests.topologies.replays import generated
from tests.topologies.running import eventually, workers_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ran = workers_on("proxied_kafka", NetworkRunning, clock="stream")


async def test_a_worker_that_is_cut_off_is_replaced_and_comes_back(ran, proxied_kafka, proxy):
    lines, until = generated(12_000, seed=41)
    await ran.create_topics()
    half = len(lines) // 2
    total = await ran.publish(lines[:half])
    cut_off = ran.start_through(proxied_kafka)
    await eventually(lambda: ran.has_written(500))
    proxy.cut()
    other = ran.start_cdp(**QUICK)
    await eventually(lambda: ran.caught_up(total))
    proxy.mend()
    total += await ran.publish(lines[half:], until)
    await eventually(lambda: ran.caught_up(total))
    await equals_replay(ran, lines, until)
    assert other.poll() is None
    assert cut_off.poll() in (None, 3), ran.log_of(cut_off)


async def test_a_cut_and_broken_connections_lose_and_double_nothing(ran, proxied_kafka, proxy):
    lines, until = generated(12_000, seed=42)
    await ran.create_topics()
    total = await ran.publish(lines[:9_000])
    worker = ran.start_through(proxied_kafka)

    async def written(goal):
        ran.keep_up(proxied_kafka)
        return await ran.has_written(goal)

    for goal in (300, 4_000):
        await eventually(lambda goal=goal: written(goal))
        proxy.cut()
        await asyncio.sleep(1)
        proxy.reset()
        proxy.mend()
    total += await ran.publish(lines[9_000:], until)

    async def done():
        ran.keep_up(proxied_kafka)
        return await ran.caught_up(total)

    await eventually(done)
    await equals_replay(ran, lines, until)
    assert worker.poll() is None, ran.log_of(worker)


async def test_six_seconds_without_a_network_lose_and_double_nothing(ran, proxied_kafka, proxy):
    lines, until = generated(6_000, seed=44)
    await ran.create_topics()
    total = await ran.publish(lines, until)
    worker = ran.start_through(proxied_kafka)
    await eventually(lambda: ran.has_written(300))
    proxy.cut()
    await asyncio.sleep(6)
    written = await ran.count("memberships")
    proxy.mend()

    async def done():
        ran.keep_up(proxied_kafka)
        return await ran.caught_up(total)

    await eventually(done)
    await equals_replay(ran, lines, until)
    assert written < await ran.count("memberships")
    assert worker.poll() in (None, 3), ran.log_of(worker)


async def test_a_slow_network_changes_nothing(ran, proxied_kafka, proxy):
    lines, until = generated(2_000, seed=43)
    await ran.create_topics()
    total = await ran.publish(lines, until)
    proxy.delay_s = 0.1
    worker = ran.start_through(proxied_kafka)
    await eventually(lambda: ran.caught_up(total))
    await equals_replay(ran, lines, until)
    assert worker.poll() is None
