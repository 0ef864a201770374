"""What was published against what `cdp replay` prints, read as any consumer reads it."""

import asyncio
import json
from collections import Counter

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.topologies.replays import final_state
from tests.topologies.running import PARTITIONS

_READ_S = 60.0
_SHOWN = 3
_SHOWN_CHARS = 230


async def read_committed(brokers: list[str], topic: str) -> list[tuple[bytes, bytes | None]]:
    """The ``(key, value)`` of all committed records, each partition's in order.

    The stock client reads here, not the project's own reader, which is under test as well.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers, isolation_level="read_committed",
        auto_offset_reset="earliest", enable_auto_commit=False,
    )  # fmt: skip
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    found = []
    async with asyncio.timeout(_READ_S), consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [(record.key, record.value) for record in records]
    return found


def differing_changes(found: list[bytes], expected: list[bytes]) -> list[str]:
    """How published changes differ from the expected ones; empty when they are the same."""
    ids = Counter(json.loads(value)["message_id"] for value in found)
    twice = [message_id for message_id, count in ids.items() if count > 1]
    have, want = Counter(found), Counter(expected)
    return [
        *_told("message_ids published twice", [name.encode() for name in twice]),
        *_told("changes missing", list((want - have).elements())),
        *_told("changes too many", list((have - want).elements())),
    ]


def differing_ends(
    changes: list[bytes], state: list[tuple[bytes, bytes | None]], expected: list[bytes]
) -> list[str]:
    """How a run whose definitions changed differs: in who is a member, and as which variant, at the
    end; and in changes that do not lead there one after the other.

    Args:
        changes: Those published, each partition's in order.
        state: The records of the state topic, each partition's in order.
        expected: The changes of a replay under the last definitions.
    """
    newest = {key.decode(): value for key, value in state}
    have = {key: json.loads(value)["variant"] for key, value in newest.items() if value is not None}
    want = {key: json.loads(value)["variant"] for key, value in final_state(expected).items()}
    wrong = [
        key for key in sorted(have.keys() | want.keys()) if have.get(key, 0) != want.get(key, 0)
    ]
    held: set[str] = set()
    broken = []
    for value in changes:
        message = json.loads(value)
        place = f"{message['audience_id']}:{message['mpid']}"
        if (place in held) != (message["action"] == "delete"):
            broken.append(value)
        held.symmetric_difference_update({place})
    ids = Counter(json.loads(value)["message_id"] for value in changes)
    twice = [message_id for message_id, count in ids.items() if count > 1]
    return [
        *_told("message_ids published twice", [name.encode() for name in twice]),
        *_told("changes that do not follow the one before", broken),
        *_told("memberships that the changes do not lead to",
               [key.encode() for key in sorted(held ^ have.keys())]),
        *_told("memberships wrong in the end", [key.encode() for key in wrong]),
    ]  # fmt: skip


def differing_state(found: list[tuple[bytes, bytes | None]], expected: list[bytes]) -> list[str]:
    """How the newest records of the state topic differ from the final membership."""
    newest = {key.decode(): value for key, value in found}
    have = {key: value for key, value in newest.items() if value is not None}
    want = final_state(expected)
    wrong = [key for key in sorted(have.keys() | want.keys()) if have.get(key) != want.get(key)]
    return _told("memberships wrong in the state topic", [key.encode() for key in wrong])


def _told(what: str, items: list[bytes]) -> list[str]:
    if not items:
        return []
    shown = ", ".join(item[:_SHOWN_CHARS].decode(errors="replace") for item in items[:_SHOWN])
    return [f"{len(items)} {what}: {shown}{', ...' if len(items) > _SHOWN else ''}"]
