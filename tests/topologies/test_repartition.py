"""`cdp repartition`: in mid-stream, interrupted, and what comes out is what `cdp replay` prints."""

import asyncio
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from cdp_stream.kafka.commit.record_writer import MAX_BATCH_BYTES
from cdp_stream.kafka.produce import Publisher, Routing
from cdp_stream.settings import Settings
from tests.topologies.backfilled import (
    ACTIVE,
    BUYER,
    KEEN,
    LAPSED,
    SECOND,
    Backfilled,
    T,
    defined,
    members_of_a_replay,
    visits,
)
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.replays import EVERYTHING, final_state, generated, in_replay_order, replayed
from tests.topologies.running import PARTITIONS, ended, eventually, running, stop, workers_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

MORE = 6


class Moving(CdpRunning):
    """Runs `cdp repartition` beside workers."""

    def begin(self, *flags: str, to: int = MORE) -> subprocess.Popen[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CDP_")}
        command = [
            Path(sys.executable).parent / "cdp", "repartition", "--partitions", str(to), *flags,
            "--broker", self.settings.broker, "--prefix", self.settings.prefix,
        ]  # fmt: skip
        return subprocess.Popen(
            command, env=environment, cwd=self.directory, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    async def repartition(self, *flags: str, to: int = MORE) -> tuple[int, str]:
        process = self.begin(*flags, to=to)
        out, err = await asyncio.to_thread(process.communicate)
        return process.returncode, out + err

    async def rows(self, suffix: str) -> dict[int, dict[bytes, bytes]]:
        found = {}
        for number, records in (await self.read(suffix)).items():
            newest = {record.key: record.value for record in records}
            found[number] = {key: value for key, value in newest.items() if value is not None}
        return found


ran = workers_on("kafka_broker", Moving, clock="stream")


async def test_interrupted_in_mid_stream_it_goes_on_and_the_changes_are_those_of_replay(ran):
    lines, until = generated(8_000, seed=21)
    half = next(n for n in range(len(lines) // 2, len(lines)) if moves(lines[n]))
    more = half + 1  # more would come out of the order in which they arrived
    await ran.create_topics()
    total = await ran.publish(lines[:half])
    worker = ran.start_cdp(data="kept")
    await eventually(lambda: ran.caught_up(total))
    code, told = await ran.repartition()
    assert (code, "stop all workers" in told) == (3, True), told
    await stop(worker)
    code, told = await ran.repartition("--dry-run", "--json")
    assert code == 0, told
    assert json.loads(told)["profiles"] > 100
    await interrupted(ran)
    await publish_by_the_old_number(ran, lines[half:more])
    code, told = await ran.repartition("--json")
    assert code == 0, told
    done = json.loads(told)
    assert (done["before"], done["after"], done["forwarded"]) == (PARTITIONS, MORE, 1)
    ran.partitions = MORE
    await everything_is_in_its_place(ran)
    total += 2 + await ran.publish(lines[more:], until)
    ran.start_cdp(data="kept")
    await eventually(lambda: ran.caught_up(total))
    messages = await ran.published()
    changes = replayed(EVERYTHING, lines, until)
    assert in_replay_order(messages) == changes
    assert set(messages.values()) == {1}
    state = {}
    for rows in (await ran.rows("membership-state")).values():
        assert not state.keys() & rows.keys()
        state |= {key.decode(): value for key, value in rows.items()}
    assert state == final_state(changes)


def moves(line):
    key = Routing.key_of(line)
    return Routing(PARTITIONS).partition_of(key) != Routing(MORE).partition_of(key)


async def interrupted(ran):
    """Killed as the first copies are in a partition that is new, and a worker does not start."""

    async def copies():
        assert process.poll() is None, process.communicate()
        return await ran.count("profiles-changelog") > before

    markers = 3 * ran.partitions
    before = await ran.count("profiles-changelog") + markers + 2
    process = ran.begin()
    await eventually(copies)
    process.kill()
    await asyncio.to_thread(process.communicate)
    worker = ran.start_cdp()
    assert await ended(worker) == 3
    assert "run it again" in ran.log_of(worker)
    code, told = await ran.repartition(to=MORE + 1)
    assert (code, f"--partitions {MORE}" in told) == (2, True), told


async def publish_by_the_old_number(ran, lines):
    """As a producer does that was not stopped."""
    async with AIOKafkaProducer(
        bootstrap_servers=ran.settings.brokers, max_batch_size=MAX_BATCH_BYTES
    ) as producer:
        to = Publisher(producer, ran.settings.topic("events"), PARTITIONS)
        await asyncio.gather(*await to.send((Routing.key_of(line), line) for line in lines))


async def everything_is_in_its_place(ran):
    routing = Routing(MORE)
    for number, rows in (await ran.rows("profiles-changelog")).items():
        profiles = {key for key in rows if not key.startswith(b"~")}
        assert {routing.partition_of(key) for key in profiles} == {number}
        assert b"~repartition" not in rows
    for number, rows in (await ran.rows("membership-state")).items():
        assert {routing.partition_of(key.rsplit(b":")[-1]) for key in rows} == {number}


async def test_input_that_waits_is_not_moved_and_fewer_partitions_are_refused(ran):
    lines, _until = generated(200, seed=22)
    await ran.create_topics()
    await ran.publish(lines)
    code, told = await ran.repartition()
    assert (code, "have not been applied yet" in told) == (3, True), told
    code, told = await ran.repartition(to=3)
    assert (code, "fewer" in told) == (2, True), told
    code, told = await ran.repartition(to=PARTITIONS)
    assert (code, "nothing to do" in told) == (0, True), told
    ran.start_cdp()
    await eventually(lambda: ran.caught_up(len(lines)))


EVEN_MORE = 7
OFTEN = "  - {id: often, criteria: {event: Visit, count: {at_least: 6}}}\n"
"""Of all that there ever was."""


class MovingBackfilled(Backfilled, Moving):
    async def has_read_all(self) -> bool:
        assert self.workers[-1].poll() is None, self.log_of(self.workers[-1])
        committed = await self.committed()
        last = {number: found[-1].offset for number, found in (await self.read("events")).items()}
        return all(committed[number] > offset for number, offset in last.items())

    async def members(self) -> dict[str, set[int]]:
        """By audience; a membership has ended when no partition has it."""
        found = defaultdict(set)
        for rows in (await self.rows("membership-state")).values():
            for key in rows:
                audience, _, mpid = key.decode().rpartition(":")
                found[audience].add(int(mpid))
        return dict(found)


async def test_history_of_profiles_that_were_moved_is_read_where_they_were(
    kafka_broker, topic_prefix, tmp_path
):
    settings = Settings(broker=kafka_broker, prefix=topic_prefix, clock="stream")
    with running(settings, tmp_path, kind=MovingBackfilled) as ran:
        await history_after_two_moves(ran, tmp_path)


async def history_after_two_moves(ran, directory):
    before = defined(directory, "before", ACTIVE, KEEN)
    after = defined(directory, "after", ACTIVE, KEEN, BUYER, LAPSED, OFTEN)
    sent = visits(9_000, profiles=1_500)
    until = T + 14_000 * SECOND
    await ran.create_topics()
    await ran.publish(sent[:3_000])
    await worked(ran, before)
    await interrupted(ran)
    await publish_by_the_old_number(ran, sent[3_000:3_100])
    code, told_of = await ran.repartition("--json")
    assert code == 0, told_of
    assert json.loads(told_of)["forwarded"] == 100
    ran.partitions = MORE
    await ran.publish(sent[3_100:6_000])
    await worked(ran, before)
    code, told_of = await ran.repartition(to=EVEN_MORE)
    assert code == 0, told_of
    ran.partitions = EVEN_MORE
    await ran.publish(sent[6_000:8_000])
    await worked(ran, before)

    worker = ran.start(after)
    await eventually(lambda: ran.is_through(worker), within=120)
    await ran.publish(sent[8_000:], until)
    await eventually(ran.has_read_all)
    expected = members_of_a_replay(after, sent, until)
    assert min(map(len, (expected[name] for name in ("keen", "buyer", "lapsed", "often")))) > 50
    assert await ran.members() == expected
    begins = ran.facts(worker, "backfill_started")
    # All of a stretch, as no two of the counts divide each other; and the own log.
    assert {fact["sources"] for fact in begins} == {PARTITIONS + MORE + 1}
    assert "backfill_log_is" not in ran.log_of(worker)


async def worked(ran, definitions):
    worker = ran.start(definitions)
    await eventually(ran.has_read_all)
    await stop(worker)
