"""Where the tests get Apache Kafka from, and what to say when there is none.

In this order: ``CDP_TEST_BROKER``, a container where a Docker engine answers, a broker from the
jars that Maven resolves. A source that turns out not to work when it is used gives way to the next.
"""

import gc
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import docker
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer

from cdp_stream.brokers.apache import ApacheKafka, resolve_jars, why_unavailable
from cdp_stream.errors import BrokerError
from cdp_stream.kafka.clients.probe import free_port, wait_until_ready

IMAGE = "apache/kafka:4.2.0"
START_S = 120.0
SETTINGS = {"log.cleaner.backoff.ms": "500"}
"""Compaction is looked for every half second, not every 15 s."""


@dataclass(frozen=True)
class Source:
    """One way to a broker: its name for the test report, and a context that gives its address."""

    name: str
    broker: Callable[[], AbstractContextManager[str]]


def sources(environ: Mapping[str, str] = os.environ) -> list[Source]:
    """What can be tried here, best first; empty when there is nothing."""
    address = environ.get("CDP_TEST_BROKER")
    if address:
        # Named on purpose: when it does not answer, another broker would hide that.
        return [Source(f"CDP_TEST_BROKER={address}", lambda: running_broker(address))]
    found = []
    if docker_answers():
        found.append(Source(f"a container of {IMAGE}", container_broker))
    if not why_unavailable():
        found.append(Source("Apache Kafka's jars", jars_broker))
    return found


def why_none() -> str:
    """The reason to show when ``sources`` is empty."""
    return f"CDP_TEST_BROKER is not set, no Docker engine answers, and {why_unavailable()}"


def docker_answers() -> bool:
    with warnings.catch_warnings():
        # A Docker client that cannot connect leaves its socket to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        answered = _ping_docker()
        gc.collect()
    return answered


def _ping_docker() -> bool:
    try:
        client = docker.from_env(timeout=5)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


@contextmanager
def running_broker(address: str) -> Iterator[str]:
    wait_until_ready(address, timeout_s=START_S)
    yield address


@contextmanager
def jars_broker() -> Iterator[str]:
    with ApacheKafka(resolve_jars(), settings=SETTINGS, is_brief=True) as kafka:
        yield kafka.bootstrap


@contextmanager
def container_broker() -> Iterator[str]:
    port = free_port()
    container = DockerContainer(IMAGE).with_bind_ports(9092, port)
    for name, value in container_settings(port).items():
        container = container.with_env(name, value)
    try:
        container.start()
    except Exception as error:  # docker, requests and testcontainers each raise their own
        raise BrokerError(f"a container of {IMAGE} cannot be started: {error}") from error
    try:
        wait_until_ready(f"localhost:{port}", timeout_s=START_S)
        yield f"localhost:{port}"
    finally:
        container.stop()


def container_settings(port: int) -> dict[str, str]:
    """The image's variables for one broker that its host reaches at ``localhost:port``."""
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://localhost:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_LOG_RETENTION_CHECK_INTERVAL_MS": "86400000",
        "KAFKA_LOG_INITIAL_TASK_DELAY_MS": "86400000",
        "KAFKA_LOG_CLEANER_BACKOFF_MS": SETTINGS["log.cleaner.backoff.ms"],
    }
