"""The procedure of `cdp repartition` while something happens that it cannot see beforehand."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupAuthorizationFailedError

from cdp_stream.errors import BrokerError
from cdp_stream.formats.moved_row import MOVED_KEY, decode_moves
from cdp_stream.formats.rows import (
    PARTITION_KEY,
    REPARTITION_KEY,
    PartitionState,
    decode_partition,
    encode_partition,
)
from cdp_stream.kafka.clients.admin import partition_counts, started_admin
from cdp_stream.kafka.commit.record_writer import send_records
from cdp_stream.kafka.produce import Routing
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.kafka.repartition.preconditions import check_outputs_are_sent
from cdp_stream.kafka.repartition.repartition import repartition
from cdp_stream.kafka.repartition.stopped_system import StoppedSystem
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.partition.relocation import BEGIN, Marker
from cdp_stream.settings import Settings
from tests.partition.relocated import in_force

BEFORE, AFTER = 1, 2


class System:
    """A stopped one, with a move that waits at one of its steps."""

    def __init__(self, settings):
        self.settings = settings
        self.client = {"bootstrap_servers": settings.brokers}
        self.events = settings.topic("events")
        self.changelog = settings.topic("profiles-changelog")

    @asynccontextmanager
    async def moving(self, step, told=lambda _line: None):
        """Runs a move in another thread; the body of this runs as it comes to the step."""
        reached, go_on = threading.Event(), threading.Event()

        def tell(line):
            told(line)
            if line.startswith(step):
                reached.set()
                assert go_on.wait(30)

        move = asyncio.create_task(
            asyncio.to_thread(lambda: asyncio.run(repartition(self.settings, AFTER, report=tell)))
        )
        try:
            assert await asyncio.to_thread(reached.wait, 30)
            yield move
        finally:
            go_on.set()
            await asyncio.wait([move])

    @asynccontextmanager
    async def with_a_worker_from(self, step):
        """Runs a move, and from that step on somebody is a member of the workers' group."""
        consumer = AIOKafkaConsumer(self.events, **self.client, group_id=self.settings.group_id)
        try:
            async with self.moving(step) as move:
                await consumer.start()
            yield move
        finally:
            await consumer.stop()

    async def write(self, topic, number, *pairs):
        async with AIOKafkaProducer(**self.client) as producer:
            items = [(key, value, []) for key, value in pairs]
            await asyncio.gather(*await send_records(producer, topic, number, items))

    async def rows(self):
        admin = AIOKafkaAdminClient(**self.client)
        await admin.start()
        try:
            counts = await partition_counts(admin)
        finally:
            await admin.close()
        found = {number: {} for number in range(counts[self.changelog])}

        def take(number, records):
            for record in records:
                found[number].pop(record.key, None)
                if record.value is not None:
                    found[number][record.key] = record.value

        await read_to_end(self.client, self.changelog, found.keys(), take)
        return found


@pytest.fixture
async def system(kafka_broker, topic_prefix):
    settings = Settings(broker=kafka_broker, prefix=topic_prefix, partitions=BEFORE)
    await ensure_topics(settings)
    return System(settings)


@pytest.mark.kafka
async def test_who_began_to_work_after_the_first_look_keeps_it_from_moving_anything(system):
    async with system.with_a_worker_from("keeping workers") as move:
        with pytest.raises(BrokerError, match="workers are still running"):
            await move
    assert await system.rows() == {0: {}}


@pytest.mark.kafka
@pytest.mark.parametrize("refusal", [GroupAuthorizationFailedError, TimeoutError])
async def test_workers_start_again_where_the_broker_refuses_to_say_who_works(
    system, monkeypatch, refusal
):
    list_groups, asked = AIOKafkaAdminClient.list_consumer_groups, []

    async def refuse_later(admin):
        asked.append(admin)
        if len(asked) > 1:
            raise refusal
        return await list_groups(admin)

    monkeypatch.setattr(AIOKafkaAdminClient, "list_consumer_groups", refuse_later)
    with pytest.raises(BrokerError, match=refusal.__name__):
        await repartition(system.settings, AFTER)
    assert await system.rows() == {0: {}}


@pytest.mark.kafka
async def test_what_the_last_worker_wrote_while_it_was_asked_who_works_is_what_is_moved(system):
    state = PartitionState(90, -1)
    async with system.moving("keeping workers") as move:
        await system.write(system.changelog, 0, (PARTITION_KEY, encode_partition(state)))
    done = await move
    assert (done.before, done.after, done.resumed) == (BEFORE, AFTER, False)
    found = await system.rows()
    assert [decode_partition(found[n][PARTITION_KEY]).time for n in range(AFTER)] == [90] * AFTER
    assert REPARTITION_KEY not in {key for rows in found.values() for key in rows}


@pytest.mark.kafka
async def test_a_move_that_was_interrupted_before_it_began_can_be_taken_back(system):
    marker = Marker(BEFORE, AFTER, BEGIN).encode()
    await system.write(system.changelog, 0, (REPARTITION_KEY, marker))
    done = await repartition(system.settings, BEFORE)
    assert (done.before, done.after) == (BEFORE, BEFORE)
    assert await system.rows() == {0: {}}


@pytest.mark.embedded
@pytest.mark.parametrize("dry_run", [False, True])
async def test_nothing_is_begun_where_topics_cannot_be_given_more_partitions(
    embedded_broker, topic_prefix, dry_run
):
    settings = Settings(broker=embedded_broker, prefix=topic_prefix, partitions=BEFORE)
    await ensure_topics(settings)
    with pytest.raises(BrokerError, match="CreatePartitions"):
        await repartition(settings, AFTER, dry_run=dry_run)
    assert await System(settings).rows() == {0: {}}


@pytest.mark.kafka
async def test_input_by_the_old_number_is_forwarded_once_and_in_order_after_a_failure(
    system,
):
    keys = [None, *(b"%d" % n for n in range(20))]
    records = [(keys[n % len(keys)], b"%d" % n) for n in range(3_000)]
    forwarding = []

    def interrupt(line):
        forwarding.extend([line] if line.startswith("forwarding") else [])
        if len(forwarding) == 2:
            raise InterruptedError

    async with system.moving("copying the profiles of partition 0", interrupt) as move:
        await system.write(system.events, 0, *records)
    with pytest.raises(InterruptedError):
        await move
    done = await repartition(system.settings, AFTER)
    assert (done.resumed, done.after) == (True, AFTER)
    assert 0 < done.forwarded < len(records)
    move = decode_moves((await system.rows())[0][MOVED_KEY])[-1]
    assert (move.ends, move.starts) == ((0,), (len(records),))
    found = {number: [] for number in range(AFTER)}

    def take(number, fetched):
        found[number] += [(one.key, one.value) for one in fetched]

    starts = {0: move.starts[0], 1: 0}
    await read_to_end(system.client, system.events, found.keys(), take, starts=starts)
    routing = Routing(AFTER)
    for key in keys:
        theirs = [value for which, value in records if which == key]
        place = 0 if key is None else routing.partition_of(key)
        for number, there in found.items():
            assert [v for k, v in there if k == key] == (theirs if number == place else [])


@pytest.mark.kafka
async def test_changes_that_an_output_was_not_sent_wait_whether_a_sink_ever_ran_or_not(system):
    topic = system.settings.topic("output.log")
    admin = await started_admin(system.settings)
    try:
        await admin.create_topics([NewTopic(topic, BEFORE, 1)])
        await system.write(topic, 0, *[(b"7", b"{}")] * 3)
        stopped, counts = StoppedSystem(system.settings, admin), {topic: BEFORE}
        await check_outputs_are_sent(stopped, {0: {}}, counts)
        with pytest.raises(BrokerError, match=r"^3 changes in .* have yet to be sent") as refused:
            await check_outputs_are_sent(stopped, {0: in_force("2", outputs=("log",))}, counts)
        assert "delete" not in str(refused.value)
        await commit(system, "log", TopicPartition(topic, 0), 2)
        with pytest.raises(BrokerError, match=f"^1 change in (?s:.*)delete {topic}"):
            await check_outputs_are_sent(stopped, {0: in_force("2")}, counts)
        await commit(system, "log", TopicPartition(topic, 0), 3)
        await check_outputs_are_sent(stopped, {0: in_force("2", outputs=("log",))}, counts)
    finally:
        await admin.close()


async def commit(system, output, tp, offset):
    group = system.settings.sink_group_id(output)
    # Or it commits the end of the partition as it closes.
    options = {"group_id": group, "enable_auto_commit": False}
    async with AIOKafkaConsumer(**system.client, **options) as consumer:
        consumer.assign([tp])
        await consumer.commit({tp: offset})
