"""What a client's connection knows of its broker, and no public call shows.

For aiokafka 0.14.0, whose consumer knows the partitions of a topic only once it has subscribed to
it, and whose client keeps the broker's list of requests to itself. Unnecessary once the consumer
asks the broker in ``partitions_for_topic``, and the client shows the versions it agreed on.
"""

from collections.abc import Container

from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

__all__ = ["known_requests", "partitions_of"]


async def partitions_of(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    """Ask a broker for the partitions of a topic; none where there is no such topic."""
    await consumer._client.force_metadata_update()
    metadata = await consumer._client.fetch_all_metadata()
    found: set[int] = metadata.partitions_for_topic(topic) or set()
    return found


async def known_requests(client: AIOKafkaClient) -> Container[int]:
    """The API keys of the requests that one broker knows.

    Raises:
        KafkaError: It cannot be connected to.
    """
    connection = await client._get_conn(client.get_random_node())
    if connection is None:
        raise KafkaError("no connection")
    versions: Container[int] = connection._versions
    return versions
