"""How outputs stand and what waits for them, from Kafka itself: no worker has to run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from cdp_stream.kafka.aiokafka_patches.broker_metadata import partitions_of
from cdp_stream.kafka.aiokafka_patches.fetch_observer import FetchObserver
from cdp_stream.kafka.clients.admin import started_admin
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.topics.topic_partition import TopicPartition
from cdp_stream.settings import Settings
from cdp_stream.sinks.state.faults import Faults
from cdp_stream.sinks.state.sink_state import SinkState

__all__ = ["GOES_ON", "ConnectionStatus", "OutputStatus", "outputs_with_workers", "read_status"]

_POLL_MS: Final = 200
_FETCH_MS: Final = 20

Status = Literal["running", "degraded", "paused", "faulted", "no_worker", "unknown"]
GOES_ON: Final = frozenset({"running", "no_worker", "unknown"})
"""Nothing of the output stands still."""


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """A connection that stands still.

    Attributes:
        since: epoch ms.
        fault: the partner's words and what to do; None when it was paused.
    """

    id: str
    status: str
    since: int
    fault: str | None


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """How one output stands.

    Attributes:
        connector: None when nobody has told yet.
        status: `paused` or `faulted` where it stands still; else `no_worker` where no sink of it is
            in its group, `unknown` where the broker does not say, `degraded` when it runs and a
            connection of it stands still, `running` otherwise.
        since: of what stopped it, epoch ms; None while it runs.
        lag: records in its topic that the partner has not confirmed, those included that wait for a
            connection that stands still; of these as many as its sink has counted lately.
        oldest_unsent_ms: how long the oldest of them has waited; 0 when there is none.
        fault: the partner's words and what to do: of the output, else of its first connection.
        rejected: records of its topic of rejects that were not sent again.
        next_step: the command to go on with; None while nothing stands still.
        connections: those that stand still.
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
    """How an output stands.

    Args:
        has_worker: whether a sink of it runs; None where that cannot be told.
        connector: as defined, where that is known; else what its sink remembered.
        now_ms: the wall clock.
    """
    lag, oldest, rejected = await _waiting(settings, output, state)
    connections = tuple(
        ConnectionStatus(key, record["state"], record["since"], record.get("message"))
        for key in sorted(faults.stopped_connections(output))
        if (record := faults.record(key)) is not None
    )
    own = faults.record(output)
    first: Mapping[str, Any] | None = own
    if own is None and connections:
        first = faults.record(connections[0].id)
    return OutputStatus(
        output,
        connector or state.connector(output),
        own["state"] if own is not None else _going_on(has_worker, bool(connections)),
        own["since"] if own is not None else None,
        lag,
        0 if oldest is None else max(0, now_ms - oldest),
        next((str(r["message"]) for r in _records(faults, output, own) if r.get("message")), None),
        rejected,
        None if first is None else _next_step(first),
        connections,
    )


def _going_on(has_worker: bool | None, connections_stand_still: bool) -> Status:
    if not has_worker:
        return "unknown" if has_worker is None else "no_worker"
    return "degraded" if connections_stand_still else "running"


async def outputs_with_workers(settings: Settings, outputs: Collection[str]) -> set[str] | None:
    """Those of these outputs whose group has members; None where the broker does not say."""
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


def _records(faults: Faults, output: str, own: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    of_connections = [faults.record(key) for key in faults.stopped_connections(output)]
    return [record for record in (own, *of_connections) if record is not None]


def _next_step(record: Mapping[str, Any]) -> str:
    connection = record.get("connection")
    where = f" --connection '{connection}'" if connection else ""
    return f"cdp outputs resume {record['output']}{where}"


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
        numbers = consumer.partitions_for_topic(topic) or await partitions_of(consumer, topic)
        tps = [TopicPartition(topic, number) for number in numbers]
        rejected = await _rejected(consumer, f"{topic}.rejected", state)
        if not tps:
            return 0, None, rejected
        consumer.assign(tps)
        starts = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        positions = {tp: max(await consumer.committed(tp) or 0, starts[tp]) for tp in tps}
        behind = {tp: ends[tp] - at for tp, at in positions.items() if ends[tp] > at}
        oldest = await _first_dates(consumer, observer, {tp: positions[tp] for tp in behind})
        owed = [one for number in numbers for one in _owed(state.kept(output, number))]
        lag = sum(behind[tp] for tp in oldest) + sum(count for count, _ in owed)
        dates = [*oldest.values(), *(since for _, since in owed if since is not None)]
        return lag, min(dates, default=None), rejected
    finally:
        await consumer.stop()


async def _rejected(consumer: AIOKafkaConsumer, topic: str, state: SinkState) -> int:
    """How many records a topic of rejects has, less those that were sent again."""
    numbers = consumer.partitions_for_topic(topic) or await partitions_of(consumer, topic)
    tps = [TopicPartition(topic, number) for number in numbers]
    if not tps:
        return 0
    # Not assigned, for that would disturb who asks for the group's positions.
    starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
    count = 0
    for tp in tps:
        again = state.sent_again(topic, tp.partition)
        sent = sum(max(0, last + 1 - max(first, starts[tp])) for first, last in again)
        count += max(0, ends[tp] - starts[tp] - sent)
    return count


def _owed(kept: Mapping[str, Any] | None) -> Iterator[tuple[int, int | None]]:
    """How many records wait for each connection with a position of its own, and since when."""
    for entry in (kept or {}).get("connections", {}).values():
        yield int(entry.get("owed", 0)), entry.get("since")


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
