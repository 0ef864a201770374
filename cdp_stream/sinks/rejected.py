"""What was rejected, of the input or of one output: read, judged, and sent again.

A record of `cdp.rejected` goes to `cdp.events` again as it came, with the key and the headers that
it came with; one of `cdp.output.<id>.rejected` to `cdp.output.<id>`. What has been sent again is
noted, and left out the next time. Left out is, too, what would only be rejected again, and a change
of an output that a later one of the same profile and connection has overtaken: it would undo that.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaProducer

from cdp_stream.core.definition import Input
from cdp_stream.formats.envelope import ERASE
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.formats.rejects import HEADERS_BYTES, headers_it_came_with
from cdp_stream.kafka.changelog import read_to_end
from cdp_stream.kafka.connection import client_settings
from cdp_stream.kafka.delivery import send_records
from cdp_stream.kafka.observation import wall_ms
from cdp_stream.kafka.produce import Routing
from cdp_stream.kafka.topics import partition_counts, started_admin
from cdp_stream.settings import Settings
from cdp_stream.sinks.memory import Memory

__all__ = ["Judge", "Rejected", "RejectedTopic", "Selection", "change_judge", "input_judge"]

_GATHERED_BYTES: Final = 8 << 20
_GATHERED_RECORDS: Final = 2_000
_ANY_INPUT: Final = {"any": Input("any", "any")}

Judge = Callable[["Rejected"], str | None]
"""Why a record would be rejected again; None where nothing speaks for it."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record of a topic of rejects.

    Attributes:
        time: when it was rejected, epoch ms.
        headers: of the record in the topic of rejects.
    """

    partition: int
    offset: int
    time: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]

    def header(self, name: str) -> str | None:
        """A header as text."""
        found = next((value for known, value in self.headers if known == name), None)
        return None if found is None else found.decode("utf-8", "replace")

    @property
    def reason(self) -> str:
        """One of the reasons of docs/events.md, or the partner's answer."""
        return self.header("reason") or "unknown"

    @property
    def source_offset(self) -> int | None:
        """Its offset in the topic that it was read from."""
        text = self.header("offset") or ""
        return int(text) if text.isascii() and text.isdigit() else None

    @property
    def is_whole(self) -> bool:
        """Whether it holds all that is needed to send it again."""
        names = {name for name, _ in self.headers}
        return self.value is not None and not names & {HEADERS_BYTES, "value_bytes"}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of them.

    Attributes:
        reason: of the input's exactly this; of an output's, what the partner's answer contains.
        since: those rejected at this instant or later, epoch ms.
        places: partition and offset; empty is all.
    """

    reason: str | None = None
    since: int | None = None
    places: frozenset[tuple[int, int]] = frozenset()

    def takes(self, one: Rejected, *, in_words: bool) -> bool:
        """Whether one is meant; `in_words` where reasons are a partner's."""
        if self.places and (one.partition, one.offset) not in self.places:
            return False
        if self.since is not None and one.time < self.since:
            return False
        if self.reason is None:
            return True
        if in_words:
            return self.reason.casefold() in one.reason.casefold()
        return self.reason == one.reason


class RejectedTopic:
    """The rejects of the input, or of one output.

    Args:
        settings: Which system.
        output: The output's id; None for the input's.
        memory: Knows what was sent again.
    """

    def __init__(self, settings: Settings, output: str | None, memory: Memory) -> None:
        self.output = output
        self.source = settings.topic("events" if output is None else f"output.{output}")
        self.name = settings.topic("rejected" if output is None else f"output.{output}.rejected")
        self._settings = settings
        self._client = client_settings(settings)
        self._memory = memory

    def was_sent_again(self, one: Rejected) -> bool:
        """Whether it has been."""
        runs = self._memory.sent_again(self.name, one.partition)
        return any(first <= one.offset <= last for first, last in runs)

    async def read(self, selection: Selection, take: Callable[[Rejected], None]) -> None:
        """Pass on those that are meant, of each partition in their order."""
        for number in range(await self._partitions(self.name)):
            await self._read(number, selection, take, None)

    async def send_again(
        self,
        selection: Selection,
        judge: Judge,
        producer: AIOKafkaProducer,
        *,
        anew: bool = False,
        dry_run: bool = False,
    ) -> Counter[str]:
        """Send those that are meant.

        Args:
            selection: Which.
            judge: What would be rejected again is left out.
            producer: A running one.
            anew: Whether those too that were sent again before.
            dry_run: Whether nothing is sent, and all else is done.

        Returns:
            How many were sent, as `sent`, and how many were left out, by why.
        """
        done: Counter[str] = Counter()
        routing = Routing(await self._partitions(self.source))
        for number in range(await self._partitions(self.name)):
            start: int | None = None
            while True:
                gathered, start = await self._gather(
                    number, start, selection, judge, done, anew=anew
                )
                if gathered and self.output is not None:
                    gathered = await self._not_overtaken(number, gathered, done)
                done["sent"] += len(gathered)
                if gathered and not dry_run:
                    await self._send(gathered, routing, producer)
                    await self._note(number, [one.offset for one in gathered])
                if start is None:
                    break
        return done

    async def _gather(
        self,
        number: int,
        start: int | None,
        selection: Selection,
        judge: Judge,
        done: Counter[str],
        *,
        anew: bool,
    ) -> tuple[list[Rejected], int | None]:
        """As many as memory allows, and where to go on after that; None at the end."""
        gathered: list[Rejected] = []
        size = 0
        next_start: int | None = None

        def take(one: Rejected) -> None:
            nonlocal size, next_start
            if next_start is not None:
                return
            if size > _GATHERED_BYTES or len(gathered) >= _GATHERED_RECORDS:
                next_start = one.offset
                return
            if not anew and self.was_sent_again(one):
                done["sent again before"] += 1
            elif not one.is_whole:
                done["kept without its value or its headers"] += 1
            elif (why := judge(one)) is not None:
                done[f"it would be rejected again: {why}"] += 1
            else:
                gathered.append(one)
                size += len(one.value or b"") + len(one.key or b"")

        await self._read(number, selection, take, start)
        return gathered, next_start

    async def _not_overtaken(
        self, number: int, gathered: list[Rejected], done: Counter[str]
    ) -> list[Rejected]:
        """Those changes behind which the output's topic has no later one about the same."""
        subjects = {(one.key, _connection(one.value)) for one in gathered}
        latest: dict[tuple[bytes | None, str | None], tuple[int, str]] = {}

        def take(_number: int, records: list[Any]) -> None:
            for record in records:
                subject = (record.key, _connection(record.value))
                if subject in subjects:
                    latest[subject] = record.offset, _message_id(record.value)

        first = min(one.source_offset or 0 for one in gathered)
        await read_to_end(self._client, self.source, [number], take, starts={number: first})
        left = []
        for one in gathered:
            at, message = latest.get((one.key, _connection(one.value)), (-1, ""))
            overtaken = at > (one.source_offset or 0) and message != _message_id(one.value)
            if overtaken:
                done["overtaken by a later change of the same profile"] += 1
            else:
                left.append(one)
        return left

    async def _send(
        self, gathered: Iterable[Rejected], routing: Routing, producer: AIOKafkaProducer
    ) -> None:
        by_partition: dict[int, list[Any]] = {}
        for one in gathered:
            if self.output is None:
                place, headers = routing.partition_of(one.key), headers_it_came_with(one.headers)
            else:
                place, headers = one.partition, []
            by_partition.setdefault(place, []).append((one.key, one.value, headers))
        for place, items in by_partition.items():
            await asyncio.gather(*await send_records(producer, self.source, place, items))

    async def _note(self, number: int, offsets: Collection[int]) -> None:
        runs = [*self._memory.sent_again(self.name, number), *((one, one) for one in offsets)]
        await self._memory.note_sent_again(self.name, number, _merged(runs))

    async def _read(
        self,
        number: int,
        selection: Selection,
        take: Callable[[Rejected], None],
        start: int | None,
    ) -> None:
        in_words = self.output is not None

        def take_records(_number: int, records: list[Any]) -> None:
            for record in records:
                one = Rejected(
                    number, record.offset, record.timestamp, record.key, record.value,
                    tuple(record.headers),
                )  # fmt: skip
                if selection.takes(one, in_words=in_words):
                    take(one)

        starts = None if start is None else {number: start}
        await read_to_end(self._client, self.name, [number], take_records, starts=starts)

    async def _partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 where there is none."""
        admin = await started_admin(self._settings)
        try:
            return (await partition_counts(admin)).get(topic, 0)
        finally:
            await admin.close()


def input_judge(inputs: Mapping[str, Input] | None) -> Judge:
    """Says what the input would be rejected for today; without knowing inputs, not for them."""
    decoder = BatchDecoder(_ANY_INPUT if inputs is None else inputs)

    def judge(one: Rejected) -> str | None:
        headers = headers_it_came_with(one.headers)
        if any(name in {ERASE, "time"} for name, _ in headers):
            return one.reason  # it asked for more than a batch does, and in a wrong way
        known = () if inputs is None else headers
        _, rejects = decoder.decode(one.value, one.key, known, wall_ms())
        return rejects[0].reason.value if rejects else None

    return judge


def change_judge(one: Rejected) -> str | None:
    """Says of an output's reject that it is no change at all."""
    return "it is no change" if _connection(one.value) is None else None


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


def _merged(runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same offsets in as few runs as there can be."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found
