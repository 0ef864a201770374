"""How many members audiences have, by the memberships in `cdp.membership-state`."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from cdp_stream.kafka.clients.admin import partition_count
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.settings import Settings

__all__ = ["COUNTED", "members_of"]

COUNTED: Final = 250_000
"""The most records that are read for a count that nobody asked for: some seconds."""


async def members_of(
    settings: Settings, audiences: Collection[str], *, at_most: int | None
) -> dict[str, int] | None:
    """The number of members of each audience or milestone that has any.

    Args:
        settings: Where, and how to connect.
        audiences: Their ids.
        at_most: Read no more records than that; ``None`` reads all.

    Returns:
        ``None`` where it is not known: there are more records, or this client may not read them.
    """
    if not audiences:
        return {}
    topic, client = settings.topic("membership-state"), client_settings(settings)
    members: dict[str, set[bytes]] = {audience: set() for audience in audiences}

    def take(_partition: int, records: list[Any]) -> None:
        for record in records:
            audience, _, mpid = (record.key or b"").rpartition(b":")
            known = members.get(audience.decode("utf-8", "replace"))
            if known is not None and record.value is None:
                known.discard(mpid)
            elif known is not None:
                known.add(mpid)

    try:
        partitions = range(await partition_count(settings, topic))
        if at_most is not None and await _records(client, topic, partitions) > at_most:
            return None
        await read_to_end(client, topic, partitions, take)
    except KafkaError:
        return None
    return {audience: len(known) for audience, known in members.items() if known}


async def _records(client: Mapping[str, Any], topic: str, partitions: Collection[int]) -> int:
    """At most how many records these partitions have."""
    tps = [TopicPartition(topic, partition) for partition in partitions]
    if not tps:
        return 0
    consumer = AIOKafkaConsumer(**client, enable_auto_commit=False)
    async with consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(tps)
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(tps)
    return sum(ends.values()) - sum(starts.values())
