"""What a consumer's group coordinator knows: member, generation, and whether both still count.

For aiokafka 0.14.0, whose consumer shows neither its member id nor its generation, cannot ask the
coordinator a question of ours, and leaves a group only from generation 1 on. The embedded broker
counts generations from 0 and drops no silent member, so that a group whose worker has ended would
keep it for ever. Unnecessary once the consumer has ``group_metadata()``, as Kafka's own client has,
and leaves a group whatever its generation.
"""

from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
    RebalanceInProgressError,
)
from aiokafka.protocol.group import HeartbeatRequest

__all__ = ["GroupMembership", "is_member", "leave_in_any_generation", "membership_of"]

_NO_COORDINATOR = frozenset(
    {
        GroupLoadInProgressError.errno,
        GroupCoordinatorNotAvailableError.errno,
        NotCoordinatorForGroupError.errno,
    }
)


@dataclass(frozen=True, slots=True)
class GroupMembership:
    """The member and the generation by which a worker owns its partitions."""

    group_id: str
    generation: int
    member_id: str


def membership_of(consumer: AIOKafkaConsumer, group_id: str) -> GroupMembership:
    """The membership by which the consumer's coordinator knows it now."""
    coordinator = consumer._coordinator
    return GroupMembership(group_id, coordinator.generation, coordinator.member_id)


async def is_member(consumer: AIOKafkaConsumer, member: GroupMembership) -> bool | None:
    """Ask the group's coordinator whether its generation is this member's, or the next one waits
    for it; ``None`` where no coordinator answers.

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


def leave_in_any_generation(consumer: AIOKafkaConsumer) -> None:
    """Let a consumer leave its group when it stops; call when it was started."""
    coordinator = consumer._coordinator
    if not isinstance(coordinator, GroupCoordinator):
        return
    leave = coordinator._maybe_leave_group

    async def leave_too() -> None:
        if coordinator.generation == 0:
            # No request from here on names its generation.
            coordinator.generation = 1
        await leave()

    coordinator._maybe_leave_group = leave_too
