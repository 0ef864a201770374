"""Exactly-once on Apache Kafka: who reads committed records sees each once, whatever happens."""

import gzip
import json
import signal
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaProducer

from cdp_stream.settings import Settings
from tests.topologies.running import PARTITIONS, Running, ended, eventually, running

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def ran(kafka_broker, topic_prefix, tmp_path):
    settings = Settings(broker=kafka_broker, prefix=topic_prefix, clock="stream")
    with running(settings, tmp_path) as r:
        yield r


def numbered(total: int, start: int = 0) -> list[tuple[int, bytes, bytes]]:
    return [(n % PARTITIONS, b"key-%d" % (n % 97 * PARTITIONS + n % PARTITIONS), b"%d" % n)
            for n in range(start, start + total)]  # fmt: skip


async def published_once(ran: Running, records: list[tuple[int, bytes, bytes]]) -> None:
    """Every output once, the newest state, and rows, position and outputs of the same records."""
    counts: dict[bytes, int] = {}
    outputs = set()
    for _, key, value in records:
        counts[key] = counts.get(key, 0) + 1
        outputs.add((key, b"%d:%s" % (counts[key], value)))
    values = await ran.values()
    assert set(values.values()) == {1}
    assert set(values) == outputs
    state = {
        record.key: record.value
        for found in (await ran.read("membership-state")).values()
        for record in found
    }
    assert state == {b"count:" + key: b"%d" % count for key, count in counts.items()}
    for number, found in (await ran.read("profiles-changelog")).items():
        rows = {record.key: record.value for record in found}
        rows.pop(b"~input")
        position = int(rows.pop(b"~partition").split(b":")[1])
        assert position + 1 == (await ran.committed())[number]
        assert rows == {key: b"%d" % count for key, count in counts.items() if key in rows}


def getting_to(ran: Running, outputs: int) -> Callable[[], Awaitable[bool]]:
    """Whether so many outputs were written; a worker that has ended is not waited for."""

    async def reached() -> bool:
        newest = ran.workers[-1]
        assert newest.poll() is None, ran.log_of(newest)
        return await ran.count("memberships") >= outputs

    return reached


def is_assigned(ran: Running, worker) -> Callable[[], Awaitable[bool]]:
    async def assigned() -> bool:
        assert worker.poll() is None, ran.log_of(worker)
        return told(ran, worker, "partitions_assigned")

    return assigned


async def produce_until_stopped(ran: Running, worker, each: int = 5_000) -> int:
    """Stop a worker while a transaction is open; returns how many records were produced."""
    produced = 0

    async def has_open_transaction() -> bool:
        return await ran.count("memberships", "read_committed") < await ran.count("memberships")

    async def is_stopped() -> bool:
        nonlocal produced
        await ran.produce(numbered(each, produced))
        produced += each
        worker.send_signal(signal.SIGSTOP)
        # The broker may be at its end, which it was asked for: it is still open at a second look.
        if await has_open_transaction() and await has_open_transaction():
            return True
        worker.send_signal(signal.SIGCONT)
        return False

    await eventually(is_stopped)
    return produced


def facts(ran: Running, worker) -> list[dict[str, object]]:
    return [json.loads(line) for line in ran.log_of(worker).splitlines() if line.startswith("{")]


def told(ran: Running, worker, fact: str) -> bool:
    return any(line["fact"] == fact for line in facts(ran, worker))


async def test_kill_9_in_mid_stream_again_and_again(ran):
    await ran.create_topics()
    rounds, each = 5, 15_000
    records = numbered(rounds * each)
    for number in range(rounds):
        await ran.produce(records[number * each : (number + 1) * each])
        worker = ran.start_worker()
        goal = await ran.count("memberships") + each // 3
        await eventually(getting_to(ran, goal))
        worker.kill()
        await ended(worker)
    last = ran.start_worker()
    await eventually(lambda: ran.caught_up(len(records)))
    await published_once(ran, records)
    assert last.poll() is None


async def test_a_stopped_worker_that_lost_its_partitions_cannot_write(ran):
    await ran.create_topics()
    stopped = ran.start_worker()
    await eventually(is_assigned(ran, stopped))
    before = await produce_until_stopped(ran, stopped)
    # The stopped worker may have applied all of it: only the other one can apply what follows.
    records = numbered(before + 30_000)
    await ran.produce(records[before:-15_000])
    other = ran.start_worker()
    await eventually(lambda: ran.caught_up(before + 15_000))
    stopped.send_signal(signal.SIGCONT)
    await ran.produce(records[-15_000:])
    await eventually(lambda: ran.caught_up(len(records)))
    await published_once(ran, records)

    async def is_back():
        assert stopped.poll() is None, ran.log_of(stopped)
        return sum(line["fact"] == "partitions_assigned" for line in facts(ran, stopped)) > 1

    await eventually(is_back)
    assert told(ran, stopped, "partition_lost")
    assert not told(ran, other, "partition_lost")
    assert (stopped.poll(), other.poll()) == (None, None)


async def test_workers_join_and_leave_under_load(ran):
    await ran.create_topics()
    records = numbered(60_000)
    await ran.produce(records[:20_000])
    first, second = ran.start_worker(), ran.start_worker()
    await eventually(getting_to(ran, 2_000))
    third = ran.start_worker()
    await ran.produce(records[20_000:40_000])
    second.kill()
    first.send_signal(signal.SIGTERM)
    assert await ended(first, within=10) == 0
    ran.start_worker()
    await ran.produce(records[40_000:])
    await eventually(lambda: ran.caught_up(len(records)))
    await published_once(ran, records)
    assert third.poll() is None


async def test_ticks_are_in_the_same_protocol_whatever_is_killed(ran):
    await ran.create_topics()
    dues = 12_000
    await ran.produce([(0, b"k%d" % n, b"due:%d" % (10_000 + n)) for n in range(dues)],
                      timestamp_ms=1000)  # fmt: skip
    await ran.produce([(0, None, b"")], headers=[("time", b"99999")])
    for goal in (dues + 1_000, dues + 5_000):
        worker = ran.start_worker()
        await eventually(getting_to(ran, goal))
        worker.kill()
        await ended(worker)
    ran.start_worker()
    await eventually(lambda: ran.caught_up(dues + 1))
    values = await ran.values()
    assert set(values.values()) == {1}
    fired = {value for _, value in values if value.startswith(b"fired:")}
    assert fired == {b"fired:%d" % (10_000 + n) for n in range(dues)}


async def test_a_transaction_that_had_to_be_aborted_is_made_again(ran):
    await ran.create_topics()
    records = numbered(4_000)
    await ran.produce(records[:2_000])
    # Compressed it fits into the input; what is rejected of it fits nowhere.
    producer = AIOKafkaProducer(
        bootstrap_servers=ran.settings.brokers, compression_type="gzip",
        max_request_size=40_000_000, max_batch_size=40_000_000,
    )  # fmt: skip
    huge = b"bad" + b"z" * 20_000_000
    assert len(gzip.compress(huge)) < 1_000_000
    async with producer:
        await producer.send_and_wait(ran.settings.topic("events"), huge, key=b"key-0", partition=0)
    await ran.produce(records[2_000:])
    worker = ran.start_worker()
    await eventually(lambda: ran.caught_up(len(records) + 1))
    (rejected,) = (await ran.read("rejected"))[0]
    assert (rejected.value, dict(rejected.headers)["value_bytes"]) == (None, b"%d" % len(huge))
    values = await ran.values()
    assert set(values.values()) == {1}
    assert len(values) == len(records)
    assert worker.poll() is None


async def test_a_worker_goes_on_from_what_at_least_once_left_and_back(ran):
    await ran.create_topics()
    records = numbered(6_000)
    for part, guarantee in enumerate(("at-least-once", "exactly-once", "at-least-once")):
        await ran.produce(records[part * 2_000 : (part + 1) * 2_000])
        worker = ran.start_worker(guarantee=guarantee)
        await eventually(lambda part=part: ran.caught_up((part + 1) * 2_000))
        worker.send_signal(signal.SIGTERM)
        assert await ended(worker, within=10) == 0
    await published_once(ran, records)


@pytest.mark.parametrize("how", ["restart", "kill"])
async def test_a_broker_that_comes_back(own_kafka, tmp_path, how):
    settings = Settings(broker=own_kafka.bootstrap, prefix="back", clock="stream")
    with running(settings, tmp_path) as ran:
        await ran.create_topics()
        records = numbered(40_000)
        await ran.produce(records[:20_000])
        worker = ran.start_worker()
        await eventually(getting_to(ran, 3_000))
        if how == "restart":
            own_kafka.restart()
        else:
            own_kafka.kill()
            own_kafka.start()
        await ran.produce(records[20_000:])

        async def done():
            if ran.workers[-1].poll() is not None:
                ran.start_worker()  # as whoever runs workers does
            return await ran.caught_up(len(records))

        await eventually(done, within=200)
        await published_once(ran, records)
        assert worker.poll() in (None, 3), ran.log_of(worker)
