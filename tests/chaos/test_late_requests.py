"""Requests of transactions that reach the broker late, twice or slowly: no half of a transaction is
ever seen.
"""

import asyncio
from functools import partial

import pytest
from aiokafka.errors import KafkaError

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.commit.partition_producer import FencedError
from cdp_stream.kafka.repartition import stopped_system
from cdp_stream.kafka.repartition.moved_input import forward
from cdp_stream.kafka.repartition.stopped_system import StoppedSystem
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings
from tests.chaos.network import NetworkRunning, equals_replay
from tests.chaos.proxy import KINDS, Late
from tests.kafka.moved_inputs import MARKER, WAITING, forwarded, in_order, waiting_on
from tests.kafka.transactional import SUFFIXES, Partition, batch_of
from tests.topologies.replays import generated
from tests.topologies.running import PARTITIONS, eventually, running

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
                await owner.committer.close()
                owner = await self.partition.owner()
                number = await self.partition.position() or 0
        await owner.committer.close()


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


async def test_what_a_worker_publishes_equals_the_replay(
    proxied_kafka, proxy, topic_prefix, tmp_path
):
    lines, until = generated(3_000, seed=45)
    settings = Settings(broker=proxied_kafka.direct, prefix=topic_prefix, clock="stream")
    clients = [f"{settings.group_id}-{number}".encode() for number in range(PARTITIONS)]
    with running(settings, tmp_path, kind=NetworkRunning) as ran:
        await ran.create_topics()
        proxy.hand_over = late = Late(set(KINDS.values()), "twice", clients, every=7)
        ran.start_through(proxied_kafka)
        total = 0
        for start in range(0, len(lines), 500):
            rest = start + 500 >= len(lines)
            total += await ran.publish(lines[start : start + 500], until if rest else None)

            async def done(total=total):
                ran.keep_up(proxied_kafka)
                return await ran.caught_up(total)

            await eventually(done)
        await equals_replay(ran, lines, until)
    assert late.count > PARTITIONS
