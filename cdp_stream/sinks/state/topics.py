"""The two topics of shared state, opened together: followed, with a producer that writes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiokafka import AIOKafkaProducer

from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.commit.record_writer import MAX_BATCH_BYTES, MOST_DELIVERING
from cdp_stream.settings import Settings
from cdp_stream.sinks.state.faults import Faults
from cdp_stream.sinks.state.followed_topic import FollowedTopic
from cdp_stream.sinks.state.records import fault_problem, state_problem
from cdp_stream.sinks.state.sink_state import SinkState

__all__ = ["state_topics"]


@asynccontextmanager
async def state_topics(
    settings: Settings,
) -> AsyncIterator[tuple[Faults, SinkState, AIOKafkaProducer]]:
    """Faults and state as they are now, followed from here on, and the producer that writes them.

    Raises:
        KafkaError: They cannot be read.
    """
    client = client_settings(settings)
    async with AsyncExitStack() as stack:
        producer = AIOKafkaProducer(
            **client, acks="all", max_batch_size=MAX_BATCH_BYTES, linger_ms=0,
            max_request_size=MOST_DELIVERING,  # whether a record is too large its topic decides
        )  # fmt: skip
        await producer.start()
        stack.push_async_callback(producer.stop)
        topics = []
        for suffix, check in (("faults", fault_problem), ("sink-state", state_problem)):
            topic = FollowedTopic(client, settings.topic(suffix), producer, check=check)
            stack.push_async_callback(topic.stop)
            await topic.start()
            topics.append(topic)
        yield Faults(topics[0]), SinkState(topics[1]), producer
