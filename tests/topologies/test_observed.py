"""What a running worker says of itself: when it is ready, and how far behind now it is."""

import httpx
import pytest

from cdp_stream.kafka.clients.probe import free_port
from cdp_stream.settings import Settings
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.replays import FIRST
from tests.topologies.running import PARTITIONS, eventually, running, stop, workers_on

pytestmark = pytest.mark.embedded


ran = workers_on("embedded_broker", clock="wall")


def values(text, name):
    """The samples of a metric, by the text of their labels."""
    lines = [line for line in text.splitlines() if line.startswith(name)]
    found = {line.rpartition(" ")[0].removeprefix(name): line.rpartition(" ")[2] for line in lines}
    return {labels: float(value) for labels, value in found.items()}


async def test_a_worker_is_ready_when_it_has_its_partitions_and_tells_how_fresh_they_are(ran):
    await ran.create_topics()
    await ran.produce([(n % PARTITIONS, b"key-%d" % n, b"value") for n in range(200)])
    port = free_port()
    worker = ran.start_worker(metrics_port=port, store="memory")
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10
    ) as client:

        async def answers(path, status):
            try:
                return (await client.get(path)).status_code == status
            except httpx.TransportError:
                return False

        await eventually(lambda: answers("/readyz", 200))
        assert (await client.get("/healthz")).json() == {"live": True}
        await eventually(lambda: ran.caught_up(200))

        async def is_told():
            told = (await client.get("/metrics")).text
            fresh = values(told, "cdp_partition_freshness_seconds{")
            return len(fresh) == PARTITIONS and all(0 <= age < 5 for age in fresh.values())

        await eventually(is_told)
        told = (await client.get("/metrics")).text
        assert values(told, "cdp_ready") == {"": 1}
        assert values(told, "cdp_partitions_held") == {"": PARTITIONS}
        assert values(told, "cdp_input_partitions") == {"": PARTITIONS}
        assert sum(values(told, "cdp_input_records_total{").values()) == 200
        assert set(values(told, "cdp_input_lag_records{").values()) == {0}
        assert values(told, "cdp_changelog_rows_total")[""] >= 200
        (info,) = values(told, "cdp_worker_info{")
        assert 'guarantee="at-least-once"' in info  # the embedded broker has no transactions
    await stop(worker)


async def test_a_worker_that_waits_for_definitions_is_live_and_not_ready(
    embedded_broker, topic_prefix, tmp_path
):
    settings = Settings(broker=embedded_broker, prefix=topic_prefix, guarantee="at-least-once")
    port = free_port()
    with running(settings, tmp_path, kind=CdpRunning) as ran:
        worker = ran.start_cdp(None, CDP_METRICS_PORT=str(port))
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:

            async def answers(path, status):
                try:
                    return (await client.get(path)).status_code == status
                except httpx.TransportError:
                    return False

            await eventually(lambda: answers("/readyz", 503))
            assert (await client.get("/healthz")).json() == {"live": True}
            assert "cdp_ready 0.0" in (await client.get("/metrics")).text
            await ran.apply(FIRST, 1)
            await eventually(lambda: answers("/readyz", 200))
        await stop(worker)
