import pytest

from cdp_stream.brokers.apache import resolve_jars, why_unavailable
from cdp_stream.errors import BrokerError
from cdp_stream.kafka.clients.probe import answers, create_topics
from tests.brokers.records import read, write

ORDERS = [(b"1", b"first"), (b"2", b"second"), (b"1", b"third")]


@pytest.mark.kafka
async def test_a_record_written_is_read(kafka_broker, topic_prefix):
    create_topics(kafka_broker, {f"{topic_prefix}.orders": 3})
    await write(kafka_broker, f"{topic_prefix}.orders", 2, ORDERS)
    assert await read(kafka_broker, f"{topic_prefix}.orders", 2, 3) == ORDERS


@pytest.mark.kafka
def test_a_refused_topic_says_why(kafka_broker):
    with pytest.raises(BrokerError, match="refused topic no spaces: "):
        create_topics(kafka_broker, {"no spaces": 1})


@pytest.mark.kafka
@pytest.mark.slow
async def test_records_survive_a_restart_and_a_kill(own_kafka):
    create_topics(own_kafka.bootstrap, {"orders": 1})
    await write(own_kafka.bootstrap, "orders", 0, ORDERS[:2])
    own_kafka.restart()
    await write(own_kafka.bootstrap, "orders", 0, ORDERS[2:])
    own_kafka.kill()
    assert not answers(own_kafka.bootstrap)
    own_kafka.start()
    assert await read(own_kafka.bootstrap, "orders", 0, 3) == ORDERS


def test_without_a_checkout_the_jars_cannot_be_had(tmp_path):
    with pytest.raises(BrokerError, match=r"deploy/kafka/pom.xml is not there"):
        resolve_jars(tmp_path)


def test_without_java_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert why_unavailable() == "there is no java"


def test_an_old_java_is_refused(monkeypatch, tmp_path):
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert why_unavailable() == "java is version 11, not 17 or later"
