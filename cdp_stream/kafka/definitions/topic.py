"""The topic of applied definitions: what it contains, and how a version is published.

It has one partition, and a record for each version, whose number is one above that of the last one.
The first record that the topic still has of an account may have any number, as compaction removes
older ones; after it a reader accepts a record only if its number is the next one. So of two with
the same number the first counts, and one that skips numbers, which `cdp apply` never writes, is
ignored.

Publishing is a transaction where the broker has them: its producer starts before the topic is read,
which ends the transaction of an earlier publisher, so only one of two at a time succeeds. Elsewhere
the topic is read again afterwards.
"""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced

from cdp_stream.errors import BrokerError
from cdp_stream.formats.definitions_record import (
    DefinitionFile,
    DefinitionsRecord,
    decode_record,
    encode_record,
)
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.commit.guarantee import why_no_transactions
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.observability.log import log
from cdp_stream.settings import Settings

__all__ = [
    "MAX_BYTES",
    "Applied",
    "AppliedElsewhereError",
    "applied_of",
    "publish",
    "read_applied",
    "skips",
]

MAX_BYTES = 15 * 1024 * 1024
"""The most bytes of one version; the topic accepts a little more."""


class AppliedElsewhereError(BrokerError):
    """Somebody else has applied definitions in the meantime."""


@dataclass(frozen=True, slots=True)
class Applied:
    """One applied version.

    Attributes:
        account: The account's id, which is the record's key.
        record: Its contents.
        time: Of the record, epoch ms.
        offset: Of the record.
    """

    account: str
    record: DefinitionsRecord
    time: int
    offset: int


def applied_of(records: Sequence[Any], newest: int) -> list[Applied]:
    """The versions in records of the topic, in order, each the one after the last.

    A record that has no version, or not the next one, is logged and skipped.

    Args:
        records: As aiokafka decoded them.
        newest: The version before them; 0 where the topic begins with them.
    """
    found: list[Applied] = []
    from_beginning, seen = newest == 0, set[str]()
    for record in records:
        try:
            one = _applied(record)
        except ValueError as error:
            log("definitions_record_invalid", level=logging.ERROR, offset=record.offset,
                reason=str(error), next="apply the definitions again; those before stay in force",
            )  # fmt: skip
            continue
        version = one.record.version
        may_skip = from_beginning and one.account not in seen and version > newest
        seen.add(one.account)
        if version == newest + 1 or may_skip:
            newest = version
            found.append(one)
        else:
            log("definitions_version_refused", level=logging.ERROR, offset=record.offset,
                version=version, wanted=newest + 1,
                next="nothing, if two applied at once; else check who writes to the topic",
            )  # fmt: skip
    return found


def skips(records: Sequence[Any], newest: int) -> bool:
    """Whether versions are missing between these records and the newest that was read.

    Compaction may have removed them before they were read; the topic's first record shows that.
    """
    for record in records:
        with contextlib.suppress(ValueError):
            version = _applied(record).record.version
            if version > newest + 1:
                return True
            newest = max(newest, version)
    return False


def _applied(record: Any) -> Applied:
    account = (record.key or b"").decode()
    return Applied(account, decode_record(record.value), record.timestamp, record.offset)


async def read_applied(client: Mapping[str, Any], topic: str) -> list[Applied]:
    """All versions that the topic still has, the newest last.

    Raises:
        BrokerError: The broker sent nothing for two minutes.
    """
    records: list[Any] = []
    await read_to_end(client, topic, [0], lambda _partition, some: records.extend(some))
    return applied_of(records, 0)


async def publish(
    settings: Settings, account: str, files: Sequence[DefinitionFile], *, after: int
) -> int:
    """Write one more version.

    Args:
        settings: Where, and how to connect.
        account: The account's id.
        files: All of its definition files.
        after: The newest version that the caller knows of, 0 for none.

    Returns:
        The version written.

    Raises:
        AppliedElsewhereError: There is a newer one already, or another ``cdp apply`` came between.
        BrokerError: The broker refuses it.
    """
    client, topic = client_settings(settings), settings.topic("definitions")
    value, key = encode_record(after + 1, files), account.encode()
    transactional = not await why_no_transactions(settings)
    producer = AIOKafkaProducer(
        **client,
        transactional_id=f"{settings.group_id}-definitions" if transactional else None,
        acks="all",
        max_request_size=MAX_BYTES + 1024 * 1024,
    )
    try:
        await producer.start()
        await _check_newest(client, topic, after)
        if transactional:
            async with producer.transaction():
                await producer.send_and_wait(topic, value, key=key, partition=0)
            return after + 1
        sent = await producer.send_and_wait(topic, value, key=key, partition=0)
        first = next(
            one for one in await read_applied(client, topic) if one.record.version == after + 1
        )
        if first.offset != sent.offset:
            raise _applied_elsewhere(after + 1)
        return after + 1
    except ProducerFenced as error:
        raise _applied_elsewhere(after + 1) from error
    except KafkaError as error:
        raise BrokerError(
            f"the broker refused the definitions: {error or type(error).__name__}",
            f"see its log, and whether {topic} may contain records of {len(value):,} bytes",
        ) from error
    finally:
        await producer.stop()


async def _check_newest(client: Mapping[str, Any], topic: str, after: int) -> None:
    applied = await read_applied(client, topic)
    if applied and applied[-1].record.version > after:
        raise _applied_elsewhere(applied[-1].record.version)


def _applied_elsewhere(version: int) -> AppliedElsewhereError:
    return AppliedElsewhereError(
        f"somebody else has applied definitions in the meantime: version {version} is not this one",
        "nothing was written: run it again to see what would change now",
    )
