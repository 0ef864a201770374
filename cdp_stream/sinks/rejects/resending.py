"""Sending again what was rejected: only what would not be rejected again, and only once.

A record of `cdp.rejected` goes to `cdp.events` again with its key, and with the headers that it
came with, which are read where it was. One of `cdp.output.<id>.rejected` goes to `cdp.output.<id>`,
whose records have no headers. What has been sent again is noted, and left out the next time. Left
out is also a change of an output that a later one of the same profile and connection has overtaken:
it would undo that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import OffsetOutOfRangeError

from cdp_stream.core.model.definition import Input
from cdp_stream.formats.envelope import ERASE
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.kafka.commit.record_writer import send_records
from cdp_stream.kafka.produce import Routing
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.settings import Settings
from cdp_stream.sinks.rejects.rejected_topic import Headers, Rejected, RejectedTopic, Selection
from cdp_stream.wall_clock import wall_ms

__all__ = ["Judge", "Resender", "change_judge", "input_judge"]

_BATCH_BYTES: Final = 8 << 20
_BATCH_RECORDS: Final = 2_000
_ONE_BATCH: Final = 1
"""A broker sends one batch at least."""
_PATIENCE_S: Final = 10.0
_ANY_INPUT: Final = {"any": Input("any", "any")}

Subject = tuple[bytes | None, str | None]
"""Whose change it is: the key and the connection."""
Latest = dict[Subject, tuple[int, str]]
"""Offset and id of the last change of each subject."""
Judge = Callable[[Rejected, Headers | None], str | None]
"""Why a record would be rejected again; None: it would not. Its headers are None as long as they
are not known."""
_NO_LONGER: Final = "the record is no longer in its topic, and its headers are unknown"


class Resender:
    """Sends again what was rejected.

    Args:
        settings: Which system.
        topic: The rejects.
        judge: What would be rejected again is left out.
        producer: A running one.
        anew: Whether records that were sent again before are sent once more.
    """

    def __init__(
        self,
        settings: Settings,
        topic: RejectedTopic,
        judge: Judge,
        producer: AIOKafkaProducer,
        *,
        anew: bool = False,
    ) -> None:
        self._client = client_settings(settings)
        self._topic = topic
        self._judge = judge
        self._producer = producer
        self._anew = anew
        self._counts: Counter[str] = Counter()

    async def run(self, selection: Selection, *, dry_run: bool = False) -> Counter[str]:
        """Send the selected records.

        Args:
            selection: Which.
            dry_run: Whether nothing is sent, and all else is done.

        Returns:
            How many were sent, as `sent`, and how many were left out, by why.
        """
        topic, self._counts = self._topic, Counter()
        routing = Routing(await topic.partitions(topic.source))
        for number in range(await topic.partitions(topic.name)):
            start: int | None = 0
            while start is not None:
                batch, start = await self._read_batch(number, start, selection)
                headers: dict[int, Headers] = {}
                if batch and topic.output is None:
                    headers = await self._headers_of(batch)
                    batch = [one for one in batch if self._passes(self._spoken_for(one, headers))]
                elif batch:
                    latest = await self._latest(number, batch)
                    batch = [one for one in batch if self._passes(_overtaken(one, latest))]
                self._counts["sent"] += len(batch)
                if batch and not dry_run:
                    await self._send(batch, headers, routing)
                    await topic.note_sent_again(number, [one.offset for one in batch])
        return self._counts

    def _passes(self, why_not: str | None) -> bool:
        """Count a record that is left out; whether there is no reason to."""
        if why_not is not None:
            self._counts[why_not] += 1
        return why_not is None

    async def _read_batch(
        self, number: int, start: int, selection: Selection
    ) -> tuple[list[Rejected], int | None]:
        """As many as memory allows, and where to go on after that; None at the end."""
        batch: list[Rejected] = []
        size = 0
        next_start: int | None = None

        def take(one: Rejected) -> None:
            nonlocal size, next_start
            if next_start is not None:
                return
            if size > _BATCH_BYTES or len(batch) >= _BATCH_RECORDS:
                next_start = one.offset
            elif self._passes(self._why_not(one)):
                batch.append(one)
                size += len(one.value or b"") + len(one.key or b"")

        await self._topic.read_partition(number, selection, take, start or None)
        return batch, next_start

    def _why_not(self, one: Rejected) -> str | None:
        if not self._anew and self._topic.was_sent_again(one):
            return "sent again before"
        if one.value is None:
            return "the broker refused its value"
        return _again(self._judge(one, None))

    def _spoken_for(self, one: Rejected, headers: Mapping[int, Headers]) -> str | None:
        known = headers.get(one.offset)
        return _NO_LONGER if known is None else _again(self._judge(one, known))

    async def _latest(self, number: int, batch: list[Rejected]) -> Latest:
        """The last change in the output's topic about each subject of a batch."""
        subjects = {_subject(one) for one in batch}
        keys = {key for key, _ in subjects}
        latest: Latest = {}

        def take(_number: int, records: list[Any]) -> None:
            for record in records:
                if record.key in keys and (subject := _subject(record)) in subjects:
                    latest[subject] = record.offset, _message_id(record.value)

        first = min(_source_offset(one) for one in batch)
        await read_to_end(self._client, self._topic.source, [number], take, starts={number: first})
        return latest

    async def _headers_of(self, batch: Iterable[Rejected]) -> dict[int, Headers]:
        """The headers that records of the input came with, by their offset among the rejects; of
        those that are still where they were.
        """
        consumer = AIOKafkaConsumer(
            **self._client, group_id=None, enable_auto_commit=False, auto_offset_reset="none",
            isolation_level="read_committed", max_partition_fetch_bytes=_ONE_BATCH,
        )  # fmt: skip
        source = self._topic.source
        found: dict[int, Headers] = {}
        partitions = await self._topic.partitions(source)
        async with consumer:
            consumer.assign([TopicPartition(source, n) for n in range(partitions)])
            for one in batch:
                if one.source is None or one.source[0] >= partitions:
                    continue
                if one.header("topic") not in {None, source}:
                    continue
                tp = TopicPartition(source, one.source[0])
                consumer.seek(tp, one.source[1])
                with contextlib.suppress(OffsetOutOfRangeError, TimeoutError):
                    async with asyncio.timeout(_PATIENCE_S):
                        record = await consumer.getone(tp)
                    if (record.offset, record.key) == (one.source[1], one.key):
                        found[one.offset] = tuple(record.headers)
        return found

    async def _send(
        self, batch: Iterable[Rejected], headers: Mapping[int, Headers], routing: Routing
    ) -> None:
        by_partition: dict[int, list[Any]] = {}
        for one in batch:
            of_input = self._topic.output is None
            place = routing.partition_of(one.key) if of_input else one.partition
            item = one.key, one.value, list(headers.get(one.offset, ()))
            by_partition.setdefault(place, []).append(item)
        for place, items in by_partition.items():
            futures = await send_records(self._producer, self._topic.source, place, items)
            await asyncio.gather(*futures)


def _again(why: str | None) -> str | None:
    return None if why is None else f"it would be rejected again: {why}"


def input_judge(inputs: Mapping[str, Input] | None) -> Judge:
    """Why the input would be rejected today; where inputs are not known, not because of them."""
    decoder = BatchDecoder(_ANY_INPUT if inputs is None else inputs)
    by_any = BatchDecoder(_ANY_INPUT)

    def judge(one: Rejected, headers: Headers | None) -> str | None:
        if headers is not None and any(name in {ERASE, "time"} for name, _ in headers):
            return one.reason  # a malformed request to erase, or time marker
        if headers is None or inputs is None:
            _, rejects = by_any.decode(one.value, one.key, (), wall_ms())
        else:
            _, rejects = decoder.decode(one.value, one.key, headers, wall_ms())
        return rejects[0].reason.value if rejects else None

    return judge


def change_judge(one: Rejected, _headers: Headers | None) -> str | None:
    """Why an output would reject a record: it is not a change at all."""
    return "it is not a change" if _connection(one.value) is None else None


def _overtaken(one: Rejected, latest: Latest) -> str | None:
    at, message = latest.get(_subject(one), (-1, ""))
    if at > _source_offset(one) and message != _message_id(one.value):
        return "overtaken by a later change of the same profile"
    return None


def _subject(record: Any) -> Subject:
    return record.key, _connection(record.value)


def _source_offset(one: Rejected) -> int:
    return 0 if one.source is None else one.source[1]


def _message(value: bytes | None) -> Mapping[str, Any]:
    try:
        found = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _connection(value: bytes | None) -> str | None:
    found = _message(value).get("connection")
    return found if isinstance(found, str) else None


def _message_id(value: bytes | None) -> str:
    return str(_message(value).get("message_id"))
