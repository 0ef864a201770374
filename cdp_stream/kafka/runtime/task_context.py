"""What the hosting of partitions is told when it is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdp_stream.kafka.commit.record_writer import OutputTopics
from cdp_stream.kafka.runtime.partition_time import ClockMode
from cdp_stream.partition.memory_budget import MemoryBudget

__all__ = ["HostingPlan"]


@dataclass(frozen=True, slots=True)
class HostingPlan:
    """What the hosting of partitions is told.

    Attributes:
        events: Name of the input topic.
        topics: Names of the topics that effects go to.
        group: The consumer group; transactional ids begin with it.
        exactly_once: Whether effects and positions are written in transactions.
        client: Connection settings of aiokafka clients.
        clock: Which clock moves time.
        grace_ms: The grace of the wall clock.
        session_timeout_s: After so long without the coordinator's word nothing is sent: another
            worker may hold our partitions by then. A worker whose partition was taken over has as
            long to be given partitions anew.
        waiting: Memory for records that were fetched and wait.
        delivering: Memory for rows and messages on their way to Kafka.
    """

    events: str
    topics: OutputTopics
    group: str
    exactly_once: bool
    client: Mapping[str, Any]
    clock: ClockMode
    grace_ms: int
    session_timeout_s: float
    waiting: MemoryBudget = field(default_factory=MemoryBudget)
    delivering: MemoryBudget = field(default_factory=MemoryBudget)
