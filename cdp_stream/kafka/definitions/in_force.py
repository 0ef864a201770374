"""Whether applied definitions are in force everywhere: in every partition, with their history.

Each partition writes which definitions are in force in it to the changelog (its row
`~definitions`), so no worker has to be asked, or found. Rows from before the definitions were
applied are of no use: reading begins after them.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from cdp_stream.errors import BrokerError, OutsideError
from cdp_stream.formats.definitions_row import (
    DEFINITIONS_KEY,
    PartitionDefinitions,
    decode_definitions,
)
from cdp_stream.kafka.clients.admin import partition_count
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.clients.log_reader import log_reader
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.settings import Settings

__all__ = ["Progress", "Rollout", "Step", "step_of"]

_POLL_MS = 500
_AGAIN_S = 1.0


class Step(StrEnum):
    """How far a partition is."""

    WAITING = "not in force yet"
    MIGRATING = "migrating profiles"
    READING = "reading history"
    IN_FORCE = "in force"


Progress = Callable[[Mapping[int, Step]], None]


def step_of(row: PartitionDefinitions, version: int, memories: Collection[str]) -> Step:
    """How far a partition is with a version, by its newest row.

    Args:
        row: As decoded.
        version: The one that was applied; a later one in force counts as this one.
        memories: The slots of its criteria; their history has been read once the row has them all.
    """
    if not row.version.isdecimal() or int(row.version) < version:
        return Step.WAITING
    if int(row.version) > version:
        return Step.IN_FORCE
    if not row.catalog.slots.issuperset(memories):
        return Step.READING
    return Step.IN_FORCE if row.swept == row.epoch else Step.MIGRATING


@dataclass(frozen=True, slots=True)
class Rollout:
    """Follows applied definitions until they are in force.

    Args:
        settings: Where, and how to connect.
        starts: The offset of each changelog partition from which on rows may be about them; other
            partitions are read from the beginning.
    """

    settings: Settings
    starts: Mapping[int, int]

    @classmethod
    async def begin(cls, settings: Settings) -> "Rollout":
        """Note where the changelog ends; call it before definitions are applied.

        Raises:
            BrokerError: The broker does not answer.
        """
        topic = settings.topic("profiles-changelog")
        partitions = await partition_count(settings, topic)
        consumer = AIOKafkaConsumer(**client_settings(settings), enable_auto_commit=False)
        try:
            async with consumer:
                tps = [TopicPartition(topic, number) for number in range(partitions)]
                ends = await consumer.end_offsets(tps) if tps else {}
        except KafkaError as error:
            raise BrokerError(
                f"{topic} cannot be read: {error!r}", "check the broker and this client's rights"
            ) from error
        return cls(settings, {tp.partition: end for tp, end in ends.items()})

    async def wait(
        self, version: int, memories: Collection[str], *, timeout_s: float, progress: Progress
    ) -> int:
        """Return once a version is in force in all partitions.

        Args:
            version: The one that was applied.
            memories: The slots of its criteria.
            timeout_s: The longest time to wait.
            progress: Called with the step of every partition whenever one has changed.

        Returns:
            How many partitions there are.

        Raises:
            OutsideError: The time-out has passed.
        """
        steps: dict[int, Step] = {}
        try:
            async with asyncio.timeout(timeout_s):
                await self._follow(version, memories, steps, progress)
        except TimeoutError as error:
            raise _too_late(version, steps, timeout_s) from error
        return len(steps)

    async def _follow(
        self, version: int, memories: Collection[str], steps: dict[int, Step], progress: Progress
    ) -> None:
        topic = self.settings.topic("profiles-changelog")
        partitions = await partition_count(self.settings, topic)
        while not partitions:  # no worker has ever run
            await asyncio.sleep(_AGAIN_S)
            partitions = await partition_count(self.settings, topic)
        steps |= dict.fromkeys(range(partitions), Step.WAITING)
        async with log_reader(client_settings(self.settings)) as consumer:
            tps = [TopicPartition(topic, number) for number in steps]
            consumer.assign(tps)
            for tp in tps:
                if tp.partition in self.starts:
                    consumer.seek(tp, self.starts[tp.partition])
            progress(steps)
            while set(steps.values()) != {Step.IN_FORCE}:
                before = dict(steps)
                for tp, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                    rows = [one.value for one in records if one.key == DEFINITIONS_KEY]
                    if rows and rows[-1] is not None:
                        row = decode_definitions(rows[-1])
                        steps[tp.partition] = step_of(row, version, memories)
                if steps != before:
                    progress(steps)


def _too_late(version: int, steps: Mapping[int, Step], timeout_s: float) -> OutsideError:
    if not steps:
        how = "no worker has ever run here"
    else:
        counts = {step: list(steps.values()).count(step) for step in Step}
        how = ", ".join(f"{count} {step}" for step, count in counts.items() if count)
        how = f"of {len(steps)} partitions: {how}"
    return OutsideError(
        f"version {version} is applied, and was not in force everywhere within {timeout_s:g} s; "
        f"{how}",
        "it continues by itself: wait longer with --timeout, or read the logs of the workers, "
        "which follow applied definitions only without --definitions",
    )
