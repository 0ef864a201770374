"""How much a consumer asks for, and how long a broker may wait, changed while it runs.

For aiokafka 0.14.0, which reads these settings once, as its consumer is created; Faust 0.15.3
creates it, with a wait of 1,500 ms and, outside its own exactly-once, ``read_uncommitted``.
Unnecessary once Faust accepts these settings, and a running consumer accepts new fetch limits.
"""

from aiokafka import AIOKafkaConsumer

__all__ = ["limit_fetches", "set_up_fetches"]

_FETCH_MAX_WAIT_MS = 100
"""A longer poll on idle partitions would delay the only fetch in flight to their broker."""


def set_up_fetches(consumer: AIOKafkaConsumer, total_bytes: int) -> None:
    """Let a consumer fetch committed records only, and at most so many bytes of a broker at a time;
    call before it is started.
    """
    consumer._fetch_max_wait_ms = _FETCH_MAX_WAIT_MS
    consumer._fetch_max_bytes = total_bytes
    # Records of aborted transactions must become neither events nor rows.
    consumer._isolation_level = "read_committed"


def limit_fetches(consumer: AIOKafkaConsumer, partition_bytes: int, total_bytes: int) -> None:
    """From the next fetch on, limit the bytes of a partition, and of a broker."""
    fetcher = consumer._fetcher
    fetcher._max_partition_fetch_bytes, fetcher._fetch_max_bytes = partition_bytes, total_bytes
