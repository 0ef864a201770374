"""A Faust app set up for chunks: the transport, the table manager, and the settings that matter."""

import asyncio
import time
from collections.abc import Collection
from typing import Any, Protocol

import faust

from cdp_stream.kafka.clients.client_settings import faust_credentials
from cdp_stream.kafka.commit.record_writer import MAX_BATCH_BYTES
from cdp_stream.kafka.faust_adapter.consumer import Chunk, ChunkTransport
from cdp_stream.kafka.faust_adapter.table import ProfileTables
from cdp_stream.kafka.metrics import Metrics
from cdp_stream.settings import Settings

__all__ = ["ChunkApp", "Hosting"]


class Hosting(Protocol):
    """Holds the partitions of an app: what the transport and whoever runs the app ask of it.

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
        """Take a chunk over from the agent."""

    async def release(self) -> None:
        """Finish what is on its way; the partitions go to somebody else."""

    async def restore(self, assigned: Collection[int], generation: int) -> bool:
        """Hold exactly these partitions; whether they are held now."""

    def wake_up(self) -> None:
        """Look again whether there is something to do."""

    def rests(self, partition: int) -> bool:
        """Whether a partition's records are not wanted for now, and nobody need worry."""

    async def stop(self) -> None:
        """Release everything, for good."""


class ChunkApp(faust.App):
    """A Faust app whose events are chunks.

    Args:
        settings: The worker's settings.
        group: Its consumer group; that of the profiles topology unless it is given.

    Attributes:
        hosting: The partitions this worker holds; set by the topology.
        metrics: Where it counts; set by the topology.
    """

    hosting: Hosting
    metrics: Metrics

    def __init__(self, settings: Settings, group: str | None = None) -> None:
        self._session_timeout_s = settings.session_timeout
        super().__init__(
            group or settings.group_id,
            broker=[f"kafka://{address}" for address in settings.brokers],
            broker_credentials=faust_credentials(settings),
            datadir=str(settings.data_dir),
            store="memory://",
            TableManager=ProfileTables,
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

    def _new_transport(self) -> Any:
        return ChunkTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return ChunkTransport(self.conf.broker_producer, self)
