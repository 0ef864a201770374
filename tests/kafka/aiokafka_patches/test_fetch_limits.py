"""Fetch limits reach the requests of a consumer, before it is started and while it runs."""

import inspect

import aiokafka
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from faust.transport.drivers import aiokafka as driver

from cdp_stream.kafka.aiokafka_patches.fetch_limits import limit_fetches, set_up_fetches


async def test_the_settings_of_a_consumer_reach_the_fetcher_that_it_makes():
    consumer = AIOKafkaConsumer()
    set_up_fetches(consumer, 1_000)
    started = inspect.getsource(aiokafka.AIOKafkaConsumer.start)
    for name, value in (
        ("fetch_max_wait_ms", 100), ("fetch_max_bytes", 1_000),
        ("isolation_level", "read_committed"),
    ):  # fmt: skip
        assert getattr(consumer, f"_{name}") == value
        assert f"{name}=self._{name}" in started
    await consumer.stop()


async def test_the_next_fetch_asks_for_no_more_than_the_new_limits():
    consumer = AIOKafkaConsumer()
    consumer._fetcher = fetcher.Fetcher(consumer._client, consumer._subscription)
    limit_fetches(consumer, 100, 1_000)
    made = inspect.getsource(fetcher.Fetcher)
    for name, value in (("max_partition_fetch_bytes", 100), ("fetch_max_bytes", 1_000)):
        assert getattr(consumer._fetcher, f"_{name}") == value
        assert f"self._{name}" in made.split("def _get_actions_per_node", 1)[1]
    await consumer._fetcher.close()
    await consumer.stop()


def test_faust_would_wait_longer():
    assert "fetch_max_wait_ms=1500" in inspect.getsource(
        driver.AIOKafkaConsumerThread._create_worker_consumer
    )
