"""One worker on the embedded broker: what a newcomer runs, and the quick test of the whole path."""

import signal

import pytest

from cdp_stream.settings import Settings
from tests.topologies.running import PARTITIONS, ended, eventually, running

pytestmark = pytest.mark.embedded


@pytest.fixture
def ran(embedded_broker, topic_prefix, tmp_path):
    settings = Settings(broker=embedded_broker, prefix=topic_prefix, clock="stream")
    with running(settings, tmp_path) as r:
        yield r


async def test_one_worker_stops_and_goes_on_where_it_was(ran):
    await ran.create_topics()
    records = [(n % PARTITIONS, b"key-%d" % (n % 40), b"%d" % n) for n in range(4_000)]
    await ran.produce(records[:2_000], timestamp_ms=1_000)
    worker = ran.start_worker()
    await eventually(lambda: ran.caught_up(2_000))
    worker.send_signal(signal.SIGTERM)
    assert await ended(worker, within=10) == 0
    await ran.produce(records[2_000:], timestamp_ms=2_000)
    await ran.produce([(n, None, b"") for n in range(PARTITIONS)], headers=[("time", b"9000")])
    again = ran.start_worker()
    await eventually(lambda: ran.caught_up(4_000 + PARTITIONS))
    values = await ran.values()
    assert set(values.values()) == {1}
    assert len(values) == 4_000
    assert {value.split(b":")[0] for _, value in values} == {b"%d" % n for n in range(1, 101)}
    assert again.poll() is None
