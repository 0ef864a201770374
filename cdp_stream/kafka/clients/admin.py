"""Requests to a broker about its topics."""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.clients.connection_errors import explain_no_connection
from cdp_stream.settings import Settings

__all__ = [
    "CONNECT_S",
    "admin_client",
    "check_broker",
    "partition_count",
    "partition_counts",
    "started_admin",
    "topic_settings",
]

CONNECT_S = 15.0
"""How long a broker may take to answer."""


@asynccontextmanager
async def admin_client(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client that asks about topics; what goes wrong is a :class:`BrokerError`."""
    admin = await started_admin(settings)
    try:
        yield admin
    except KafkaError as error:
        raise BrokerError(
            f"the broker at {settings.broker} refused to show or make topics: {error}",
            "check its log and this client's rights",
        ) from error
    except TimeoutError as error:
        raise BrokerError(
            f"the broker at {settings.broker} did not show or make topics in time",
            "try again; if that does not help, see whether the cluster has a controller",
        ) from error
    finally:
        await admin.close()


async def started_admin(settings: Settings) -> AIOKafkaAdminClient:
    """A client for topics and groups, to be closed.

    Raises:
        BrokerError: The broker cannot be connected to.
    """
    admin = AIOKafkaAdminClient(**client_settings(settings), request_timeout_ms=15_000)
    aiokafka_log = logging.getLogger("aiokafka")
    aiokafka_log.addFilter(_silent)  # it logs each failed address on a line of its own
    try:
        async with asyncio.timeout(CONNECT_S):
            await admin.start()
    except (KafkaError, OSError, TimeoutError) as error:
        await admin.close()
        raise await explain_no_connection(settings) from error
    finally:
        aiokafka_log.removeFilter(_silent)
    return admin


def _silent(_record: logging.LogRecord) -> bool:
    return False


async def check_broker(settings: Settings) -> None:
    """Check that the broker answers.

    Raises:
        BrokerError: It does not.
    """
    await (await started_admin(settings)).close()


async def partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """How many partitions each topic of the cluster has."""
    found: list[dict[str, Any]] = await admin.describe_topics()
    return {t["topic"]: len(t["partitions"]) for t in found if not t["error_code"]}


async def partition_count(settings: Settings, topic: str) -> int:
    """How many partitions a topic has; 0 where there is none.

    Raises:
        BrokerError: The broker cannot be connected to.
    """
    admin = await started_admin(settings)
    try:
        return (await partition_counts(admin)).get(topic, 0)
    finally:
        await admin.close()


async def topic_settings(
    admin: AIOKafkaAdminClient, names: Collection[str]
) -> dict[str, dict[str, str]]:
    """The settings of topics, as far as they may be seen."""
    responses = await admin.describe_configs(
        # All of a topic's settings: the embedded broker cannot return a single one.
        [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    )
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for response in responses
        for code, _message, _kind, name, entries in response.resources
        if not code
    }
