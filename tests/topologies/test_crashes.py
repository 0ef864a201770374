"""Whatever ends a worker, at least once: nothing lost, and nothing counted twice.

What comes twice under it is an output that was written before a crash, the same each time.
"""

import random

import pytest

from tests.topologies.counted import counts_of, latest_state, numbered, outputs_of
from tests.topologies.running import PARTITIONS, Running, ended, eventually, stop, workers_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


ran = workers_on("kafka_broker", clock="stream", guarantee="at-least-once")


async def feed(ran: Running, total: int, *, parts: int = 1) -> set[tuple[bytes, bytes]]:
    records = numbered(total)
    size = -(-total // parts)
    for start in range(0, total, size):
        await ran.produce(records[start : start + size])
    return outputs_of(records)


async def test_one_worker_counts_every_record_once(ran):
    await ran.create_topics()
    outputs = await feed(ran, 20_000)
    worker = ran.start_worker()
    await eventually(lambda: ran.caught_up(20_000))
    values = await ran.values()
    assert set(values) == outputs
    assert set(values.values()) == {1}
    await stop(worker, within=15)


async def test_kill_9_again_and_again_loses_and_doubles_nothing(ran):
    await ran.create_topics()
    rounds, each = 4, 20_000
    records = numbered(rounds * each)
    draw = random.Random(7)
    for start in range(0, len(records), each):
        await ran.produce(records[start : start + each])
        worker = ran.start_worker()
        goal = await ran.count("memberships") + draw.randrange(1, each // 2)

        async def reached(goal=goal):
            return await ran.count("memberships") >= goal

        await eventually(reached)
        worker.kill()
        await ended(worker)
    ran.start_worker()
    await eventually(lambda: ran.caught_up(len(records)))
    assert set(await ran.values()) == outputs_of(records)
    assert await latest_state(ran) == counts_of(records)


async def test_workers_come_and_go_in_mid_stream(ran):
    await ran.create_topics()
    total = 60_000
    records = numbered(total)
    await ran.produce(records[:20_000])
    first = ran.start_worker()
    second = ran.start_worker()
    await eventually(lambda: ran.caught_up(20_000))
    third = ran.start_worker()
    await ran.produce(records[20_000:40_000])
    second.kill()
    await stop(first, within=15)
    ran.start_worker()
    await ran.produce(records[40_000:])
    await eventually(lambda: ran.caught_up(total))
    assert set(await ran.values()) == outputs_of(records)
    assert third.poll() is None


async def test_every_output_is_in_the_partition_of_its_input(ran):
    await ran.create_topics()
    await feed(ran, 400)
    await ran.produce([(n % PARTITIONS, b"key-%d" % n, b"bad") for n in range(8)])
    ran.start_worker()
    await eventually(lambda: ran.caught_up(408))
    for suffix in ("memberships", "membership-state", "rejected", "profiles-changelog"):
        for partition, records in (await ran.read(suffix)).items():
            keys = [r.key.removeprefix(b"count:") for r in records if r.key[:1] != b"~"]
            assert keys
            assert {int(key.removeprefix(b"key-")) % PARTITIONS for key in keys} == {partition}


async def test_rejected_input_keeps_key_value_and_headers(ran):
    await ran.create_topics()
    await ran.produce([(2, b"key-2", b"bad one")])
    ran.start_worker()
    await eventually(lambda: ran.caught_up(1))
    (record,) = (await ran.read("rejected"))[2]
    assert (record.key, record.value, record.headers) == (
        b"key-2", b"bad one", [("reason", b"not_json")],
    )  # fmt: skip
