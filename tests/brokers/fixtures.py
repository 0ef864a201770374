"""The brokers that tests use, and which tests are left out where a broker cannot be had."""

import asyncio
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from cdp_stream.brokers.apache import ApacheKafka, resolve_jars, why_unavailable
from cdp_stream.brokers.embedded import EmbeddedBroker
from cdp_stream.errors import BrokerError
from tests.brokers.guarded import GuardedKafka, running_guarded_kafka
from tests.brokers.sharing import shared
from tests.brokers.sources import sources, why_none

REPORT = pytest.StashKey[list[str]]()
OF_SEVERAL_TESTS = {
    "forgetful_kafka",
    "guarded_kafka",
    "kafka_cluster",
    "proxied_kafka",
}
"""Brokers with settings of their own, for tests that run one after the other."""
_OWN = {"own_kafka", "chaos_kafka", *OF_SEVERAL_TESTS}
EITHER = [
    pytest.param("kafka_broker", marks=pytest.mark.kafka),
    pytest.param("embedded_broker", marks=pytest.mark.embedded),
]
"""Parameters of a test, or of a fixture, that asks for the broker of that name."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORT] = []


# Last: what `-m` and `-k` have left out need not be asked for here.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests for which there is no broker; insist on them with CDP_REQUIRE_KAFKA."""
    kafka = {item for item in items if item.get_closest_marker("kafka")}
    own = {item for item in kafka if _OWN & set(getattr(item, "fixturenames", ()))}
    if kafka and not sources():
        leave_out(config, items, kafka, why_none())
    elif own and why_unavailable():
        leave_out(config, items, own, f"they start a broker of their own, and {why_unavailable()}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the report of one of several processes to the one that started it."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["brokers"] = session.config.stash[REPORT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    report = node.config.stash[REPORT]
    report += [
        line for line in getattr(node, "workeroutput", {}).get("brokers", ()) if line not in report
    ]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash[REPORT]:
        terminalreporter.write_line(line)


def leave_out(
    config: pytest.Config,
    items: list[pytest.Item],
    without: set[pytest.Item],
    reason: str,
    advice: str = "install a Java runtime 17 and Maven, start Docker, or set "
    "CDP_TEST_BROKER=host:port",
) -> None:
    """Leave tests out, in one line that says why; where Kafka is insisted on, fail instead."""
    if os.environ.get("CDP_REQUIRE_KAFKA"):
        raise pytest.UsageError(
            f"{len(without)} tests need Apache Kafka and its surroundings, but {reason}; {advice}"
        )
    items[:] = [item for item in items if item not in without]
    config.hook.pytest_deselected(items=list(without))
    config.stash[REPORT].append(f"{len(without)} Kafka tests left out: {reason}")


def folder_of_run(factory: pytest.TempPathFactory) -> Path:
    """The folder that all processes of a run have in common."""
    own = factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


@pytest.fixture(scope="session")
def shared_kafka_address(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of an Apache Kafka broker that all tests of the run share."""
    failures = []
    for source in sources():
        with ExitStack() as stack:
            shared_broker = shared(folder_of_run(tmp_path_factory), "kafka", source.broker)
            try:
                address = stack.enter_context(shared_broker)
            except BrokerError as error:
                failures.append(f"{source.name}: {error}")
                continue
            pytestconfig.stash[REPORT].append(f"Kafka tests ran on {source.name}")
            yield address
            return
    raise BrokerError("; ".join(failures) or why_none())


@pytest.fixture
def kafka_broker(
    request: pytest.FixtureRequest, shared_kafka_address: str, topic_prefix: str
) -> Iterator[str]:
    """That broker, for tests that are left out where there is none; topics with the prefix go
    with the test, so that the broker stays small.
    """
    assert request.node.get_closest_marker("kafka"), "mark the test with `kafka`"
    yield shared_kafka_address
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _delete_topics(shared_kafka_address, topic_prefix)).result()


async def _delete_topics(broker: str, prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if name.startswith(prefix)]
        if names:
            await admin.delete_topics(names)
    finally:
        await admin.close()


@pytest.fixture
def own_kafka() -> Iterator[ApacheKafka]:
    """A broker for one test alone, which may stop, kill and restart it."""
    with ApacheKafka(resolve_jars(), is_brief=True) as kafka:
        yield kafka


@pytest.fixture(scope="session")
def guarded_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    """A broker that demands TLS, certificates and logins, shared by all tests of the run."""
    with running_guarded_kafka(tmp_path_factory.mktemp("guarded")) as kafka:
        yield kafka


@pytest.fixture(scope="session")
def shared_embedded_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an embedded broker that all tests of the run share."""
    with shared(folder_of_run(tmp_path_factory), "embedded", embedded) as address:
        yield address


@contextmanager
def embedded() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


@pytest.fixture
def embedded_broker(request: pytest.FixtureRequest, shared_embedded_address: str) -> str:
    """That broker, for tests that say that they use it."""
    assert request.node.get_closest_marker("embedded"), "mark the test with `embedded`"
    return shared_embedded_address


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """A prefix for topics and groups that no other test has, nor this one in another run."""
    name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]
    return f"test-{os.getpid()}-{name}"
