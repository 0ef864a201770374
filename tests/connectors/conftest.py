"""The suites' own asserts are explained like those of a test module; tests that need PostgreSQL are
left out where there is none, but in CI its absence fails them.
"""

import os
from collections.abc import Iterator

import pytest

from tests.brokers.fixtures import REPORT

pytest.register_assert_rewrite(
    "tests.connectors.conformance", "tests.connectors.conformance_local", "tests.partners.partner"
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    from tests.partners.postgresql import programs

    if os.environ.get("CI") or programs() is not None:
        return
    without = [item for item in items if "postgresql" in getattr(item, "fixturenames", ())]
    if without:
        items[:] = [item for item in items if item not in without]
        config.hook.pytest_deselected(items=without)
        config.stash[REPORT].append(
            f"{len(without)} tests left out: there is no PostgreSQL (Debian's package postgresql)"
        )


@pytest.fixture(scope="session")
def postgresql() -> Iterator[None]:
    """Takes the shared server away at the end."""
    from tests.partners.postgresql import started

    yield
    for server in started:
        server.remove()
