"""Check that a broker answers, and create its first topics, from code that is not async.

Every call works on its own event loop in its own thread, so that it may be used inside a running
loop too (it blocks that loop: for start-up and tests only).
"""

import asyncio
import logging
import random
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from cdp_stream.errors import BrokerError, UsageError

__all__ = ["answers", "create_topics", "free_port", "parse_address", "wait_until_ready"]

_POLL_S = 0.05
_MAX_PORT = 65_535
_SERVER_PORTS = range(15_000, 32_000)
_PORT_TRIES = 100
_REQUEST_MS = 5_000

T = TypeVar("T")


def parse_address(address: str) -> tuple[str, int]:
    """Split ``host:port``.

    Raises:
        UsageError: There is no port, or it is not a number from 1 to 65535.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise UsageError(f"'{address}' is not host:port", "write it like 127.0.0.1:9092")
    if not 1 <= int(port) <= _MAX_PORT:
        raise UsageError(f"port {port} of '{address}' is out of range", "use 1 to 65535")
    return host, int(port)


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port on which nothing listens at this moment; another process may bind it next.

    It is below the range from which systems choose the ports of outgoing connections: a client that
    keeps trying a stopped broker could otherwise end up connected to itself, and occupy its port.

    Raises:
        BrokerError: None was found.
    """
    for port in random.sample(_SERVER_PORTS, _PORT_TRIES):
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise BrokerError(f"there is no free port on {host}", "check the address")


def answers(bootstrap: str) -> bool:
    """Whether a Kafka broker at ``host:port`` answers a metadata request with itself in it."""
    try:
        socket.create_connection(parse_address(bootstrap), timeout=1).close()
        return _run(_count_brokers(bootstrap)) > 0
    except (OSError, KafkaError, TimeoutError):
        return False


def wait_until_ready(
    bootstrap: str, *, timeout_s: float, is_alive: Callable[[], bool] = lambda: True
) -> None:
    """Return when a broker answers at ``host:port``.

    Args:
        bootstrap: Where to ask.
        timeout_s: How long to keep asking, in seconds.
        is_alive: Whether asking still makes sense; False when the process has ended.

    Raises:
        BrokerError: The time-out has passed, or the process has ended.
    """
    give_up_at = time.monotonic() + timeout_s
    while is_alive():
        if answers(bootstrap):
            return
        if time.monotonic() > give_up_at:
            raise BrokerError(
                f"no Kafka broker answered at {bootstrap} within {timeout_s:g} s",
                "check the address, and that the broker runs",
            )
        time.sleep(_POLL_S)
    raise BrokerError(f"the broker for {bootstrap} ended before it answered", "see its log")


def create_topics(
    bootstrap: str, partitions: Mapping[str, int], *, config: Mapping[str, str] | None = None
) -> None:
    """Create the topics that do not exist yet, with one replica; those that exist stay as they are.

    Args:
        bootstrap: The broker, ``host:port``.
        partitions: Partition count by topic name.
        config: Settings of each topic created, such as ``cleanup.policy``.

    Raises:
        BrokerError: The broker cannot be reached or refuses a topic.
    """
    topics = [
        NewTopic(name, count, 1, topic_configs=dict(config or {}))
        for name, count in partitions.items()
    ]
    try:
        refused = _run(_create(bootstrap, topics))
    except (OSError, KafkaError, TimeoutError) as error:
        raise BrokerError(
            f"cannot create topics at {bootstrap}: {error!r}", "check that the broker runs"
        ) from error
    if refused:
        raise BrokerError(
            f"the broker at {bootstrap} refused topic {'; '.join(refused)}",
            "check its name, its partition count and your rights",
        )


def _run(coroutine: Coroutine[object, object, T]) -> T:
    with ThreadPoolExecutor(1, thread_name_prefix="probe") as pool:
        return pool.submit(asyncio.run, coroutine).result()


async def _count_brokers(bootstrap: str) -> int:
    # A broker that is still starting refuses in ways that aiokafka logs as errors; they are not.
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=_REQUEST_MS)
    try:
        await admin.start()
        return len((await admin.describe_cluster())["brokers"])
    finally:
        await admin.close()
        logger.setLevel(level)


async def _create(bootstrap: str, topics: list[NewTopic]) -> list[str]:
    """Returns what was refused, as ``name: reason``."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=_REQUEST_MS)
    try:
        await admin.start()
        answer = await admin.create_topics(topics)
    finally:
        await admin.close()
    refused = []
    for name, code, *detail in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            reason = next((text for text in detail if text), error.__name__)
            refused.append(f"{name}: {reason}")
    return refused
