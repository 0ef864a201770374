"""The broker that the schedules of a run share."""

import pytest

from tests.chaos.run import chaos_kafka


@pytest.fixture(scope="module")
def shared_kafka():
    with chaos_kafka() as kafka:
        yield kafka
