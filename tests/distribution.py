"""How tests are dealt out to the processes that run them side by side (`--dist loadscope`).

Tests that share a broker of their own stay together, and so do those of a file of quick tests.
Others go one by one to whichever process is free. Tests on brokers wait for most of their time, and
quick tests compute: they alternate, so that some processes wait while others compute; quick ones
come last, so that all processes end together.
"""

import os
from collections.abc import Iterable
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.brokers.fixtures import OF_SEVERAL_TESTS

_TOGETHER = {
    "tests/topologies/test_three_brokers.py": "kafka_cluster",
    "tests/chaos/test_late_requests.py": "proxied_kafka",
    "tests/chaos/test_network.py": "proxied_kafka",
    "tests/chaos/test_overtaken.py": "proxied_kafka",
    "tests/kafka/test_security.py": "guarded_kafka",
    "tests/connectors/test_kafka_topic.py": "guarded_kafka",
    "tests/kafka/test_long_life.py": "forgetful_kafka",
}
"""The broker of the tests of a file."""
_ONE_BY_ONE = (
    "tests/chaos/",
    "tests/cli/test_bench.py",
    "tests/demo/test_demo.py",
    "tests/install/",
    "tests/sinks/test_on_kafka.py",
    "tests/topologies/",
)
_LONGEST = ("kafka_cluster", "proxied_kafka")
_QUICK_AT_THE_END = 0.2
"""The share of the quick tests that nothing else alternates with."""


class Distribution(LoadScopeScheduling):
    """Gives a process the tests of one group after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """The tests that one process runs one after the other."""
    file = nodeid.partition("::")[0]
    if file in _TOGETHER:
        return _TOGETHER[file]
    return nodeid if file.startswith(_ONE_BY_ONE) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    if config.getoption("dist") != "loadscope":
        return None
    config.option.loadscopereorder = False
    return Distribution(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    for item in items:
        shared = OF_SEVERAL_TESTS.intersection(getattr(item, "fixturenames", ()))
        assert shared <= {group_of(item.nodeid)}, f"{item.nodeid} uses {shared}: see _TOGETHER"
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(group_of(item.nodeid), []).append(item)
    items[:] = [item for name in in_order(groups) for item in groups[name]]


def in_order(groups: Iterable[str]) -> list[str]:
    """What takes longest first; then the others, spread over the quick ones."""
    names = list(groups)
    first = [name for name in _LONGEST if name in names]
    others = [name for name in names if "::" in name]
    quick = [name for name in names if name not in {*first, *others}]
    placed = [(n / len(quick), name) for n, name in enumerate(quick)]
    placed += [((1 - _QUICK_AT_THE_END) * n / len(others), name) for n, name in enumerate(others)]
    return first + [name for _place, name in sorted(placed)]
