"""What is on its way from the consumer's thread is bounded in bytes, and then fetching waits."""

import asyncio
from collections import namedtuple
from types import SimpleNamespace

import pytest

from cdp_stream.kafka.clients.chunk import Chunk
from cdp_stream.kafka.faust_adapter.consumer import Arrivals, ChunkConsumerThread

Record = namedtuple("Record", "offset key value headers timestamp")


def chunk(offset: int) -> Chunk:
    return Chunk([Record(offset, b"k", b"x" * 1_000, [], 0)], 0)


async def test_nothing_more_is_fetched_while_as_much_is_on_its_way_as_may_be():
    fetched = []

    async def fetch():
        await asyncio.sleep(0)
        fetched.append(chunk(len(fetched)))
        return {"events-0": fetched[-1]}

    thread = SimpleNamespace(
        thread_loop=asyncio.get_running_loop(), _fetch_chunks=fetch, arriving_bytes=5_000
    )
    arrivals = Arrivals()
    pump = ChunkConsumerThread.start_pump(thread, arrivals)
    try:
        async with asyncio.timeout(10):
            while arrivals.on_their_way_bytes <= 5_000:  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(0)
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(fetched) == 4
            for offset in range(8):
                got = await arrivals.get()
                assert got["events-0"].records[0].offset == offset
                arrivals.passed_bytes += got["events-0"].size
    finally:
        pump.cancel()


async def test_what_ends_the_fetching_arrives_too():
    async def fetch():
        raise OSError("gone")

    thread = SimpleNamespace(
        thread_loop=asyncio.get_running_loop(), _fetch_chunks=fetch, arriving_bytes=5_000
    )
    arrivals = Arrivals()
    ChunkConsumerThread.start_pump(thread, arrivals)
    with pytest.raises(OSError, match="gone"):
        raise await arrivals.get()
