"""What an output's metrics and its line at `/outputs` show of what waits and what stands still."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from aiokafka.errors import KafkaError

from cdp_stream.kafka.topics.topic_partition import TopicPartition
from cdp_stream.sinks.offsets.assigned_partition import AssignedPartition
from cdp_stream.sinks.reporting.metrics import OutputMetrics
from cdp_stream.sinks.state.faults import Faults
from cdp_stream.wall_clock import wall_ms

__all__ = ["show_standing", "show_waiting", "standing_of"]


async def show_waiting(
    consumer: Any,
    topic: str,
    partitions: Mapping[int, AssignedPartition],
    metrics: OutputMetrics,
) -> None:
    """Show how many records wait, and how old the oldest is; not while Kafka cannot be asked."""
    tps = {TopicPartition(topic, number): held for number, held in partitions.items()}
    with contextlib.suppress(KafkaError):
        ends = await consumer.highwaters(*tps) if tps else {}
        lag, oldest = 0, None
        for tp, held in tps.items():
            behind = max(0, (ends.get(tp) or 0) - held.progress.position) + held.progress.owed
            lag += behind
            at = held.oldest_unsent()
            if behind and at is not None:
                oldest = at if oldest is None else min(at, oldest)
        age = 0.0 if oldest is None else max(0, wall_ms() - oldest) / 1000
        metrics.waiting(lag, age)


def show_standing(faults: Faults, output: str, metrics: OutputMetrics) -> None:
    """Show whether the output stands still, and how many of its connections do."""
    own = faults.record(output)
    records = map(faults.record, faults.stopped_connections(output))
    connections = Counter(record["state"] for record in records if record is not None)
    metrics.standing(None if own is None else own["state"], dict(connections))


def standing_of(faults: Faults, output: str, *, is_ready: bool) -> dict[str, Any]:
    """How an output stands, for `/outputs`; a partner's words are left to `cdp outputs show`."""
    own = faults.record(output)
    stopped = sorted(faults.stopped_connections(output))
    records = [(name, faults.record(name)) for name in stopped]
    return {
        "id": output,
        "state": own["state"] if own is not None else "running" if is_ready else "starting",
        "since": None if own is None else own["since"],
        "connections": [
            {"id": name, "state": record["state"], "since": record["since"]}
            for name, record in records
            if record is not None
        ],
    }
