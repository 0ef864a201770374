"""Which guarantee a broker can provide, checked before anything is written.

The list of requests that a broker knows is not enough: the embedded broker lists those of
transactions, and then refuses the first. So we also request a producer id, for a transactional id
that nobody writes with.
"""

import asyncio
import logging
from dataclasses import replace
from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    GroupCoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorForGroupError,
    TransactionalIdAuthorizationFailed,
    for_code,
)
from aiokafka.protocol.transaction import InitProducerIdRequest

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.aiokafka_patches.broker_metadata import known_requests
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.observability.log import log
from cdp_stream.settings import Settings

__all__ = ["settle_guarantee", "why_no_transactions"]

_ASK_S = 30.0
_AGAIN_S = 0.1
_REQUESTS = {
    22: "InitProducerId",
    24: "AddPartitionsToTxn",
    25: "AddOffsetsToTxn",
    26: "EndTxn",
    28: "TxnOffsetCommit",
}
_LATER = (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    GroupCoordinatorNotAvailableError,
    NotCoordinatorForGroupError,
)


async def settle_guarantee(settings: Settings, *, may_fall_back: bool) -> Settings:
    """The settings with the guarantee that this broker can provide.

    Args:
        settings: As they were requested.
        may_fall_back: Whether at-least-once is acceptable without transactions.

    Raises:
        BrokerError: Exactly-once was requested and is not available, or the client may not use it.
    """
    if settings.guarantee != "exactly-once":
        return settings
    reason = await why_no_transactions(settings)
    if not reason:
        return settings
    if not may_fall_back:
        raise BrokerError(
            f"the broker at {settings.broker} cannot provide --guarantee exactly-once: {reason}",
            "use Apache Kafka, or --guarantee at-least-once",
        )
    log(
        "fell_back_to_at_least_once", level=logging.WARNING, reason=reason,
        next="use Apache Kafka, or --guarantee at-least-once if that is intended",
    )  # fmt: skip
    return replace(settings, guarantee="at-least-once")


async def why_no_transactions(settings: Settings) -> str:
    """Why the broker has no transactions, or an empty string when it has them.

    Raises:
        BrokerError: It has, but this client may not use them, or it does not answer.
    """
    client = AIOKafkaClient(**client_settings(settings))
    try:
        async with asyncio.timeout(_ASK_S):
            await client.bootstrap()
            known = await known_requests(client)
            if unknown := [name for key, name in _REQUESTS.items() if key not in known]:
                return f"it does not know {', '.join(unknown)}"
            return await _try_producer_id(client, f"{settings.group_id}-probe")
    except TransactionalIdAuthorizationFailed as error:
        raise BrokerError(
            f"the broker at {settings.broker} does not let this client write in transactions as "
            f"{settings.group_id}-*",
            "grant it these transactional ids, or use --guarantee at-least-once",
        ) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerError(
            f"the broker at {settings.broker} does not report whether it has transactions: "
            f"{error!r}",
            "check its log, or use --guarantee at-least-once",
        ) from error
    finally:
        await client.close()


async def _try_producer_id(client: AIOKafkaClient, transactional_id: str) -> str:
    request = InitProducerIdRequest(transactional_id, 1_000)
    while True:
        try:
            node = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
            if not await client.ready(node, group=ConnectionGroup.COORDINATION):
                raise GroupCoordinatorNotAvailableError
            answer: Any = await client.send(node, request, group=ConnectionGroup.COORDINATION)
        except _LATER:
            # The broker creates the topic of transactions at the first request.
            await asyncio.sleep(_AGAIN_S)
            continue
        error = for_code(answer.error_code)
        if answer.error_code == 0:
            return ""
        if error is TransactionalIdAuthorizationFailed:
            raise error(transactional_id)
        if error not in _LATER:
            return f"it refuses a transactional producer ({error.__name__})"
        await asyncio.sleep(_AGAIN_S)
