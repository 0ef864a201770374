"""The status of outputs and what waits for them, from Kafka itself: no worker has to run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from cdp_stream.kafka.aiokafka_patches.broker_metadata import partitions_of
from cdp_stream.kafka.aiokafka_patches.fetch_observer import FetchObserver
from cdp_stream.kafka.clients.admin import started_admin
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.clients.topic_partition import TopicPartition
from cdp_stream.settings import Settings
from cdp_stream.sinks.state.faults import Faults, resume
from cdp_stream.sinks.state.sink_state import SinkState

__all__ = ["GOES_ON", "ConnectionStatus", "OutputStatus", "outputs_with_workers", "read_status"]

_POLL_MS: Final = 200
_FETCH_MS: Final = 20

Status = Literal["running", "degraded", "paused", "faulted", "no_worker", "unknown"]
GOES_ON: Final = frozenset({"running", "no_worker", "unknown"})
"""Nothing of the output is stopped."""


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """A connection that is stopped.

    Attributes:
        since: Epoch ms.
        fault: The partner's words and what to do; None when it was paused.
    """

    id: str
    status: str
    since: int
    fault: str | None


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """The status of one output.

    Attributes:
        connector: None when no worker has run it and its definition is not known.
        status: `paused` or `faulted` where it is stopped; else `no_worker` where no sink of it is
            in its group, `unknown` where the broker does not answer, `degraded` when it runs and a
            connection of it is stopped, `running` otherwise.
        since: When it was stopped, epoch ms; None while it runs.
        lag: Records in its topic that the partner has not confirmed, those included that wait for a
            connection that is stopped; of these as many as its sink counted last.
        oldest_unsent_ms: How long the oldest of them has waited; 0 when there is none.
        fault: The partner's words and what to do: of the output, else of its first connection.
        rejected: Records of its topic of rejects that were not sent again.
        next_step: The command that resumes it; None while nothing is stopped.
        connections: Those that are stopped.
    """

    id: str
    connector: str | None
    status: Status
    since: int | None
    lag: int
    oldest_unsent_ms: int
    fault: str | None
    rejected: int
    next_step: str | None
    connections: tuple[ConnectionStatus, ...]


async def read_status(  # noqa: PLR0913 - what its caller knows already
    settings: Settings,
    output: str,
    faults: Faults,
    state: SinkState,
    *,
    connector: str | None,
    has_worker: bool | None,
    now_ms: int,
) -> OutputStatus:
    """The status of an output.

    Args:
        has_worker: Whether a sink of it runs; None where that is not known.
        connector: As defined, where that is known; else what its sink remembered.
        now_ms: The wall clock.
    """
    lag, oldest, rejected = await _waiting(settings, output, state)
    own, of_connections = faults.record(output), faults.of_connections(output)
    stopped = [*of_connections] if own is None else [own, *of_connections]
    status: Status = "degraded" if of_connections else "running"
    if not has_worker:
        status = "unknown" if has_worker is None else "no_worker"
    return OutputStatus(
        output,
        connector or state.connector(output),
        status if own is None else own["state"],
        None if own is None else own["since"],
        lag,
        0 if oldest is None else max(0, now_ms - oldest),
        next((str(one["message"]) for one in stopped if one.get("message")), None),
        rejected,
        resume(output, stopped[0].get("connection")) if stopped else None,
        tuple(
            ConnectionStatus(one["id"], one["state"], one["since"], one.get("message"))
            for one in of_connections
        ),
    )


async def outputs_with_workers(settings: Settings, outputs: Collection[str]) -> set[str] | None:
    """Those of these outputs whose group has members; None where the broker does not answer."""
    groups = {settings.sink_group_id(output): output for output in outputs}
    admin = await started_admin(settings)
    try:
        answers = await admin.describe_consumer_groups(list(groups)) if groups else []
    except (KafkaError, TimeoutError):
        return None
    finally:
        await admin.close()
    described = [group for answer in answers for group in answer.groups]
    if any(error for error, *_ in described):
        return None
    return {groups[name] for _, name, state, *_ in described if state not in {"Empty", "Dead"}}


async def _waiting(
    settings: Settings, output: str, state: SinkState
) -> tuple[int, int | None, int]:
    """How many records lie above the group's positions, and above those of connections that have
    some of their own; when the oldest was written; and how many were rejected.
    """
    topic = settings.topic(f"output.{output}")
    observer = FetchObserver()
    consumer = AIOKafkaConsumer(
        **client_settings(settings),
        group_id=settings.sink_group_id(output),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=_FETCH_MS,
        max_partition_fetch_bytes=64 * 1024,
    )
    observer.attach(consumer)
    await consumer.start()
    try:
        # Before any is assigned: an assignment would disturb the request for the group's positions.
        rejected = await _rejected(consumer, f"{topic}.rejected", state)
        tps = [TopicPartition(topic, number) for number in await partitions_of(consumer, topic)]
        if not tps:
            return 0, None, rejected
        consumer.assign(tps)
        starts = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        positions = {tp: max(await consumer.committed(tp) or 0, starts[tp]) for tp in tps}
        behind = {tp: at for tp, at in positions.items() if ends[tp] > at}
        oldest = await _first_dates(consumer, observer, behind)
        # Of connections with a position of their own: how many wait, and since when.
        own = [
            entry
            for tp in tps
            for entry in (state.kept(output, tp.partition) or {}).get("connections", {}).values()
        ]
        lag = sum(ends[tp] - behind[tp] for tp in oldest) + sum(int(e.get("owed", 0)) for e in own)
        dates = [*oldest.values(), *(e["since"] for e in own if e.get("since") is not None)]
        return lag, min(dates, default=None), rejected
    finally:
        await consumer.stop()


async def _rejected(consumer: AIOKafkaConsumer, topic: str, state: SinkState) -> int:
    """How many records a topic of rejects has, less those that were sent again."""
    tps = [TopicPartition(topic, number) for number in await partitions_of(consumer, topic)]
    if not tps:
        return 0
    starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
    count = 0
    for tp in tps:
        again = state.sent_again(topic, tp.partition)
        sent = sum(max(0, last + 1 - max(first, starts[tp])) for first, last in again)
        count += max(0, ends[tp] - starts[tp] - sent)
    return count


async def _first_dates(
    consumer: AIOKafkaConsumer, observer: FetchObserver, positions: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """When the first record from a position on was written, where there is one.

    There may be none though the end lies above: ends of transactions are no records.
    """
    waiting = set(positions)
    dates: dict[TopicPartition, int] = {}
    if not waiting:
        return dates
    consumer.assign(list(waiting))
    for tp, offset in positions.items():
        consumer.seek(tp, offset)
    while waiting:
        fetched = await consumer.getmany(timeout_ms=_POLL_MS)
        for tp, records in fetched.items():
            observer.handed_over((tp.topic, tp.partition), records[-1].offset)
            dates.setdefault(tp, records[0].timestamp)
        ended = {tp for tp in waiting if (tp.topic, tp.partition) in observer.ends}
        waiting -= {*dates, *ended}
    return dates
