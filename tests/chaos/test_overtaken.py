"""A worker that the group has left behind while it was taking partitions over."""

import asyncio

import pytest

from tests.topologies.counted import numbered, published_once
from tests.topologies.running import eventually, workers_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

_SYNC_GROUP, _METADATA, _WITH_IDS = 14, 3, 10


ran = workers_on("proxied_kafka", clock="stream")


def cut_behind_the_assignment(proxy):
    """What the worker asks about its topics once it has its partitions, and all else, waits."""
    is_cut, seen = asyncio.Event(), set()

    async def hand_over(passage, request):
        kind = int.from_bytes(request[4:6])
        seen.add(kind)
        asks = kind == _METADATA and int.from_bytes(request[6:8]) >= _WITH_IDS
        if asks and _SYNC_GROUP in seen and not is_cut.is_set():
            proxy.cut()
            is_cut.set()
        passage.hand_over(request)

    proxy.hand_over = hand_over
    return is_cut


async def test_it_does_not_put_the_rightful_owner_out(ran, proxied_kafka, proxy):
    await ran.create_topics()
    records = numbered(20_000)
    await ran.produce(records[:10_000])
    is_cut = cut_behind_the_assignment(proxy)
    overtaken = ran.start_worker(broker=proxied_kafka.address)
    async with asyncio.timeout(90):
        await is_cut.wait()
    owner = ran.start_worker()
    await eventually(lambda: ran.caught_up(10_000))
    proxy.mend()

    async def is_back():
        assert overtaken.poll() is None, ran.log_of(overtaken)
        return ran.facts(overtaken, "partitions_assigned")

    await eventually(is_back)
    await ran.produce(records[10_000:])
    await eventually(lambda: ran.caught_up(20_000))
    await published_once(ran, records)
    assert not ran.facts(owner, "partition_lost")
    assert ran.facts(overtaken, "assignment_superseded")
    assert (overtaken.poll(), owner.poll()) == (None, None)
