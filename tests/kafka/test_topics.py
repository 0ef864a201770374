"""Topics are made right, and what does not fit is refused in words that help."""

import json
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import InvalidTimestampError

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.clients import admin
from cdp_stream.kafka.topics import ensure
from cdp_stream.kafka.topics.ensure import (
    ensure_output_topics,
    ensure_topics,
    warn_of_future_records,
)
from cdp_stream.observability.log import set_up_logging
from cdp_stream.settings import Settings
from cdp_stream.wall_clock import wall_ms
from tests.brokers.fixtures import EITHER

ALL = {"events", "memberships", "membership-state", "rejected", "profiles-changelog"}


@pytest.fixture
async def settings(request, topic_prefix):
    return Settings(broker=request.getfixturevalue(request.param), prefix=topic_prefix)


async def create(settings, suffix, partitions, **configs):
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
    await admin.start()
    try:
        topic = NewTopic(settings.topic(suffix), partitions, 1, topic_configs=configs)
        await admin.create_topics([topic])
    finally:
        await admin.close()


async def counts(settings, suffixes=ALL):
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
    await admin.start()
    try:
        found = await admin.describe_topics([settings.topic(suffix) for suffix in suffixes])
    finally:
        await admin.close()
    return {t["topic"].removeprefix(settings.prefix + "."): len(t["partitions"]) for t in found}


@pytest.mark.parametrize("settings", EITHER, indirect=True)
async def test_missing_topics_are_made_and_found_again(settings):
    assert await ensure_topics(settings) == 4
    assert await counts(settings) == dict.fromkeys(ALL, 4)
    assert await ensure_topics(settings) == 4


@pytest.mark.parametrize("settings", EITHER, indirect=True)
async def test_the_others_get_as_many_partitions_as_the_input_has(settings):
    await create(settings, "events", 7)
    assert await ensure_topics(settings) == 7
    assert await counts(settings) == dict.fromkeys(ALL, 7)


@pytest.mark.parametrize("settings", EITHER, indirect=True)
async def test_another_partition_count_is_refused(settings):
    await create(settings, "events", 3)
    await create(settings, "memberships", 2)
    with pytest.raises(BrokerError) as caught:
        await ensure_topics(settings)
    prefix = settings.prefix
    assert str(caught.value) == (
        f"{prefix}.memberships has 2 partitions, but {prefix}.events has 3; "
        "if cdp repartition was interrupted, run it again with the same --partitions; else "
        f"give {prefix}.memberships 3 partitions, or start afresh with another --prefix"
    )


@pytest.mark.parametrize("settings", EITHER[:1], indirect=True)
async def test_another_cleanup_policy_is_refused(settings):
    await create(settings, "profiles-changelog", 4, **{"cleanup.policy": "delete"})
    with pytest.raises(BrokerError) as caught:
        await ensure_topics(settings)
    name = f"{settings.prefix}.profiles-changelog"
    assert str(caught.value) == (
        f"{name} has cleanup.policy=delete, but must have compact; "
        f"kafka-configs --alter --topic {name} --add-config cleanup.policy=compact"
    )


@pytest.mark.parametrize("settings", EITHER[:1], indirect=True)
async def test_the_input_takes_no_records_that_are_far_ahead_of_the_clock(settings, capsys):
    set_up_logging("info", "json")
    await ensure_topics(settings)
    await warn_of_future_records(settings)
    assert "topic_accepts_future_records" not in capsys.readouterr().err
    producer = AIOKafkaProducer(bootstrap_servers=settings.brokers)
    await producer.start()
    try:
        with pytest.raises(InvalidTimestampError):
            await producer.send_and_wait(
                settings.topic("events"), b"{}", b"7", timestamp_ms=wall_ms() + 2 * 3_600_000
            )
    finally:
        await producer.stop()


@pytest.mark.parametrize("settings", EITHER[:1], indirect=True)
async def test_an_input_that_takes_them_is_a_fact_in_the_log(settings, capsys):
    set_up_logging("info", "json")
    await create(settings, "events", 2, **{"message.timestamp.after.max.ms": "86400000"})
    await ensure_topics(settings)
    await warn_of_future_records(settings)
    *_made, line = capsys.readouterr().err.splitlines()
    fact, name = json.loads(line), f"{settings.prefix}.events"
    assert (fact["fact"], fact["level"], fact["topic"]) == (
        "topic_accepts_future_records", "warning", name,
    )  # fmt: skip
    assert fact["next"] == (
        f"kafka-configs --alter --topic {name} --add-config message.timestamp.after.max.ms=3600000"
    )


@pytest.mark.parametrize("settings", EITHER[:1], indirect=True)
async def test_a_setting_that_the_broker_does_not_know_is_done_without(settings, monkeypatch):
    """As with Kafka before 3.6, which does not know the one that we want."""
    newer = replace(ensure.TOPICS[0], where_known={"message.timestamp.of.the.next.release": "1"})
    monkeypatch.setattr(ensure, "_INPUT", (newer,))
    assert await ensure_topics(settings) == 4
    assert await counts(settings) == dict.fromkeys(ALL, 4)


@pytest.mark.parametrize("settings", EITHER, indirect=True)
async def test_what_is_wrong_with_the_topics_of_one_output_is_told_of_it_alone(settings):
    await ensure_topics(settings)
    await create(settings, "output.few.rejected", 1)
    await create(settings, "output.many", 5)
    wrong = await ensure_output_topics(settings, ["few", "fine", "many"])
    prefix = settings.prefix
    assert {output: str(error) for output, error in wrong.items()} == {
        "few": f"{prefix}.output.few.rejected has 1 partition, but {prefix}.events has 4; "
        f"kafka-topics --alter --topic {prefix}.output.few.rejected --partitions 4, "
        "then resume output few",
        "many": f"{prefix}.output.many has 5 partitions, but {prefix}.events has 4; "
        f"check that nothing in {prefix}.output.many is needed any more, delete it (it is created "
        f"again), then resume output many",
    }
    made = {"output.few", "output.fine", "output.fine.rejected", "output.many.rejected"}
    assert await counts(settings, made) == dict.fromkeys(made, 4)
    assert await ensure_output_topics(settings, ["fine"]) == {}


@pytest.mark.parametrize("settings", EITHER[:1], indirect=True)
async def test_an_output_whose_topic_is_cleaned_otherwise_or_cannot_be_made_is_told(settings):
    await ensure_topics(settings)
    await create(settings, "output.kept", 4, **{"cleanup.policy": "compact"})
    endless = "e" * 249
    wrong = await ensure_output_topics(settings, ["kept", endless, "fine"])
    name = f"{settings.prefix}.output.kept"
    assert str(wrong.pop("kept")) == (
        f"{name} has cleanup.policy=compact, but must have delete; kafka-configs --alter "
        f"--topic {name} --add-config cleanup.policy=delete, then resume output kept"
    )
    assert f"output.{endless} cannot be created: " in str(wrong.pop(endless))
    assert not wrong
    assert list(await ensure_output_topics(settings, [endless])) == [endless]


async def test_a_broker_that_does_not_answer_is_told_with_what_to_do(unused_tcp_port):
    with pytest.raises(BrokerError) as caught:
        await ensure_topics(Settings(broker=f"127.0.0.1:{unused_tcp_port}"))
    assert str(caught.value).startswith(f"no Kafka broker answers at 127.0.0.1:{unused_tcp_port};")
    assert caught.value.exit_code == 3


class WithoutController(AIOKafkaAdminClient):
    """A client that is connected to a cluster which does not come to a decision."""

    async def start(self):
        pass

    async def describe_topics(self, topics=None):
        raise TimeoutError


async def test_a_broker_that_takes_too_long_is_told_too(monkeypatch):
    monkeypatch.setattr(admin, "AIOKafkaAdminClient", WithoutController)
    with pytest.raises(BrokerError, match="the broker at b:9 did not show"):
        await ensure_topics(Settings(broker="b:9"))
