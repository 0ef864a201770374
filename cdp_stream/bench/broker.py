"""The Apache Kafka that is measured against."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cdp_stream.kafka.apache import ApacheKafka, resolve_jars


@contextmanager
def kafka_at(broker: str | None) -> Iterator[str]:
    """The address of one: that which was named, or one that is started from its jars and stopped
    at the end.

    Raises:
        BrokerError: there is no Kafka to be had.
    """
    if broker is not None:
        yield broker
        return
    with ApacheKafka(resolve_jars()) as kafka:
        yield kafka.bootstrap
