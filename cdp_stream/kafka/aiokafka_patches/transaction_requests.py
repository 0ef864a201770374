"""Two requests of transactions in versions that aiokafka does not have.

For aiokafka 0.14.0, which has version 0 of both. Its request for offsets names the group alone, so
that a worker which the group has removed may still commit positions. Version 3 also names member
and generation, and the coordinator refuses any but the present one.

Its request for a producer id replaces any producer that has the transactional id. Version 3 also
names the producer id and the epoch that it succeeds, and the coordinator refuses it if another
producer has replaced that one since.

Every broker since Apache Kafka 2.5 knows both; an older one gets version 0. Unnecessary once
aiokafka sends version 3 of them, with a consumer's group metadata.
"""

from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.transaction import InitProducerIdRequest_v0, TxnOffsetCommitRequest_v0
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from cdp_stream.kafka.aiokafka_patches.group_member import GroupMembership

__all__ = ["NextEpoch", "OffsetsOfMember"]


_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


class TxnOffsetCommitResponse_v3(Response):  # noqa: N801 - named as in aiokafka
    """The answer: an error code per partition."""

    API_KEY = 28
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("errors", CompactArray(
            ("topic", _TEXT),
            ("partition_errors", CompactArray(
                ("partition", Int32), ("error_code", Int16), _TAGS,
            )),
            _TAGS,
        )),
        _TAGS,
    )  # fmt: skip


class TxnOffsetCommitRequest_v3(RequestStruct):  # noqa: N801 - named as in aiokafka
    """The question, in Kafka's compact encoding."""

    FLEXIBLE_VERSION = True
    API_KEY = 28
    API_VERSION = 3
    RESPONSE_TYPE = TxnOffsetCommitResponse_v3
    SCHEMA = Schema(
        ("transactional_id", _TEXT), ("group_id", _TEXT),
        ("producer_id", Int64), ("producer_epoch", Int16),
        ("generation_id", Int32), ("member_id", _TEXT), ("group_instance_id", _TEXT),
        ("topics", CompactArray(
            ("topic", _TEXT),
            ("partitions", CompactArray(
                ("partition", Int32), ("offset", Int64), ("leader_epoch", Int32),
                ("metadata", _TEXT), _TAGS,
            )),
            _TAGS,
        )),
        _TAGS,
    )  # fmt: skip


class OffsetsOfMember(Request[TxnOffsetCommitRequest_v0 | TxnOffsetCommitRequest_v3]):
    """Positions to commit in a transaction, with the member that commits them.

    Args:
        transactional_id: Of the transaction.
        producer: Producer id and epoch.
        member: The member that commits them.
        offsets: Topic, partition and next offset of each position.
    """

    API_KEY = 28

    def __init__(
        self,
        transactional_id: str,
        producer: tuple[int, int],
        member: GroupMembership,
        offsets: list[tuple[str, int, int]],
    ) -> None:
        self._transactional_id = transactional_id
        self._producer = producer
        self._member = member
        self._offsets = offsets

    def build(self, request_struct_class: Any) -> Any:
        """The request in the version that the broker knows."""
        member = self._member
        if request_struct_class is TxnOffsetCommitRequest_v0:
            topics: list[Any] = [(t, [(p, offset, "")]) for t, p, offset in self._offsets]
            return request_struct_class(
                self._transactional_id, member.group_id, *self._producer, topics
            )
        topics = [(t, [(p, offset, -1, "", {})], {}) for t, p, offset in self._offsets]
        return request_struct_class(
            self._transactional_id, member.group_id, *self._producer,
            member.generation, member.member_id, None, topics, {},
        )  # fmt: skip


class InitProducerIdResponse_v3(Response):  # noqa: N801 - named as in aiokafka
    """The answer: the producer id and its epoch."""

    API_KEY = 22
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32), ("error_code", Int16),
        ("producer_id", Int64), ("producer_epoch", Int16), _TAGS,
    )  # fmt: skip


class InitProducerIdRequest_v3(RequestStruct):  # noqa: N801 - named as in aiokafka
    """The question, in Kafka's compact encoding."""

    FLEXIBLE_VERSION = True
    API_KEY = 22
    API_VERSION = 3
    RESPONSE_TYPE = InitProducerIdResponse_v3
    SCHEMA = Schema(
        ("transactional_id", _TEXT), ("transaction_timeout_ms", Int32),
        ("producer_id", Int64), ("producer_epoch", Int16), _TAGS,
    )  # fmt: skip


class NextEpoch(Request[InitProducerIdRequest_v0 | InitProducerIdRequest_v3]):
    """The next epoch of a transactional id, unless another producer has it by now.

    Args:
        transactional_id: Whose epoch.
        transaction_timeout_ms: After so long the broker aborts a transaction.
        succeeded: Producer id and epoch that it follows.
    """

    API_KEY = 22

    def __init__(
        self, transactional_id: str, transaction_timeout_ms: int, succeeded: tuple[int, int]
    ) -> None:
        self._transactional_id = transactional_id
        self._transaction_timeout_ms = transaction_timeout_ms
        self._succeeded = succeeded

    def build(self, request_struct_class: Any) -> Any:
        """The request in the version that the broker knows."""
        base = self._transactional_id, self._transaction_timeout_ms
        if request_struct_class is InitProducerIdRequest_v0:
            return request_struct_class(*base)
        return request_struct_class(*base, *self._succeeded, {})
