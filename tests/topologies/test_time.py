"""A partition's time on a broker: both clocks, markers, and never past the input."""

import asyncio
import signal
import time

import pytest

from tests.topologies.running import Running, ended, eventually, stop, workers_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


ran = workers_on("kafka_broker", clock="stream")


async def outputs(ran: Running, partition: int) -> list[bytes]:
    return [record.value for record in (await ran.read("memberships"))[partition]]


async def until(instant_ms: int) -> None:
    """Let the wall clock, which is what is tested here, reach an instant."""
    await asyncio.sleep(max(0.0, instant_ms / 1000 - time.time()))


async def test_stream_time_goes_as_far_as_the_greatest_arrival(ran):
    await ran.create_topics()
    await ran.produce([(1, b"a", b"due:5000"), (1, b"b", b"due:6000")], timestamp_ms=1000)
    await ran.produce([(1, b"c", b"x")], timestamp_ms=5000)
    ran.start_worker()
    await eventually(lambda: ran.caught_up(3))

    async def fired():
        return await outputs(ran, 1) == [
            b"1:due:5000", b"1:due:6000", b"1:x", b"fired:5000",
        ]  # fmt: skip

    await eventually(fired)


async def test_a_marker_is_committed_once_all_that_is_due_up_to_it_has_fired(ran):
    await ran.create_topics()
    dues = 3_000
    await ran.produce([(0, b"k%d" % n, b"due:%d" % (10_000 + n)) for n in range(dues)],
                      timestamp_ms=1000)  # fmt: skip
    await ran.produce([(0, None, b"")], headers=[("time", b"%d" % (10_000 + dues - 2))])
    await ran.produce([(0, b"after", b"due:1")], timestamp_ms=1000)
    ran.start_worker()

    async def marker_is_committed():
        return (await ran.committed()).get(0, 0) >= dues + 1

    await eventually(marker_is_committed)
    found = await outputs(ran, 0)
    fired = [value for value in found if value.startswith(b"fired:1")]
    assert fired[: dues - 1] == [b"fired:%d" % (10_000 + n) for n in range(dues - 1)]
    assert b"fired:%d" % (10_000 + dues - 1) not in found
    # Records behind the marker waited for it.
    assert found.index(b"fired:%d" % (10_000 + dues - 2)) < found.index(b"1:due:1")


async def test_wall_time_fires_what_is_due_with_no_further_input(ran):
    await ran.create_topics()
    worker = ran.start_worker(clock="wall")
    await ran.produce([(3, b"warm", b"up")])
    await eventually(lambda: ran.caught_up(1))
    due = time.time_ns() // 1_000_000 + 1500
    await ran.produce([(3, b"a", b"due:%d" % due)])

    async def fired():
        return (await outputs(ran, 3))[-1] == b"fired:%d" % due

    await eventually(fired, within=60)
    (record,) = [r for r in (await ran.read("memberships"))[3] if r.value.startswith(b"fired")]
    assert 0 <= record.timestamp - due < 10_000
    assert worker.poll() is None


async def test_a_stopped_worker_goes_through_what_arrived_meanwhile_in_its_order(ran):
    await ran.create_topics()
    worker = ran.start_worker(clock="wall", grace=0, session_timeout=30)
    await ran.produce([(2, b"warm", b"up")])
    await eventually(lambda: ran.caught_up(1))
    due = time.time_ns() // 1_000_000 + 8_000
    await ran.produce([(2, b"a", b"due:%d" % due)])
    await eventually(lambda: ran.caught_up(2))
    worker.send_signal(signal.SIGSTOP)
    # A fetch is under way: let its answer "nothing new" come, and wait in the worker's socket.
    await until(time.time_ns() // 1_000_000 + 300)
    await ran.produce([(2, b"b", b"before")])
    await until(due + 500)
    worker.send_signal(signal.SIGCONT)

    async def all_out():
        return len(await outputs(ran, 2)) == 4

    await eventually(all_out)
    assert await outputs(ran, 2) == [b"1:up", b"1:due:%d" % due, b"1:before", b"fired:%d" % due]


async def test_an_input_topic_that_was_made_anew_is_reported_and_not_skipped_over(ran):
    await ran.create_topics()
    await ran.produce([(n % 4, b"k", b"v") for n in range(40)])
    worker = ran.start_worker()
    await eventually(lambda: ran.caught_up(40))
    await stop(worker)
    await ran.delete_topics(ran.settings.topic("events"))
    await ran.create_topics()
    await ran.produce([(n % 4, b"k", b"v") for n in range(8)])
    again = ran.start_worker()
    assert await ended(again) == 3
    assert "deleted and created again" in ran.log_of(again)
    assert "start afresh with another --prefix" in ran.log_of(again)
