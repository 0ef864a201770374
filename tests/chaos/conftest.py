"""The brokers that the chaos tests share."""

import pytest

from tests.chaos import run
from tests.chaos.proxy import running_proxied_kafka


@pytest.fixture(scope="session")
def chaos_kafka():
    with run.chaos_kafka() as kafka:
        yield kafka


@pytest.fixture(scope="session")
def proxied_kafka():
    with running_proxied_kafka() as kafka:
        yield kafka


@pytest.fixture
async def proxy(proxied_kafka):
    async with proxied_kafka.proxy() as running:
        yield running
