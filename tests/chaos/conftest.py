"""The brokers that the tests of a module share."""

import pytest

from tests.chaos.proxy import running_proxied_kafka
from tests.chaos.run import chaos_kafka


@pytest.fixture(scope="module")
def shared_kafka():
    with chaos_kafka() as kafka:
        yield kafka


@pytest.fixture(scope="module")
def proxied_kafka():
    with running_proxied_kafka() as kafka:
        yield kafka


@pytest.fixture
async def proxy(proxied_kafka):
    async with proxied_kafka.proxy() as running:
        yield running
