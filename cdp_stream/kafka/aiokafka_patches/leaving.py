"""Leaving a consumer group at once, also from its first generation.

aiokafka says that it leaves only from generation 1 on. The embedded broker counts from 0 and drops
nobody who is silent, so that a group whose worker has ended would have a member for ever.
"""

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator

__all__ = ["leave_in_any_generation"]


def leave_in_any_generation(consumer: AIOKafkaConsumer) -> None:
    """Let a consumer leave its group when it stops; call when it was started."""
    coordinator = consumer._coordinator
    if not isinstance(coordinator, GroupCoordinator):
        return
    leave = coordinator._maybe_leave_group

    async def leave_too() -> None:
        if coordinator.generation == 0:
            # Nothing that is sent from here on says which generation it is of.
            coordinator.generation = 1
        await leave()

    coordinator._maybe_leave_group = leave_too
