"""A topic that was deleted and made anew is reported, however far its offsets have come again; and
so is a position of the group that is ahead of the rows.
"""

import asyncio
from dataclasses import replace

import pytest

from cdp_stream.kafka.faust_adapter.serve import serve_app, stop_app
from tests.kafka.counting import CountingProcessor
from tests.topologies.running import Running, ended, eventually, stop, workers_on
from topologies.profiles import create_app

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


class Recreating(Running):
    keeps_invariants = False  # rows are gone, and the group's position stays

    async def recreate(self, suffix: str) -> None:
        await self.delete_topics(self.settings.topic(suffix))
        await self.create_topics()

    async def send(self, count: int) -> None:
        await self.produce([(n % 4, b"k%d" % (n % 4), b"v") for n in range(count)])

    async def run_and_stop(self, total: int) -> None:
        worker = self.start_worker()
        await eventually(lambda: self.caught_up(total))
        await stop(worker)

    async def refusal(self, **flags) -> str:
        worker = self.start_worker(**flags)
        assert await ended(worker) == 3
        return self.log_of(worker)


ran = workers_on("kafka_broker", Recreating, clock="stream")


@pytest.mark.parametrize("count", [8, 40, 80])
async def test_an_input_that_is_shorter_as_long_or_longer_than_what_was_applied(ran, count):
    await ran.create_topics()
    await ran.send(40)
    await ran.run_and_stop(40)
    await ran.recreate("events")
    await ran.send(count)
    told = await ran.refusal()
    assert f"{ran.settings.topic('events')} was deleted and created again" in told
    assert "start afresh with another --prefix" in told


@pytest.mark.parametrize("data", ["data-0", "data-1"])
async def test_a_changelog_made_anew_while_no_worker_ran(ran, data):
    await ran.create_topics()
    await ran.send(40)
    await ran.run_and_stop(40)
    await ran.recreate("profiles-changelog")
    await ran.send(8)
    told = await ran.refusal(data_dir=ran.directory / data)
    assert f"{ran.settings.topic('profiles-changelog')} was deleted and created again" in told
    assert "the state of profiles is lost" in told


@pytest.mark.parametrize("suffix", ["events", "profiles-changelog"])
async def test_a_topic_made_anew_under_a_running_worker(ran, suffix):
    await ran.create_topics()
    await ran.send(40)
    worker = ran.start_worker()
    await eventually(lambda: ran.caught_up(40))
    await ran.recreate(suffix)
    await ran.send(80)
    assert await ended(worker, within=60) == 3
    assert f"{ran.settings.topic(suffix)} was deleted and created again" in ran.log_of(worker)
    assert "created again" in await ran.refusal()


async def test_a_position_ahead_of_the_rows_is_refused_and_nothing_is_skipped(ran):
    await ran.create_topics()
    await ran.send(40)
    await ran.run_and_stop(40)
    await ran.send(40)
    await ran.move_position(2, 17)
    told = await ran.refusal()
    assert f"{ran.settings.topic('events')}, partition 2, is 17, but" in told
    assert "what came of records before 10: those in between would be skipped" in told
    assert "--reset-offsets --to-offset 10 --execute" in told
    await ran.move_position(2, 10)
    await ran.run_and_stop(80)
    assert sorted(await ran.values()) == sorted(
        (b"k%d" % key, b"%d:v" % count) for key in range(4) for count in range(1, 21)
    )


async def test_a_broker_that_says_once_that_a_position_does_not_exist_is_asked_again(ran, tmp_path):
    settings = replace(ran.settings, data_dir=tmp_path / "here", session_timeout=6)
    await ran.create_topics()
    await ran.send(40)
    app = create_app(settings, CountingProcessor, partitions=4)
    stopping = asyncio.Event()
    serving = asyncio.create_task(serve_app(app, stopping))
    try:
        await eventually(lambda: ran.caught_up(40))
        app.consumer.observer.out_of_range[settings.topic("events"), 2] = 10
        await ran.send(40)
        await eventually(lambda: ran.caught_up(80))
    finally:
        stopping.set()
        failure = await serving
        assert await stop_app(app, commit=True)
    assert failure is None
    assert sorted(await ran.values()) == sorted(
        (b"k%d" % key, b"%d:v" % count) for key in range(4) for count in range(1, 21)
    )
