"""Three brokers, of which one dies and another is frozen: no acknowledged record is overlooked.

A broker that becomes the leader of a partition knows all acknowledged records of it, but not that
they are acknowledged, until as many followers as `min.insync.replicas` asks for have fetched from
it. Until then it answers fetches as if its log ended before them.
"""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient

from cdp_stream.kafka.recovery.restore import find_lost_positions, read_to_end
from cdp_stream.kafka.topics.catalog import TOPICS
from cdp_stream.settings import Settings
from cdp_stream.wall_clock import wall_ms
from tests.brokers.cluster import NODES, running_cluster
from tests.brokers.records import write
from tests.chaos.compare import differing_changes, differing_state, read_committed
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.replays import EVERYTHING, generated, replayed
from tests.topologies.running import PARTITIONS, Running, eventually, running, stop

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

KEPT_APART = ([3, 1, 2], [1, 3, 2])
"""Leaders and followers of topics that broker 2 leads nothing of: what it sends of one topic tells
its followers how far the others are acknowledged.
"""
MIXED = ([2, 3, 1], [3, 1, 2], [1, 2, 3], [2, 1, 3])


@asynccontextmanager
async def admin_of(cluster):
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def create(admin, name, placed, count, **configs):
    places = {number: list(placed[number % len(placed)]) for number in range(count)}
    answer = await admin.create_topics(
        [NewTopic(name, -1, -1, replica_assignments=places, topic_configs=configs)]
    )
    assert [code for _, code, *_ in answer.topic_errors] == [0], answer


@pytest.fixture(scope="module")
def kafka_cluster():
    async def place_coordinators():
        async with admin_of(cluster) as admin:
            compact = {"cleanup.policy": "compact"}
            await create(admin, "__consumer_offsets", KEPT_APART, 1, **compact)
            await create(admin, "__transaction_state", KEPT_APART, 3, **compact)

    with running_cluster() as cluster:
        asyncio.run(place_coordinators())
        yield cluster


@pytest.fixture
def cluster(kafka_cluster):
    yield kafka_cluster
    kafka_cluster.heal()


async def are_up(cluster, *numbers):
    """Wait until the brokers that the first takes for living are these."""

    async def known():
        client = AIOKafkaClient(bootstrap_servers=cluster.nodes[1].bootstrap)
        try:
            await client.bootstrap()
            return {broker.nodeId for broker in client.cluster.brokers()} == set(numbers)
        finally:
            await client.close()

    await eventually(known, within=30)


async def bring_back(cluster):
    await asyncio.to_thread(cluster.heal)
    await are_up(cluster, *NODES)


async def is_joined(cluster, group):
    async with admin_of(cluster) as admin:
        (answer,) = await admin.describe_consumer_groups([group])
        return answer.groups[0][2] == "Stable"


async def is_assigned(ran, worker):
    return '"fact": "partitions_assigned"' in ran.log_of(worker)


class Placed:
    """Workers on topics whose replicas are where they are wanted."""

    async def place(self, cluster, events, others=KEPT_APART):
        async with admin_of(cluster) as admin:
            for plan in TOPICS:
                placed = events if plan.suffix == "events" else others
                configs = {"cleanup.policy": plan.cleanup, **plan.settings}
                await create(admin, self.settings.topic(plan.suffix), placed, PARTITIONS, **configs)


class PlacedRunning(Placed, Running):
    pass


class PlacedCdp(Placed, CdpRunning):
    async def caught_up(self, total):
        if self.workers[-1].poll() is not None:
            # As whoever runs workers does.
            assert self.workers[-1].returncode == 3, self.log_of(self.workers[-1])
            self.start_cdp()
        return await Running.caught_up(self, total)

    async def has_written(self, count):
        return await self.count("memberships") >= count


def settings_of(cluster, prefix, **others):
    return Settings(broker=cluster.bootstrap, prefix=prefix, **others)


async def test_what_was_acknowledged_is_waited_for_where_a_new_leader_does_not_know_it(cluster):
    # A client may ask the frozen broker for metadata first, and then waits for its answer.
    client = {"bootstrap_servers": cluster.nodes[1].bootstrap, "request_timeout_ms": 2_000}
    async with admin_of(cluster) as admin:
        await create(admin, "log", [[2, 1, 3]], 1)
    values = [b"%d" % n for n in range(20)]
    await write(cluster.bootstrap, "log", 0, [(b"key", value) for value in values])
    cluster.freeze(3)
    cluster.kill(2)
    await are_up(cluster, 1)
    read = []
    reading = asyncio.create_task(
        read_to_end(client, "log", [0], lambda _number, records: read.extend(records))
    )
    looking = asyncio.create_task(find_lost_positions(client, "log", {0: len(values)}))

    async def all_that_the_leader_has():
        return len(read) == len(values) - 1

    await eventually(all_that_the_leader_has, within=60)
    done, _ = await asyncio.wait({reading, looking}, timeout=2)
    assert done == set()
    assert len(read) == len(values) - 1
    cluster.thaw(3)
    await reading
    assert [record.value for record in read] == values
    assert await looking == {}


async def test_time_does_not_overtake_a_record_that_a_new_leader_does_not_give_yet(
    cluster, tmp_path
):
    settings = settings_of(cluster, "time")
    with running(settings, tmp_path, kind=PlacedRunning) as ran:
        await ran.place(cluster, [[2, 3]])
        due = wall_ms() + 2_000
        records = [(b"a", b"due:%d" % due), (b"b", b"before")]
        await write(cluster.bootstrap, settings.topic("events"), 0, records)
        cluster.kill(2)
        await are_up(cluster, 1, 3)
        ran.start_worker()
        await eventually(lambda: ran.caught_up(1))
        await asyncio.sleep(2)  # it is due long since, and what is due fires within 0.3 s
        assert await ran.caught_up(1)
        await bring_back(cluster)
        await eventually(lambda: ran.caught_up(2))

        async def outputs():
            records = (await ran.read("memberships"))[0]
            return [(record.key, record.value) for record in records]

        async def fired():
            return len(await outputs()) == 3

        await eventually(fired)
        assert await outputs() == [
            (b"a", b"1:due:%d" % due),
            (b"b", b"1:before"),
            (b"a", b"fired:%d" % due),
        ]


async def test_a_worker_does_not_take_its_input_for_another_where_a_new_leader_gives_less(
    cluster, tmp_path
):
    settings = settings_of(cluster, "again")
    with running(settings, tmp_path, kind=PlacedRunning) as ran:
        await ran.place(cluster, [[2, 3]])
        first = ran.start_worker()
        await eventually(lambda: is_assigned(ran, first))
        await ran.produce([(n % PARTITIONS, b"k", b"v") for n in range(40)])
        await eventually(lambda: ran.caught_up(40))
        await stop(first)
        cluster.kill(2)
        await are_up(cluster, 1, 3)
        second = ran.start_worker()
        await eventually(lambda: is_joined(cluster, settings.group_id))
        await asyncio.sleep(2)  # by then it has its rows, and asks how far its input reaches
        assert second.poll() is None, ran.log_of(second)
        await bring_back(cluster)
        await ran.produce([(n % PARTITIONS, b"k", b"v") for n in range(40)])
        await eventually(lambda: ran.caught_up(80))
        assert second.poll() is None
        counts = {value for _key, value in await ran.values()}
        assert counts == {b"%d:v" % n for n in range(1, 21)}


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
async def test_brokers_that_die_and_freeze_in_mid_stream_change_nothing(
    cluster, tmp_path, guarantee
):
    settings = settings_of(cluster, f"mid-{guarantee}", clock="stream", guarantee=guarantee)
    lines, until = generated(16_000, seed=51)
    half = len(lines) // 2
    with running(settings, tmp_path, kind=PlacedCdp) as ran:
        await ran.place(cluster, MIXED, MIXED)
        total = await ran.publish(lines[:half])
        ran.start_cdp()
        await eventually(lambda: ran.has_written(500))
        cluster.kill(2)  # leads a part of each topic
        await eventually(lambda: ran.caught_up(total))
        await bring_back(cluster)
        total += await ran.publish(lines[half:], until)
        written = await ran.count("memberships")
        await eventually(lambda: ran.has_written(written + 500))
        cluster.freeze(3)  # leads the group
        cluster.kill(2)
        await are_up(cluster, 1)  # nothing can be written now
        await bring_back(cluster)
        await eventually(lambda: ran.caught_up(total))
        expected = replayed(EVERYTHING, lines, until)
        records = await read_committed(settings.brokers, settings.topic("memberships"))
        changes = [value for _key, value in records]
        if guarantee == "at-least-once":
            changes = list(dict.fromkeys(changes))
        assert differing_changes(changes, expected) == []
        state = await read_committed(settings.brokers, settings.topic("membership-state"))
        assert differing_state(state, expected) == []
