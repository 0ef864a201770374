"""`cdp bench recovery`: a worker that begins with a full changelog, into memory and into RocksDB.

The rows are made up: 300 bytes with a due instant; recovery looks at no more of them. The rate is
that of the worker's own metrics, from the assignment to readiness. Beside it, in the
same sitting, a bare consumer reads the same topic: what the machine and the broker give.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from cdp_stream.bench.broker import kafka_at
from cdp_stream.bench.measure import Result, result
from cdp_stream.bench.process import Metrics, running_worker
from cdp_stream.bench.reference_load import START
from cdp_stream.core.model.row import Row
from cdp_stream.errors import OutsideError
from cdp_stream.formats.rows import PARTITION_KEY, PartitionState, encode_partition, encode_row
from cdp_stream.kafka.aiokafka_patches.broker_metadata import partitions_of
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.kafka.commit.record_writer import MAX_BATCH_BYTES, send_pairs
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings

ROWS = 1_000_000
ROW_BYTES = 300
BUDGETS = {"memory": 200_000.0, "rocksdb": 150_000.0}
_SLICE = 2_000
_PATIENCE_S = 900.0
_MONTH_MS = 30 * 86_400_000


def run(rows: int, runs: int, broker: str | None) -> list[Result]:
    """Measure recovery of so many rows.

    Args:
        broker: Kafka's address; None starts Apache Kafka from its jars.

    Raises:
        BrokerError: no Kafka is available, or the worker ended.
    """
    with kafka_at(broker) as address:
        return asyncio.run(_measure(rows, runs, address))


async def _measure(rows: int, runs: int, broker: str) -> list[Result]:
    settings = Settings(broker=broker, prefix=f"bench-{os.getpid()}-recovery")
    records = await _write_changelog(settings, rows)
    plain: list[float] = []
    rates: dict[str, list[float]] = {store: [] for store in BUDGETS}
    again: list[float] = []
    for _ in range(runs):
        plain.append(await _bare_rate(settings, records))
        with tempfile.TemporaryDirectory(prefix="cdp-bench-") as folder:
            memory = replace(settings, store="memory")
            rates["memory"].append(await _recovery_rate(memory, records, None))
            kept = Path(folder)
            rates["rocksdb"].append(await _recovery_rate(settings, records, kept))
            again.append((await _recovered(settings, kept))["cdp_recovery_seconds"])
    return [
        result("bare aiokafka: records per second", plain, "1/s"),
        *(
            result(f"recovery into {store}: rows per second", found, "1/s", budget, at_least=True)
            for (store, found), budget in zip(rates.items(), BUDGETS.values(), strict=True)
        ),
        result("recovery from rows kept on disk: seconds", again, "s"),
    ]


async def _recovery_rate(settings: Settings, records: int, data: Path | None) -> float:
    """Rows a second; a worker that was there before has written some more of its own."""
    metrics = await _recovered(settings, data)
    read = metrics["cdp_recovery_records_total"]
    if read < records:
        raise OutsideError(
            f"the worker read {read:.0f} of {records} records", "does another use the topics?"
        )
    return read / metrics["cdp_recovery_seconds"]


async def _recovered(settings: Settings, data: Path | None) -> Metrics:
    async with running_worker(settings, data) as worker:
        return await worker.until(
            lambda found: found.get("cdp_recovery_seconds", 0.0) > 0, _PATIENCE_S
        )


async def _write_changelog(settings: Settings, rows: int) -> int:
    """Fill the changelog; returns how many records that makes."""
    partitions = await ensure_topics(settings)
    producer = AIOKafkaProducer(**client_settings(settings), max_batch_size=MAX_BATCH_BYTES)
    topic = settings.topic("profiles-changelog")
    await producer.start()
    try:
        for number in range(partitions):
            made = _rows(number, rows // partitions)
            while slice_ := list(islice(made, _SLICE)):
                await asyncio.gather(*await send_pairs(producer, topic, number, slice_))
    finally:
        await producer.stop()
    return rows // partitions * partitions + partitions


def _rows(partition: int, count: int) -> Iterator[tuple[bytes, bytes]]:
    draw = random.Random(partition)
    blank = len(encode_row(Row(0)))
    for number in range(count):
        row = Row(partition << 32 | draw.getrandbits(32))
        row.due = START + draw.randrange(_MONTH_MS)
        row.identities = {"other": draw.randbytes((ROW_BYTES - blank) // 2).hex()}
        yield b"%d" % (row.mpid * 100_000_000 + number), encode_row(row)
    yield PARTITION_KEY, encode_partition(PartitionState(START, -1))


async def _bare_rate(settings: Settings, records: int) -> float:
    """Records per second that a consumer of aiokafka reads, in a process of its own."""
    command = (sys.executable, "-m", __name__, settings.broker)
    process = await asyncio.create_subprocess_exec(
        *command, settings.topic("profiles-changelog"), str(records), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise OutsideError("a bare consumer could not read the topic", "run it again")
    return float(output)


async def _read_bare(broker: str, topic: str, records: int) -> float:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    try:
        numbers = await partitions_of(consumer, topic)
        consumer.assign([TopicPartition(topic, number) for number in numbers])
        started, count = time.perf_counter(), 0
        while count < records:
            count += sum(map(len, (await consumer.getmany(timeout_ms=500)).values()))
        return records / (time.perf_counter() - started)
    finally:
        await consumer.stop()


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(_read_bare(sys.argv[1], sys.argv[2], int(sys.argv[3])))}\n")
