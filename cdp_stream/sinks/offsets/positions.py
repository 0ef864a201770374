"""Where an output's changes come from, and from where they are read at a takeover."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from cdp_stream.kafka.log import log
from cdp_stream.kafka.recovery.restore import find_lost_positions
from cdp_stream.kafka.topics.topic_partition import TopicPartition
from cdp_stream.partition.memory_budget import MemoryBudget
from cdp_stream.sinks.state.sink_state import SinkState

__all__ = ["SinkPlan", "starting_positions"]


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """Where an output's changes come from and go.

    Attributes:
        output: Its id.
        topic: Of its changes.
        rejected: Topic of those that the partner will never take.
        partitions: Of both.
        client: Connection settings of the aiokafka client.
        session_timeout_s: After so long without the coordinator's word nothing is kept: another
            worker may hold the partitions by then.
        waiting: SinkState for records that wait, of all outputs of the process.
        sending: SinkState for changes that gather or are on their way, of all outputs.
    """

    output: str
    topic: str
    rejected: str
    partitions: int
    client: Any
    session_timeout_s: float
    waiting: MemoryBudget = field(default_factory=MemoryBudget)
    sending: MemoryBudget = field(default_factory=MemoryBudget)


async def starting_positions(
    consumer: Any,
    plan: SinkPlan,
    state: SinkState,
    numbers: Collection[int],
) -> dict[int, int]:
    """Where the group stands in each partition; the beginning where it does not yet."""
    tps = {number: TopicPartition(plan.topic, number) for number in numbers}
    committed = await consumer.committed(list(tps.values()))
    known = {n: at for n, tp in tps.items() if (at := committed.get(tp)) is not None and at > 0}
    lost = await find_lost_positions(plan.client, plan.topic, known)
    for number in lost:
        log("output_topic_replaced", level=logging.ERROR, output=plan.output,
            partition=number, position=known.pop(number),
            next="find out who deleted the topic; it is sent from its beginning")  # fmt: skip
        await state.keep(plan.output, number, None)
    fresh = [tp for number, tp in tps.items() if number not in known]
    starts = dict(await consumer.earliest_offsets(*fresh)) if fresh else {}
    return {n: known[n] if n in known else starts.get(tp, 0) for n, tp in tps.items()}
