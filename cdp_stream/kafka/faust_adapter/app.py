"""A Faust app set up for chunks: the transport, the table manager, and the settings that matter."""

import asyncio
import time
from collections.abc import Collection
from typing import Any, Protocol

import faust
from faust.auth import SASLCredentials, SSLCredentials
from mode.supervisors import CrashingSupervisor

from cdp_stream.kafka.clients.chunk import Chunk
from cdp_stream.kafka.clients.client_settings import sasl_password, tls_context
from cdp_stream.kafka.commit.record_writer import MAX_BATCH_BYTES
from cdp_stream.kafka.faust_adapter.consumer import ChunkSchema, ChunkTransport
from cdp_stream.kafka.faust_adapter.table import ChangelogTables
from cdp_stream.observability.metrics import Metrics
from cdp_stream.settings import Settings

__all__ = ["AssignedPartitions", "ChunkApp"]


class AssignedPartitions(Protocol):
    """The partitions that are assigned to an app: what the transport and the server ask of them.

    Attributes:
        failed: Set as `failure` is known.
    """

    failed: asyncio.Event

    @property
    def failure(self) -> BaseException | None:
        """What ended it; None while nothing has."""

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned and records flow."""

    def accept(self, partition: int, chunk: Chunk) -> None:
        """Queue a chunk, unless it was fetched before the last seek of its partition."""

    async def release(self) -> None:
        """Finish what is in flight; the partitions may be assigned to another worker."""

    async def restore(self, assigned: Collection[int], generation: int) -> bool:
        """Restore exactly these partitions; returns whether they are ready now."""

    def wake_up(self) -> None:
        """Look again whether there is something to do."""

    def is_paused(self, partition: int) -> bool:
        """Whether a partition is paused on purpose, so that its silence is no fault."""

    async def stop(self) -> None:
        """Release everything, for good."""


class ChunkApp(faust.App):
    """A Faust app whose events are chunks.

    Args:
        settings: The worker's settings.
        group: Its consumer group; that of the profiles topology unless it is given.

    Attributes:
        assignment: The partitions of this worker; set by the topology.
        metrics: Where it counts; set by the topology.
    """

    assignment: AssignedPartitions
    metrics: Metrics

    def __init__(self, settings: Settings, group: str | None = None) -> None:
        self._session_timeout_s = settings.session_timeout
        super().__init__(
            group or settings.group_id,
            broker=[f"kafka://{address}" for address in settings.brokers],
            broker_credentials=_credentials(settings),
            datadir=str(settings.data_dir),
            store="memory://",
            TableManager=ChangelogTables,
            autodiscover=False,
            web_enabled=False,
            # topics/ensure.py makes and checks them, with the settings that are right for each.
            topic_allow_declare=False,
            topic_disable_leader=True,
            # Counts chunks. One that waits costs memory, and is fetched again in a rebalance.
            stream_buffer_maxsize=16,
            stream_wait_empty=True,
            stream_recovery_delay=0.0,
            table_standby_replicas=0,
            producer_acks=-1,
            producer_linger_ms=0,
            producer_max_batch_size=MAX_BATCH_BYTES,
            producer_request_timeout=60.0,
            # No limit: aiokafka fetches nothing from a node while records of it are undrained.
            broker_max_poll_records=None,
            broker_commit_interval=1.0,
            broker_session_timeout=settings.session_timeout,
            broker_heartbeat_interval=settings.session_timeout / 4,
            broker_rebalance_timeout=settings.rebalance_timeout,
            broker_request_timeout=60.0,
            consumer_auto_offset_reset="earliest",
        )

    @property
    def holds_lease(self) -> bool:
        """Whether the group's coordinator has answered within the session time-out."""
        lease_at: float = self.consumer.observer.lease_at
        return time.monotonic() - lease_at < self._session_timeout_s

    @property
    def aiokafka_producer(self) -> Any:
        """The client inside Faust's producer, which this worker writes with; once it runs."""
        return self.producer._producer

    def each_chunk(self, topic: str, *, name: str, partitions: int) -> None:
        """Pass each chunk of this worker's partitions of a topic to their assignment.

        Args:
            topic: The topic.
            name: Of the agent.
            partitions: How many partitions the topic has.
        """
        source = self.topic(topic, schema=_chunks(), partitions=partitions)

        # Stock Faust restarts an agent that failed, after the event it failed on.
        @self.agent(source, name=name, supervisor_strategy=CrashingSupervisor)
        async def accept(chunks: Any) -> None:
            async for event in chunks.events():
                self.assignment.accept(event.message.partition, event.value)

    def join_changelog(self, topic: str, *, name: str, partitions: int) -> None:
        """Make a changelog a topic of the group, assigned together with the input.

        Args:
            topic: The changelog.
            name: Of the table that Faust sees; Faust neither stores nor restores its rows.
            partitions: How many partitions the topic has.
        """
        changelog = self.topic(
            topic, schema=_chunks(), partitions=partitions, compacting=True, acks=False
        )
        self.Table(
            name, changelog_topic=changelog, partitions=partitions,
            key_type=bytes, value_type=bytes,
        )  # fmt: skip

    def _new_transport(self) -> Any:
        return ChunkTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return ChunkTransport(self.conf.broker_producer, self)


def _chunks() -> ChunkSchema:
    return ChunkSchema(key_type=bytes, value_type=bytes, allow_empty=True)


def _credentials(settings: Settings) -> SASLCredentials | SSLCredentials | None:
    """``client_settings`` for Faust; ``None`` without TLS and login."""
    context = tls_context(settings)
    if settings.sasl_mechanism is not None:
        return SASLCredentials(
            username=settings.sasl_username,
            password=sasl_password(settings),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context)
