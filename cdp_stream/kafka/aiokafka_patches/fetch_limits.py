"""How much a consumer asks for, and how long a broker may wait, changed while it runs.

For aiokafka 0.14.0, which reads these settings once, as its consumer is made; Faust 0.15.3 makes
it, with a wait of 1,500 ms and, outside its own exactly-once, ``read_uncommitted``. Unnecessary
once Faust takes these settings, and aiokafka takes new fetch limits from a running consumer.
"""

from aiokafka import AIOKafkaConsumer

__all__ = ["limit_fetches", "set_up_fetches"]

_FETCH_MAX_WAIT_MS = 100
"""A longer poll on idle partitions would hold up the only fetch in flight to their broker."""


def set_up_fetches(consumer: AIOKafkaConsumer, total_bytes: int) -> None:
    """Let a consumer ask for committed records only, at most so many bytes of a broker at a time;
    call before it is started.
    """
    consumer._fetch_max_wait_ms = _FETCH_MAX_WAIT_MS
    consumer._fetch_max_bytes = total_bytes
    # Aborted transactions must come back neither as events nor as rows.
    consumer._isolation_level = "read_committed"


def limit_fetches(consumer: AIOKafkaConsumer, partition_bytes: int, total_bytes: int) -> None:
    """From the next fetch on, ask for no more than this of a partition, and of a broker."""
    fetcher = consumer._fetcher
    fetcher._max_partition_fetch_bytes, fetcher._fetch_max_bytes = partition_bytes, total_bytes
