"""Whether a system stands still: no worker is a member of a group, and nothing waits to be applied
or to be sent.
"""

from collections.abc import Mapping

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.moved_input import positions
from cdp_stream.kafka.stopped_system import Rows, StoppedSystem

__all__ = ["check_input_is_read", "check_nobody_works"]


async def check_nobody_works(system: StoppedSystem, prefix: str, counts: Mapping[str, int]) -> None:
    """Check that all workers have left, and have sent all there was for outputs.

    Raises:
        BrokerError: They have not.
    """
    listed = {group for group, *_ in await system.admin.list_consumer_groups()}
    ours = sorted(g for g in listed if g.startswith((system.group, f"{prefix}-sink")))
    for response in await system.admin.describe_consumer_groups(ours) if ours else []:
        for _error, group, state, *_ in response.groups:
            if state not in ("Empty", "Dead"):
                raise BrokerError(
                    f"workers are still running: the group {group} has members ({state})",
                    "stop all workers (SIGTERM), wait for their session to end, and try again",
                )
    for group in ours:
        if group != system.group:
            await _check_outputs_are_sent(system, group, system.outputs(counts))


async def _check_outputs_are_sent(system: StoppedSystem, group: str, outputs: list[str]) -> None:
    known = await system.admin.list_consumer_group_offsets(group)
    for topic in outputs:
        starts = {tp.partition: max(0, known[tp].offset) for tp in known if tp.topic == topic}
        waiting = await system.records(topic, starts)
        if count := sum(map(len, waiting.values())):
            raise BrokerError(
                f"{count} changes in {topic} have yet to be sent",
                "let workers send them (cdp outputs list shows what holds them up): moved "
                "profiles' later changes would overtake them",
            )


async def check_input_is_read(
    system: StoppedSystem, own: Mapping[int, Rows], before: int
) -> tuple[int, ...]:
    """Check that all of the input is applied.

    Returns:
        The offset behind the last record that is, of each partition.

    Raises:
        BrokerError: Some of it waits.
    """
    ends = await positions(system, own, before)
    waiting = await system.records(system.events, ends)
    if count := sum(map(len, waiting.values())):
        raise BrokerError(
            f"{count} records of {system.events} have not been applied yet",
            "stop the producers, let workers run until nothing waits "
            "(cdp_input_lag_records), then stop them",
        )
    return tuple(ends.values())
