"""What `cdp erase` puts into the input topic."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from cdp_stream.cli.erase import command
from cdp_stream.errors import BrokerError
from cdp_stream.kafka.produce import Routing
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings

PARTITIONS = 4


@pytest.mark.parametrize("words", [[], ["seven"], ["9223372036854775808"]])
def test_what_is_no_profile_is_a_mistake_of_usage(words):
    result = CliRunner().invoke(command, words)
    assert result.exit_code == 2


@pytest.mark.embedded
def test_requests_are_keyed_placed_and_empty(embedded_broker, topic_prefix):
    settings = Settings(broker=embedded_broker, prefix=topic_prefix)
    asyncio.run(ensure_topics(settings))
    mpids = [str(n) for n in (*range(20), -7, 3)]
    words = ["--broker", embedded_broker, "--prefix", topic_prefix, "--json", *mpids]
    result = CliRunner().invoke(command, words, catch_exceptions=False)
    assert json.loads(result.stdout) == {"asked": 21}
    found = []
    asyncio.run(
        read_to_end(
            {"bootstrap_servers": embedded_broker}, settings.topic("events"), range(PARTITIONS),
            lambda number, records: found.extend((number, record) for record in records),
        )
    )  # fmt: skip
    assert {int(record.key) for _number, record in found} == {*range(20), -7}
    routing = Routing(PARTITIONS)
    for number, record in found:
        assert number == routing.partition_of(record.key)
        assert (record.value or b"", list(record.headers)) == (b"", [("erase", b"")])


@pytest.mark.embedded
def test_no_topics_are_made_for_a_prefix_that_nobody_uses(embedded_broker, topic_prefix):
    words = ["--broker", embedded_broker, "--prefix", topic_prefix, "7"]
    result = CliRunner().invoke(command, words)
    assert isinstance(result.exception, BrokerError)
    assert "--prefix" in result.exception.next_step
