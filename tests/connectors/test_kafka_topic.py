"""Changes in a topic of another cluster: a real Apache Kafka."""

import json
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from cdp_stream.connectors.change import AUDIENCE_DELETE
from cdp_stream.connectors.exchange import Fault
from cdp_stream.connectors.partners.kafka_topic import KafkaConnector
from cdp_stream.errors import UsageError
from tests.brokers.guarded import KEY_PASSWORD, PASSWORD, USER
from tests.connectors.changes import change
from tests.connectors.conformance_local import LocalCase, Place, local_conformance, opened
from tests.connectors.folding import members_after

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("broker")]

BROKER = {}


@pytest.fixture(scope="module")
def broker(shared_kafka_address):
    BROKER["address"] = shared_kafka_address
    return shared_kafka_address


async def new_topic(partitions=1, address=None, **configs):
    topic = f"test-connector-{uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=address or BROKER["address"])
    await admin.start()
    await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
    await admin.close()
    return topic


async def records(topic, partitions=1, address=None):
    consumer = AIOKafkaConsumer(
        bootstrap_servers=address or BROKER["address"],
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    places = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(places)
    async with consumer:
        left = sum((await consumer.end_offsets(places)).values())
        return [await consumer.getone() for _ in range(left)]


@asynccontextmanager
async def place(directory):
    topic = await new_topic()

    async def members():
        return members_after(json.loads(one.value) for one in await records(topic))

    yield Place({"broker": BROKER["address"], "topic": topic}, members)


TestConforms = local_conformance(LocalCase(KafkaConnector, place))


def made(**settings):
    return KafkaConnector("out", KafkaConnector.output_settings.model_validate(settings))


async def test_the_key_is_the_mpid_and_the_value_the_message(tmp_path):
    topic = await new_topic(partitions=4)
    told = [change(mpid=str(n % 7), ordinal=n, identities={"email": "a@x.org"}) for n in range(40)]
    gone = change(AUDIENCE_DELETE)
    settings = {"broker": BROKER["address"], "topic": topic}
    async with opened(KafkaConnector, settings, tmp_path) as connector:
        await connector.write([*told, gone])
    got = await records(topic, partitions=4)
    assert {one.key for one in got} == {b"%d" % n for n in range(7)} | {b"vip@out"}
    for key in {one.key for one in got}:
        mine = [one for one in got if one.key == key]
        assert len({one.partition for one in mine}) == 1
        wanted = [one.message for one in [*told, gone] if (one.mpid or "vip@out") == key.decode()]
        assert [json.loads(one.value) for one in mine] == wanted


async def test_a_record_that_is_too_large_is_rejected_and_the_rest_goes_on_in_order(tmp_path):
    topic = await new_topic(**{"max.message.bytes": "2000"})
    large = {"x": "y" * 5_000}
    told = [change(mpid="1", ordinal=n, attributes=large if n == 2 else {}) for n in range(6)]
    settings = {"broker": BROKER["address"], "topic": topic}
    async with opened(KafkaConnector, settings, tmp_path) as connector:
        outcome = await connector.write(told)
        assert set(outcome.rejected) == {2}
        assert "accepts no record this large" in outcome.rejected[2]
    ordinals = [json.loads(one.value)["ordinal"] for one in await records(topic)]
    assert ordinals == [0, 1, 3, 4, 5]


async def test_a_very_long_run_does_not_end_at_the_last_sequence_number(tmp_path):
    topic = await new_topic()
    told = [change(mpid="1", ordinal=n) for n in range(24)]
    settings = {"broker": BROKER["address"], "topic": topic}
    async with opened(KafkaConnector, settings, tmp_path) as connector:
        sequences = connector._producer._txn_manager._sequence_numbers
        # A broker takes any from a producer that it has no records of.
        sequences[TopicPartition(topic, 0)] = 2**31 - 10
        for start in range(0, 24, 8):
            await connector.write(told[start : start + 8])
    assert [json.loads(one.value)["ordinal"] for one in await records(topic)] == [*range(24)]


@pytest.mark.parametrize("listener", ["tls", "mutual", "login", "clear"])
async def test_clusters_that_demand_proof(guarded_kafka, tmp_path, listener):
    topic = await new_topic(address=guarded_kafka.internal)
    settings = dict(guarded_kafka.flags(listener))
    if settings.pop("sasl_password_file", None):
        settings["sasl_password"] = PASSWORD
    settings |= {"topic": topic, "tls": settings.get("tls") == "true"}
    if listener == "mutual":
        settings["tls_key"] = guarded_kafka.file("client-locked-key.pem")
        settings["tls_key_password"] = KEY_PASSWORD
    async with opened(KafkaConnector, settings, tmp_path) as connector:
        await connector.write([change(identities={"email": "a@x.org"})])
    assert len(await records(topic, address=guarded_kafka.internal)) == 1


async def test_a_wrong_password_is_not_repeated(guarded_kafka, tmp_path):
    settings = dict(guarded_kafka.flags("login"))
    del settings["sasl_password_file"]
    connector = made(**settings | {"tls": True, "sasl_password": "wrong-password", "topic": "any"})
    with pytest.raises((Fault, OSError)) as caught:
        await connector.open(tmp_path)
    assert "wrong-password" not in str(caught.value)


async def test_a_broker_that_is_not_there_may_pass(tmp_path):
    with pytest.raises(OSError, match=r"127\.0\.0\.1:1"):
        await made(broker="127.0.0.1:1", topic="any").open(tmp_path)


async def test_certificates_that_cannot_be_read_are_a_fault(tmp_path):
    connector = made(broker="127.0.0.1:1", topic="any", tls=True, tls_ca=str(tmp_path / "none.pem"))
    with pytest.raises(Fault, match="certificates of output out cannot be used"):
        await connector.open(tmp_path)


def test_settings_that_do_not_go_together():
    with pytest.raises(UsageError, match="not who logs in"):
        made(broker="x:1", topic="t", sasl_mechanism="PLAIN", sasl_username=USER)
    with pytest.raises(UsageError, match="tls is not"):
        made(broker="x:1", topic="t", tls_ca="ca.pem")
