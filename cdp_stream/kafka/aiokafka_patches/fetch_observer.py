"""Observes the answers of a consumer's brokers: where partitions end, and the group's lease.

For aiokafka 0.14.0. It keeps a partition's last highwater, but not *when* its fetch was sent, and
after an out-of-range answer it silently starts again at the beginning. Both matter here
(``runtime/partition_time.py``; a topic that was deleted and created again), so every request of a
consumer passes through a :class:`FetchObserver`. Unnecessary once a consumer reports each fetch
with the time at which it was sent, and each answer of its coordinator.

A highwater alone proves no end. A broker that has just become leader does not know yet how far its
log was acknowledged, and until its followers have fetched from it, it answers a fetch with an end
before acknowledged records. Asked by ListOffsets it answers that it does not know (KIP-207). So
each end that a fetch shows is confirmed by ListOffsets before it counts. That answer alone is not
enough either: some brokers return an end before the last records. An end before an earlier one is
not believed for half a minute.

The consumer's thread writes, the worker's loop reads. Each entry is replaced whole, never changed,
so a reader sees the old one or the new one.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import READ_UNCOMMITTED
from aiokafka.errors import KafkaError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest
from aiokafka.protocol.offset import OffsetRequest, OffsetResetStrategy

from cdp_stream.wall_clock import wall_ms

__all__ = ["BELIEVED_AFTER_S", "FetchObserver"]

Partition = tuple[str, int]
Send = Callable[[int, Any], Awaitable[Any]]
_OFFSET_OUT_OF_RANGE = 1
BELIEVED_AFTER_S = 30.0
"""How long a log must seem to end before records that were read, until that is believed: a change
of leaders is over by then."""
_PAUSE_S = 0.05
"""Under load fetches follow one another much faster, and most of them show some end."""


@dataclass(frozen=True, slots=True)
class EndSeen:
    """A fetch was answered with "nothing beyond what you have".

    Attributes:
        asked_at: Wall clock just before that fetch was sent, epoch ms.
        after: Offset of the last record that was handed over by then; -1 when none was. Offsets of
            transaction markers and of compacted records are never handed over, so this is
            compared, and not the partition's end offset.
        end: That end offset; nothing between `after` and it is ever handed over.
    """

    asked_at: int
    after: int
    end: int = 0


class FetchObserver:
    """What brokers have answered to one consumer so far.

    Args:
        now_ms: The wall clock, epoch ms.
        clock: Seconds of a steady clock.
        pause_s: Least time between two requests for ends to one broker, seconds.

    Attributes:
        ends: Newest proof, per partition, that it was read to its end.
        highwaters: Greatest end offset that a broker returned for each partition.
        out_of_range: Offset that was asked for and does not exist (any more).
        answered_at: ``time.monotonic()`` of each partition's newest answer without an error.
        lease_at: ``time.monotonic()`` just before the newest request that the group's coordinator
            answered as to a valid member; 0 before the first.
        lease_ms: The same moment by the wall clock, epoch ms.
    """

    def __init__(
        self,
        now_ms: Callable[[], int] = wall_ms,
        clock: Callable[[], float] = time.monotonic,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self.ends: dict[Partition, EndSeen] = {}
        self.highwaters: dict[Partition, int] = {}
        self.out_of_range: dict[Partition, int] = {}
        self.answered_at: dict[Partition, float] = {}
        self.lease_at = 0.0
        self.lease_ms = 0
        self._handed: dict[Partition, int] = {}
        self._seeks: Counter[Partition] = Counter()
        self._lower_since: dict[Partition, float] = {}
        self._unconfirmed: dict[int, dict[Partition, tuple[EndSeen, int]]] = {}
        self._confirming: dict[int, asyncio.Task[None]] = {}
        self._now_ms = now_ms
        self._clock = clock
        self._pause_s = pause_s

    def attach(self, consumer: AIOKafkaConsumer) -> None:
        """Let every request of ``consumer`` pass through here; call before it is started."""
        client = consumer._client
        send = client.send

        async def observed(node_id: int, request: Any, **options: Any) -> Any:
            if isinstance(request, FetchRequest):
                asked_at, handed, seeks = self._now_ms(), dict(self._handed), self._seeks.copy()
                response = await send(node_id, request, **options)
                seen = self._note_fetch(request, response, seeks)
                if seen:
                    found = {one: (EndSeen(asked_at, handed.get(one, -1), end), seeks[one])
                             for one, end in seen.items()}  # fmt: skip
                    self._have_confirmed(send, node_id, found)
                return response
            if isinstance(request, HeartbeatRequest | SyncGroupRequest):
                asked, asked_ms = self._clock(), self._now_ms()
                response = await send(node_id, request, **options)
                if response.error_code == 0:
                    self.lease_at, self.lease_ms = asked, asked_ms
                return response
            return await send(node_id, request, **options)

        close = client.close

        async def closed() -> None:
            confirming = list(self._confirming.values())
            for task in confirming:
                task.cancel()
            await asyncio.gather(*confirming, return_exceptions=True)
            # One that was cancelled before it began has not removed itself.
            self._confirming.clear()
            self._unconfirmed.clear()
            await close()

        client.send, client.close = observed, closed

    def handed_over(self, partition: Partition, offset: int) -> None:
        """Note the last record handed over; in the consumer's thread, before it fetches again."""
        self._handed[partition] = offset

    def forget(self, partition: Partition) -> None:
        """Forget a partition, as its position is set again."""
        self._seeks[partition] += 1
        for known in (self.ends, self.out_of_range, self._handed):
            known.pop(partition, None)

    def _note_fetch(
        self, request: Any, response: Any, seeks: Mapping[Partition, int]
    ) -> dict[Partition, int]:
        """Note what an answer contains; returns the ends that it shows."""
        asked = {(topic, p[0]): p[1] for topic, parts in request.topics for p in parts}
        seen: dict[Partition, int] = {}
        for topic, answers in response.topics:
            for number, error, highwater, *_ in answers:
                partition = (topic, number)
                if error == 0:
                    self.answered_at[partition] = self._clock()
                    self._note_highwater(partition, highwater)
                if seeks[partition] != self._seeks[partition]:
                    continue  # its position was set again meanwhile
                if error == _OFFSET_OUT_OF_RANGE:
                    self.out_of_range[partition] = asked[partition]
                elif error == 0 and highwater <= asked[partition]:
                    seen[partition] = highwater
        return seen

    def _note_highwater(self, partition: Partition, highwater: int) -> None:
        if highwater >= self.highwaters.get(partition, 0):
            self.highwaters[partition] = highwater
            self._lower_since.pop(partition, None)

    def _have_confirmed(
        self, send: Send, node_id: int, seen: Mapping[Partition, tuple[EndSeen, int]]
    ) -> None:
        """Ask the broker to confirm these ends: at once, as the next fetch may be a long one, or
        together with later ends once the next request may be sent.
        """
        self._unconfirmed.setdefault(node_id, {}).update(seen)
        if node_id not in self._confirming:
            self._confirming[node_id] = asyncio.create_task(self._confirm(send, node_id))

    async def _confirm(self, send: Send, node_id: int) -> None:
        try:
            while seen := self._unconfirmed.pop(node_id, None):
                response = await send(node_id, _ends_of(seen))
                for topic, answers in response.topics:
                    for number, error, *_, offset in answers:
                        if error == 0:
                            self._confirmed((topic, number), offset, *seen[topic, number])
                await asyncio.sleep(self._pause_s)
        except (KafkaError, OSError):
            self._unconfirmed.pop(node_id, None)  # the next fetch asks again, or another leader
        finally:
            self._confirming.pop(node_id, None)

    def _confirmed(self, partition: Partition, offset: int, end: EndSeen, seeks: int) -> None:
        self._note_highwater(partition, offset)
        if offset > end.end or seeks != self._seeks[partition]:
            return
        if end.end < self.highwaters.get(partition, 0):
            since = self._lower_since.setdefault(partition, self._clock())
            if self._clock() - since < BELIEVED_AFTER_S:
                return
            self.highwaters[partition] = end.end
        self._lower_since.pop(partition, None)
        self.ends[partition] = end


def _ends_of(partitions: Mapping[Partition, Any]) -> OffsetRequest:
    """The request for the ends of partitions, those of open transactions included."""
    topics: dict[str, list[tuple[int, int]]] = {}
    for topic, number in partitions:
        topics.setdefault(topic, []).append((number, OffsetResetStrategy.LATEST))
    return OffsetRequest(-1, READ_UNCOMMITTED, list(topics.items()))
