"""The rows and memberships that belong elsewhere under another number of partitions: copied to
where they go, then removed from where they were. Either can be done again.
"""

from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from cdp_stream.formats.rows import as_moved
from cdp_stream.kafka.produce import Routing
from cdp_stream.kafka.repartition.stopped_system import Pair, StoppedSystem
from cdp_stream.partition.relocation import is_own, profile_of_membership

__all__ = ["MovedRows"]


@dataclass(frozen=True, slots=True)
class Moving:
    """How many rows of a partition go elsewhere.

    Attributes:
        profiles: Rows of the changelog.
        memberships: Records of the state topic.
    """

    profiles: int
    memberships: int


class MovedRows:
    """Moves the rows of a system, a partition at a time.

    Args:
        system: Its topics.
        partitions: How many partitions there are to be.
    """

    def __init__(self, system: StoppedSystem, partitions: int) -> None:
        self._system = system
        self._routing = Routing(partitions)

    async def count(self, number: int) -> Moving:
        """How much of a partition belongs elsewhere."""
        rows = await self._moving(self._system.changelog, number)
        members = await self._moving(self._system.state, number)
        return Moving(sum(map(len, rows.values())), sum(map(len, members.values())))

    async def copy(self, producer: AIOKafkaProducer, number: int) -> None:
        """Write what belongs elsewhere to where it belongs."""
        system = self._system
        for place, pairs in (await self._moving(system.changelog, number)).items():
            moved = [(key, None if value is None else as_moved(value))
                     for key, value in pairs]  # fmt: skip
            await system.send(producer, system.changelog, place, moved)
        for place, pairs in (await self._moving(system.state, number)).items():
            await system.send(producer, system.state, place, pairs)

    async def remove(self, producer: AIOKafkaProducer, number: int) -> Moving:
        """Remove what belongs elsewhere; returns how much that was."""
        system = self._system
        removed = []
        for topic in (system.changelog, system.state):
            moving = (await self._moving(topic, number)).values()
            for pairs in moving:
                await system.send(producer, topic, number, [(key, None) for key, _ in pairs])
            removed.append(sum(map(len, moving)))
        return Moving(*removed)

    async def _moving(self, topic: str, number: int) -> dict[int, list[Pair]]:
        """The rows of a partition that belong elsewhere, by where."""
        moving: dict[int, list[Pair]] = {}
        for key, value in (await self._system.newest(topic, number)).items():
            if topic == self._system.state:
                place = self._routing.partition_of(profile_of_membership(key))
            elif is_own(key):
                continue
            else:
                place = self._routing.partition_of(key)
            if place != number:
                moving.setdefault(place, []).append((key, value))
        return moving
