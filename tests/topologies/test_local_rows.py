"""Local rows are a cache: whatever becomes of them, a worker publishes what `cdp replay` prints."""

import json
import random
import resource
import shutil
import signal
from pathlib import Path

import pytest

from cdp_stream.offline.generate import Shape, generate
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.replays import EVERYTHING, final_state, generated, in_replay_order, replayed
from tests.topologies.running import PARTITIONS, ended, eventually, stop, workers_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

CHANGELOG = "profiles-changelog"


ran = workers_on("kafka_broker", CdpRunning, clock="stream")


def damage(path: Path, how: str, draw: random.Random) -> None:
    """Damage a partition's directory so that no rows can be read from it without a word."""
    tables = sorted(path.glob("*.sst"))
    if how == "deleted":
        shutil.rmtree(path)
    elif how == "cut":
        victim = draw.choice(tables)
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    else:
        for table in tables:
            content = bytearray(table.read_bytes())
            for place in range(20, len(content) // 2, 500):
                content[place] ^= 0xFF
            table.write_bytes(content)


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGKILL])
async def test_rows_deleted_or_damaged_between_runs_change_nothing(ran, ends):
    lines, until = generated(12_000, seed=31)
    await ran.create_topics()
    draw, hows = random.Random(5), ["kept", "flipped", "deleted", "cut"]
    total, size = 0, len(lines) // len(hows) + 1
    for number, how in enumerate(hows):
        part = lines[number * size : (number + 1) * size]
        total += await ran.publish(part, until if number == len(hows) - 1 else None)
        if number:
            data = ran.directory / "data-0" / ran.settings.topic(CHANGELOG)
            for partition in (1, 3):
                if how != "kept":
                    damage(data / str(partition), how, draw)
        worker = ran.start_cdp(data="data-0")
        await eventually(lambda total=total: ran.caught_up(total))
        rebuilt = {fact["partition"] for fact in ran.facts(worker, "local_rows_rebuilt")}
        assert rebuilt == ({1, 3} if how in ("flipped", "cut") else set())
        worker.send_signal(ends)
        await ended(worker)
    changes = replayed(EVERYTHING, lines, until)
    assert in_replay_order(await ran.published()) == changes
    assert await ran.published_state() == final_state(changes)


async def test_a_worker_that_stopped_in_order_reads_nothing_again(ran):
    lines, _ = generated(3_000, seed=32)
    await ran.create_topics()
    total = await ran.publish(lines)
    for records in (0, PARTITIONS):
        worker = ran.start_cdp(data="data-0")
        await eventually(lambda: ran.caught_up(total))

        async def assigned(worker=worker):
            return bool(ran.facts(worker, "partitions_assigned"))

        await eventually(assigned)
        (fact,) = ran.facts(worker, "partitions_assigned")
        assert fact["changelog_records"] <= records
        await stop(worker)


async def test_two_workers_do_not_share_a_data_directory(ran):
    await ran.create_topics()
    first = ran.start_cdp(data="data-0")
    await eventually(lambda: _is_assigned(ran, first))
    second = ran.start_cdp(data="data-0")
    assert await ended(second) == 2
    assert "is the data directory of another worker" in ran.log_of(second)
    assert first.poll() is None


async def _is_assigned(ran, worker):
    return bool(ran.facts(worker, "partitions_assigned"))


async def test_rows_of_a_topic_that_was_made_anew_are_not_taken(ran):
    lines, until = generated(2_000, seed=33)
    await ran.create_topics()
    total = await ran.publish(lines[:1_000])
    worker = ran.start_cdp(data="data-0")
    await eventually(lambda: ran.caught_up(total))
    worker.send_signal(signal.SIGTERM)
    await ended(worker)
    await ran.delete_topics()
    await ran.create_topics()
    total = await ran.publish(lines, until)
    worker = ran.start_cdp(data="data-0")
    await eventually(lambda: ran.caught_up(total))
    reasons = [fact["reason"] for fact in ran.facts(worker, "local_rows_rebuilt")]
    assert [reason[:18] for reason in reasons] == ["foreign: topic_id "] * PARTITIONS
    assert in_replay_order(await ran.published()) == replayed(EVERYTHING, lines, until)


async def test_a_full_disk_ends_the_worker_and_loses_nothing(ran):
    # So many profiles that their rows do not stay in memory.
    shape = Shape(profiles=6_000, events=24_000, days=30, seed=34)
    lines = [line.rstrip(b"\n") for line in generate(shape)]
    until = json.loads(lines[-1])["timestamp_unixtime_ms"]
    await ran.create_topics()
    total = await ran.publish(lines, until)
    worker = ran.start_cdp(data="data-0", CDP_MEMORY="64")
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (50_000, 50_000))
    assert await ended(worker, within=60) == 3
    assert "the local rows in" in ran.log_of(worker)
    assert "see to the disk" in ran.log_of(worker)
    ran.start_cdp(data="data-0")
    await eventually(lambda: ran.caught_up(total))
    changes = replayed(EVERYTHING, lines, until)
    assert in_replay_order(await ran.published()) == changes
