"""Which topic of which cluster this is, beyond its name.

A topic that was deleted and created again has another id, and the same name in another cluster is
another topic. Version 10 of the metadata request returns the id (Apache Kafka since 2.8); for
an older broker the cluster's id has to do, and for one without that the name.
"""

import asyncio
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v2
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from cdp_stream.errors import BrokerError

__all__ = ["read_topic_identity"]

_ASK_S = 30.0


class _Uuid(AbstractType[bytes]):
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


class MetadataResponse_v10(Response):  # noqa: N801 - named as in aiokafka
    """The answer: brokers, the cluster's id, topics with theirs."""

    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(
            ("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), _TAGS,
        )),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        ("topics", CompactArray(
            ("error_code", Int16), ("topic", _TEXT), ("topic_id", _Uuid), ("is_internal", Boolean),
            ("partitions", CompactArray(
                ("error_code", Int16), ("partition", Int32), ("leader", Int32),
                ("leader_epoch", Int32), ("replicas", CompactArray(Int32)),
                ("isr", CompactArray(Int32)), ("offline_replicas", CompactArray(Int32)), _TAGS,
            )),
            ("authorized_operations", Int32),
            _TAGS,
        )),
        ("authorized_operations", Int32),
        _TAGS,
    )  # fmt: skip


class MetadataRequest_v10(RequestStruct):  # noqa: N801 - named as in aiokafka
    """The question, in Kafka's compact encoding."""

    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = MetadataResponse_v10
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("topic", _TEXT), _TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )  # fmt: skip


class _Identity(Request[MetadataRequest_v2 | MetadataRequest_v10]):
    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: Any) -> Any:
        if request_struct_class is MetadataRequest_v2:
            return request_struct_class([self._topic])
        return request_struct_class([(bytes(16), self._topic, {})], False, False, False, {})


async def read_topic_identity(client: Mapping[str, Any], topic: str) -> tuple[str, str]:
    """The id of the cluster, and that of a topic; each empty where the broker has none.

    Raises:
        BrokerError: The broker does not answer.
    """
    asking = AIOKafkaClient(**client)
    try:
        async with asyncio.timeout(_ASK_S):
            await asking.bootstrap()
            answer: Any = await asking.send(asking.get_random_node(), _Identity(topic))
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerError(
            f"the broker does not describe {topic}: {error!r}", "check that it is up"
        ) from error
    finally:
        await asking.close()
    topics = answer.to_object()["topics"]
    topic_id = next((found.get("topic_id") or b"" for found in topics), b"")
    return answer.cluster_id or "", topic_id.hex() if any(topic_id) else ""
