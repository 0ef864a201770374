"""Whether a system has stopped: no worker is a member of a group, and nothing waits to be applied
or sent.
"""

from collections.abc import Mapping

from cdp_stream.errors import BrokerError, counted
from cdp_stream.kafka.repartition.moved_input import positions
from cdp_stream.kafka.repartition.stopped_system import Rows, StoppedSystem
from cdp_stream.partition.relocation import connected_outputs

__all__ = ["check_input_is_read", "check_nobody_works", "check_outputs_are_sent", "unsent_from"]


async def check_nobody_works(system: StoppedSystem) -> None:
    """Check that all workers have left.

    Raises:
        BrokerError: They have not.
    """
    ours = sorted(g for g in await system.groups() if g.startswith(system.group_names))
    for response in await system.admin.describe_consumer_groups(ours) if ours else []:
        for _error, group, state, *_ in response.groups:
            if state not in ("Empty", "Dead"):
                raise BrokerError(
                    f"workers are still running: the group {group} has members ({state})",
                    "stop all workers (SIGTERM), wait for their session to end, and try again",
                )


async def check_outputs_are_sent(
    system: StoppedSystem, own: Mapping[int, Rows], counts: Mapping[str, int]
) -> None:
    """Check that all messages for outputs have been sent.

    Args:
        system: Its topics.
        own: The partitions' own rows.
        counts: How many partitions each topic has.

    Raises:
        BrokerError: Some of them wait.
    """
    connected = connected_outputs(own)
    groups = await system.groups()
    for output, topic in system.outputs(counts).items():
        group, sent = system.sink_group(output), {}
        if group in groups:
            known = await system.admin.list_consumer_group_offsets(group)
            sent = {tp.partition: known[tp].offset for tp in known if tp.topic == topic}
        is_connected = output in connected
        starts = unsent_from(sent, counts[topic], is_connected=is_connected)
        if count := await system.count(topic, starts):
            raise BrokerError(
                f"{counted(count, 'change')} in {topic} {_have(count)} yet to be sent",
                "let workers send them (cdp outputs list shows what holds them up): moved "
                "profiles' later changes would overtake them"
                + ("" if is_connected else f"; if no definition has the output, delete {topic}"),
            )


def unsent_from(sent: Mapping[int, int], partitions: int, *, is_connected: bool) -> dict[int, int]:
    """The offset of the first unsent message of an output, in the partitions that count.

    Args:
        sent: The positions of its group.
        partitions: How many its topic has.
        is_connected: Whether changes go there now. Otherwise only partitions in ``sent`` count.
    """
    known = {number: max(0, at) for number, at in sent.items() if number < partitions}
    return dict.fromkeys(range(partitions), 0) | known if is_connected else known


async def check_input_is_read(
    system: StoppedSystem, own: Mapping[int, Rows], before: int
) -> tuple[int, ...]:
    """Check that all of the input is applied.

    Returns:
        The offset after the last applied record, of each partition.

    Raises:
        BrokerError: Some of it waits, or rows are lost.
    """
    ends = await positions(system, own, before, is_begin=True)
    if count := await system.count(system.events, ends):
        raise BrokerError(
            f"{counted(count, 'record')} of {system.events} {_have(count)} not been applied yet",
            "stop the producers, let workers run until nothing waits "
            "(cdp_input_lag_records), then stop them",
        )
    return tuple(ends.values())


def _have(number: int) -> str:
    return "has" if number == 1 else "have"
