"""A broker is asked for transactions before anything is written; what is done when it has none."""

import json
from dataclasses import replace

import pytest

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.commit.guarantee import settle_guarantee, why_no_transactions
from cdp_stream.observability.log import set_up_logging
from cdp_stream.settings import Settings


@pytest.mark.kafka
async def test_apache_kafka_has_transactions(kafka_broker, topic_prefix):
    settings = Settings(broker=kafka_broker, prefix=topic_prefix)
    assert await why_no_transactions(settings) == ""
    assert await settle_guarantee(settings, may_fall_back=False) == settings


@pytest.mark.embedded
async def test_the_embedded_broker_says_it_has_and_has_not(embedded_broker, capfd):
    settings = Settings(broker=embedded_broker, prefix="guarantee")
    set_up_logging()
    settled = await settle_guarantee(settings, may_fall_back=True)
    assert settled == replace(settings, guarantee="at-least-once")
    (line,) = capfd.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["fact"], told["level"]) == ("fell_back_to_at_least_once", "warning")
    assert told["reason"] == "it refuses a transactional producer (UnknownError)"


@pytest.mark.embedded
async def test_where_it_was_asked_for_it_is_insisted_on(embedded_broker):
    settings = Settings(broker=embedded_broker, prefix="guarantee")
    with pytest.raises(BrokerError) as caught:
        await settle_guarantee(settings, may_fall_back=False)
    assert str(caught.value) == (
        f"the broker at {embedded_broker} cannot provide --guarantee exactly-once: it refuses a "
        "transactional producer (UnknownError); use Apache Kafka, or --guarantee at-least-once"
    )


async def test_at_least_once_asks_no_broker(unused_tcp_port):
    settings = Settings(broker=f"127.0.0.1:{unused_tcp_port}", guarantee="at-least-once")
    assert await settle_guarantee(settings, may_fall_back=False) is settings


async def test_a_broker_that_does_not_answer_is_no_reason_to_fall_back(unused_tcp_port):
    settings = Settings(broker=f"127.0.0.1:{unused_tcp_port}")
    with pytest.raises(BrokerError, match="does not report whether it has transactions"):
        await settle_guarantee(settings, may_fall_back=True)
