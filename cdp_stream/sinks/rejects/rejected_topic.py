"""The rejected records of the input or of one output, and which of them were sent again."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cdp_stream.formats.limits import GREATEST_TIME
from cdp_stream.kafka.clients.admin import partition_count
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.settings import Settings
from cdp_stream.sinks.state.sink_state import SinkState

__all__ = ["Headers", "Rejected", "RejectedTopic", "Selection"]

Headers = Sequence[tuple[str, bytes]]
_NUMBERS = re.compile(r"[0-9]{1,9}:[0-9]{1,18}")


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
    headers: Headers

    def header(self, name: str) -> str | None:
        """A header as text."""
        found = next((value for known, value in self.headers if known == name), None)
        return None if not found else found.decode("utf-8", "replace")

    @property
    def reason(self) -> str:
        """One of the reasons of docs/events.md, or the partner's answer."""
        return self.header("reason") or "unknown"

    @property
    def source(self) -> tuple[int, int] | None:
        """Its partition and offset in the topic that it was read from; None if unknown."""
        partition, offset = self.header("partition") or str(self.partition), self.header("offset")
        if offset is None or not _NUMBERS.fullmatch(f"{partition}:{offset}"):
            return None
        return int(partition), int(offset)


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects rejected records.

    Attributes:
        reason: of the input's exactly this; of an output's, what the partner's answer contains.
        since: those rejected at this instant or later, epoch ms.
        places: partition and offset; empty is all.
    """

    reason: str | None = None
    since: int | None = None
    places: frozenset[tuple[int, int]] = frozenset()

    def matches(self, one: Rejected, *, in_words: bool) -> bool:
        """Whether it selects a record; `in_words` where reasons are a partner's."""
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
        state: Knows what was sent again.

    Attributes:
        name: Of the topic.
        source: Name of the topic that its records were read from.
    """

    def __init__(self, settings: Settings, output: str | None, state: SinkState) -> None:
        self.output = output
        self.source = settings.topic("events" if output is None else f"output.{output}")
        self.name = settings.topic("rejected" if output is None else f"output.{output}.rejected")
        self._settings = settings
        self._client = client_settings(settings)
        self._state = state

    def was_sent_again(self, one: Rejected) -> bool:
        """Whether the record was sent again."""
        runs = self._state.sent_again(self.name, one.partition)
        return any(first <= one.offset <= last for first, last in runs)

    async def note_sent_again(self, number: int, offsets: Collection[int]) -> None:
        """Remember that records of a partition were sent again."""
        runs = [*self._state.sent_again(self.name, number), *((one, one) for one in offsets)]
        await self._state.note_sent_again(self.name, number, _merged(runs))

    async def read(self, selection: Selection, take: Callable[[Rejected], None]) -> None:
        """Pass on the selected records, those of each partition in order."""
        for number in range(await self.partitions(self.name)):
            await self.read_partition(number, selection, take)

    async def read_partition(
        self,
        number: int,
        selection: Selection,
        take: Callable[[Rejected], None],
        start: int | None = None,
    ) -> None:
        """The records of one partition, from an offset or from its beginning."""
        in_words = self.output is not None

        def take_records(_number: int, records: list[Any]) -> None:
            for record in records:
                at = min(max(record.timestamp, 0), GREATEST_TIME)
                one = Rejected(
                    number, record.offset, at, record.key, record.value, tuple(record.headers)
                )
                if selection.matches(one, in_words=in_words):
                    take(one)

        starts = None if start is None else {number: start}
        await read_to_end(self._client, self.name, [number], take_records, starts=starts)

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 where there is none."""
        return await partition_count(self._settings, topic)


def _merged(runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same offsets in as few runs as there can be."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found
