"""Requests of transactions that reach the broker late, twice or slowly: no half of a transaction is
ever seen.
"""

import asyncio
from functools import partial

import pytest
from aiokafka.errors import KafkaError

from cdp_stream.errors import BrokerError
from cdp_stream.kafka import stopped_system
from cdp_stream.kafka.moved_input import forward
from cdp_stream.kafka.stopped_system import StoppedSystem
from cdp_stream.kafka.topics import ensure_topics
from cdp_stream.kafka.transactions import FencedError
from cdp_stream.settings import Settings
from tests.chaos.proxy import KINDS, Late
from tests.kafka.test_moved_input import MARKER, WAITING, forwarded, in_order, waiting_on
from tests.kafka.test_transactions import SUFFIXES, Partition, batch_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

TRANSACTIONS = 12


class TwoHalves:
    """Writes transactions that are two writes to each topic, one after the other."""

    def __init__(self, settings):
        self.partition = Partition(settings)

    async def send(self, number, inner):
        for half in (b"first", b"second"):
            sent = [
                await inner.send_batch(
                    batch_of(inner, [(half, b"%d" % number)]), topic, partition=1
                )
                for topic in map(self.partition.settings.topic, SUFFIXES)
            ]
            await asyncio.wait(sent)
        return sent

    async def run(self):
        """Go on from the position, with a new owner, after whatever went wrong."""
        number, owner = 0, await self.partition.owner()
        while number < TRANSACTIONS:
            try:
                await owner.producer.transact(partial(self.send, number), number + 1)
                number += 1
                await owner.producer.settle()
            except (FencedError, BrokerError):
                await owner.lane.close()
                owner = await self.partition.owner()
                number = await self.partition.position() or 0
        await owner.lane.close()


@pytest.mark.parametrize("way", ["late", "twice", "slowly"])
@pytest.mark.parametrize("kind", KINDS)
async def test_no_half_of_a_transaction_is_seen(proxied_kafka, proxy, topic_prefix, kind, way):
    direct = Settings(broker=proxied_kafka.direct, prefix=topic_prefix)
    await ensure_topics(direct)
    through = Settings(broker=proxied_kafka.address, prefix=topic_prefix)
    proxy.hand_over = late = Late({KINDS[kind]}, way, [f"{through.group_id}-1".encode()])
    async with asyncio.timeout(90):
        await TwoHalves(through).run()
    assert late.count > 1
    read = Partition(direct)
    expected = [(half, b"%d" % n) for n in range(TRANSACTIONS) for half in (b"first", b"second")]
    for suffix in SUFFIXES:
        seen = [(key, value) for key, value, _ in await read.read(suffix)]
        assert (suffix, seen) == (suffix, expected)
    assert await read.position() == TRANSACTIONS


class Interrupted(StoppedSystem):
    """One that cannot be written to in the piece behind the one whose end arrives late."""

    pieces_sent = 0

    async def send(self, *args):
        self.pieces_sent += 1
        if self.pieces_sent == 3:
            raise KafkaError
        await super().send(*args)


async def test_what_is_forwarded_comes_once(proxied_kafka, proxy, topic_prefix, monkeypatch):
    monkeypatch.setattr(stopped_system, "_RECORDS", 5)
    async with waiting_on(proxied_kafka.address, topic_prefix, Interrupted) as system:
        client = f"{system.group}-repartition".encode()
        proxy.hand_over = late = Late({KINDS["EndTxn"]}, "twice", [client], every=2)
        with pytest.raises(KafkaError):
            await forward(system, {0: {}}, MARKER, lambda _line: None, transactional=True)
        assert late.count == 1
        await forward(system, {0: {}}, MARKER, lambda _line: None, transactional=True)
        assert await forwarded(system) == in_order(range(len(WAITING)))
