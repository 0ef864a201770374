"""A changelog that is written and read without a worker."""

import asyncio

from aiokafka import AIOKafkaProducer

from cdp_stream.kafka.commit.record_writer import send_records
from cdp_stream.kafka.recovery.restore import read_to_end


class Changelog:
    def __init__(self, settings):
        self.settings = settings
        self.client = {"bootstrap_servers": settings.brokers}
        self.topic = settings.topic("profiles-changelog")

    async def write(self, partition, rows, *, transactional_id=None, abort=False):
        producer = AIOKafkaProducer(**self.client, transactional_id=transactional_id)
        await producer.start()
        try:
            if transactional_id:
                await producer.begin_transaction()
            futures = await send_records(
                producer, self.topic, partition, [(key, value, []) for key, value in rows]
            )
            await asyncio.gather(*futures)
            if transactional_id:
                await (producer.abort_transaction if abort else producer.commit_transaction)()
        finally:
            await producer.stop()

    async def read(self, partitions=range(4)):
        rows = {number: {} for number in partitions}

        def take(partition, records):
            rows[partition].update((record.key, record.value) for record in records)

        async with asyncio.timeout(60):
            await read_to_end(self.client, self.topic, partitions, take)
        return rows
