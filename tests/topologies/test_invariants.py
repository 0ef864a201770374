"""What is checked behind each test of workers is noticed when it does not hold."""

import pytest

from cdp_stream.formats.rows import PartitionState, encode_partition
from cdp_stream.partition.effects import META_ROW
from cdp_stream.settings import Settings
from cdp_stream.wall_clock import wall_ms
from tests.brokers.records import write
from tests.topologies.invariants import SKEW_MS, broken_invariants
from tests.topologies.running import Running

pytestmark = pytest.mark.kafka


@pytest.fixture
async def ran(kafka_broker, topic_prefix, tmp_path):
    made = Running(Settings(broker=kafka_broker, prefix=topic_prefix), tmp_path)
    await made.create_topics()
    return made


async def own_row(settings, partition, time, position):
    row = encode_partition(PartitionState(time, position))
    await write(settings.broker, settings.topic("profiles-changelog"), partition, [(META_ROW, row)])


async def test_a_position_that_is_ahead_of_the_rows_is_noticed(ran):
    await own_row(ran.settings, 1, 1_000, 6)
    await ran.move_position(1, 7)
    assert await broken_invariants(ran.settings) == []
    await ran.move_position(1, 8)
    await ran.move_position(3, 1)
    assert await broken_invariants(ran.settings, settled_s=0) == [
        "partition 1 is committed up to 8, and applied up to 6",
        "partition 3 is committed up to 1, and applied up to -1",
    ]


async def test_a_time_that_was_ahead_of_the_clock_is_noticed_though_it_is_over(ran):
    now = wall_ms()
    await own_row(ran.settings, 0, now + SKEW_MS - 1_000, -1)
    assert await broken_invariants(ran.settings) == []
    await own_row(ran.settings, 2, now + SKEW_MS + 60_000, -1)
    await own_row(ran.settings, 2, now, -1)
    (told,) = await broken_invariants(ran.settings)
    assert told.startswith(f"partition 2 is at {now + SKEW_MS + 60_000}, ")
