"""What holds of every system of workers at any moment, read from its topics by the stock client."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from aiokafka import AIOKafkaConsumer, TopicPartition

from cdp_stream.formats.rows import decode_partition
from cdp_stream.kafka.clients.probe import answers
from cdp_stream.partition.effects import META_ROW
from cdp_stream.settings import Settings

SKEW_MS = 3_600_000
"""So far ahead of the clock a record, or a marker, may be: docs/events.md, future_time."""
_SETTLED_S = 20.0
_READ_S = 60.0


def check_invariants(settings: Settings) -> None:
    """Fail where one is broken, or was at some time; where no broker is left there is nothing to
    read. It may be called where a loop runs.
    """
    with ThreadPoolExecutor(1) as thread:
        broken = thread.submit(asyncio.run, broken_invariants(settings)).result()
    assert broken == []


async def broken_invariants(settings: Settings, settled_s: float = _SETTLED_S) -> list[str]:
    """Those of a system that nobody works at any more; empty when all hold.

    * A group's position is at most one ahead of the last record that rows were made of: whoever
      goes on from it skips nothing.
    * A partition's time was never ahead of the clock as it was written, beyond the skew that
      records may have.

    Args:
        settings: Which broker, which prefix.
        settled_s: How long a transaction may take whose position shows before its rows.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + settled_s
    while True:
        if not any([await asyncio.to_thread(answers, address) for address in settings.brokers]):
            return []
        async with asyncio.timeout(_READ_S):
            skipping, early = await _read(settings)
        if not skipping or loop.time() > ends_at:
            return skipping + early
        await asyncio.sleep(0.5)


async def _read(settings: Settings) -> tuple[list[str], list[str]]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.brokers, group_id=settings.group_id, enable_auto_commit=False,
        auto_offset_reset="earliest", isolation_level="read_committed",
    )  # fmt: skip
    events, changelog = settings.topic("events"), settings.topic("profiles-changelog")
    applied: dict[int, int] = {}
    early: list[str] = []
    async with consumer:
        if not {events, changelog} <= await consumer.topics():
            return [], []
        inputs = [TopicPartition(events, n) for n in await partitions(consumer, events)]
        consumer.assign(inputs)
        committed = {tp.partition: await consumer.committed(tp) or 0 for tp in inputs}
        logs = [TopicPartition(changelog, n) for n in await partitions(consumer, changelog)]
        consumer.assign(logs)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(logs)
        while True:
            fetched = await consumer.getmany(timeout_ms=200)
            for tp, records in fetched.items():
                for record in records:
                    if record.key != META_ROW or record.value is None:
                        continue
                    time, applied[tp.partition] = decoded(record.value)
                    if time > record.timestamp + SKEW_MS:
                        early.append(
                            f"partition {tp.partition} is at {time}, {time - record.timestamp} ms "
                            f"ahead of the clock (offset {record.offset} of {changelog})"
                        )
            # Some brokers give an end before the last records.
            if not fetched and all([await consumer.position(tp) >= at for tp, at in ends.items()]):
                return ahead(committed, applied), early


def ahead(committed: Mapping[int, int], applied: Mapping[int, int]) -> list[str]:
    return [
        f"partition {number} is committed up to {at}, and applied up to {applied.get(number, -1)}"
        for number, at in committed.items()
        if at > applied.get(number, -1) + 1
    ]


async def partitions(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
    metadata = await consumer._client.fetch_all_metadata()
    return sorted(metadata.partitions_for_topic(topic) or ())


def decoded(row: bytes) -> tuple[int, int]:
    """The time and the position of a partition's own row, the counting processor's too."""
    time, colon, position = row.partition(b":")
    if colon and time.isdigit() and position.lstrip(b"-").isdigit():
        return int(time), int(position)
    return decode_partition(row)
