"""What a broker's answers tell beside records: ends of partitions, and the group's lease.

aiokafka keeps a partition's last highwater, but not *when* the fetch that brought it was sent, and
it forgets an out-of-range answer by starting again at the beginning. Both matter here
(``clock.py``; a topic that was deleted and made anew), so every request of a consumer passes
through an :class:`Observation`.

It is written by the consumer's thread and read by the worker's loop. Each entry is replaced whole,
never changed, so a reader sees the old one or the new one.
"""

import time
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
    RebalanceInProgressError,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

from cdp_stream.kafka.clock import EndSeen
from cdp_stream.kafka.transaction_requests import GroupMembership

__all__ = ["Observation", "is_member", "wall_ms"]

Partition = tuple[str, int]
_OFFSET_OUT_OF_RANGE = 1
_NO_COORDINATOR = frozenset(
    {
        GroupLoadInProgressError.errno,
        GroupCoordinatorNotAvailableError.errno,
        NotCoordinatorForGroupError.errno,
    }
)


def wall_ms() -> int:
    """The wall clock, epoch ms."""
    return time.time_ns() // 1_000_000


class Observation:
    """What one consumer has been told so far.

    Attributes:
        ends: Newest proof, per partition, that it was read to its end.
        highwaters: End offset of each partition in its newest answer.
        out_of_range: Offset that was asked for and does not exist (any more).
        answered_at: ``time.monotonic()`` of each partition's newest answer without an error.
        lease_at: ``time.monotonic()`` just before the newest request that the group's coordinator
            answered as to a member in good standing; 0 before the first.
    """

    def __init__(self, now_ms: Callable[[], int] = wall_ms) -> None:
        self.ends: dict[Partition, EndSeen] = {}
        self.highwaters: dict[Partition, int] = {}
        self.out_of_range: dict[Partition, int] = {}
        self.answered_at: dict[Partition, float] = {}
        self.lease_at = 0.0
        self._handed: dict[Partition, int] = {}
        self._now_ms = now_ms

    def attach(self, consumer: AIOKafkaConsumer) -> None:
        """Let every request of ``consumer`` pass through here; call before it is started."""
        client = consumer._client
        send = client.send

        async def observed(node_id: int, request: Any, **options: Any) -> Any:
            if isinstance(request, FetchRequest):
                asked_at, handed = self._now_ms(), dict(self._handed)
                response = await send(node_id, request, **options)
                self._note_fetch(request, response, asked_at, handed)
                return response
            if isinstance(request, HeartbeatRequest | SyncGroupRequest):
                asked = time.monotonic()
                response = await send(node_id, request, **options)
                if response.error_code == 0:
                    self.lease_at = asked
                return response
            return await send(node_id, request, **options)

        client.send = observed

    def handed_over(self, partition: Partition, offset: int) -> None:
        """Note the last record handed over; in the consumer's thread, before it fetches again."""
        self._handed[partition] = offset

    def forget(self, partition: Partition) -> None:
        """Forget a partition, as its position is set anew."""
        for known in (self.ends, self.out_of_range, self._handed):
            known.pop(partition, None)

    def _note_fetch(
        self, request: Any, response: Any, asked_at: int, handed: dict[Partition, int]
    ) -> None:
        asked = {(topic, p[0]): p[1] for topic, parts in request.topics for p in parts}
        now = time.monotonic()
        for topic, answers in response.topics:
            for number, error, highwater, *_ in answers:
                partition = (topic, number)
                if error == _OFFSET_OUT_OF_RANGE:
                    self.out_of_range[partition] = asked[partition]
                elif error == 0:
                    self.highwaters[partition] = highwater
                    self.answered_at[partition] = now
                    if highwater <= asked[partition]:
                        after = handed.get(partition, -1)
                        self.ends[partition] = EndSeen(asked_at, after, highwater)


async def is_member(consumer: AIOKafkaConsumer, member: GroupMembership) -> bool | None:
    """Whether the group's coordinator, asked now, says that its generation is this member's, or at
    least that the next one waits for it; ``None`` where no coordinator says anything.

    Called in the consumer's thread.
    """
    request = HeartbeatRequest(member.group_id, member.generation, member.member_id)
    try:
        answer = await consumer._coordinator._send_req(request)
    except KafkaError:
        return None
    if answer.error_code in _NO_COORDINATOR:
        return None
    return answer.error_code in (0, RebalanceInProgressError.errno)
