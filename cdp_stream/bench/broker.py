"""The Apache Kafka that is measured against."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager

from cdp_stream.bench.live import keep_busy
from cdp_stream.brokers.apache import ApacheKafka, resolve_jars
from cdp_stream.settings import Settings

_WARM_S = 90
"""How long a broker from its jars works before it is measured. In its first minute at the reference
load it spends three quarters of its CPU on compiling itself, which the worker lacks."""


@contextmanager
def kafka_at(broker: str | None, *, warm: bool = False) -> Iterator[str]:
    """The address of one: that which was named, or one that is started from its jars and stopped
    at the end.

    Args:
        broker: its address.
        warm: whether one that is started works for a while first; one that is named has worked.

    Raises:
        BrokerError: no Kafka is available.
    """
    if broker is not None:
        yield broker
        return
    with ApacheKafka(resolve_jars()) as kafka:
        if warm:
            settings = Settings(broker=kafka.bootstrap, prefix=f"bench-{os.getpid()}-warm")
            asyncio.run(keep_busy(settings, _WARM_S))
        yield kafka.bootstrap
