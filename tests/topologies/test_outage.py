"""A broker that is away: told once, not ready meanwhile, and few lines of the libraries."""

import os
import signal

import httpx
import pytest

from cdp_stream.brokers.apache import ApacheKafka, resolve_jars
from cdp_stream.kafka.clients.probe import free_port
from cdp_stream.settings import Settings
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.running import eventually, running, stop

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

DEFINITIONS = """version: 1
account: shop
workspaces:
  - {id: main, lookback: 30d, inputs: [{id: web, kind: platform}]}
audiences:
  - {id: visitors, criteria: {event: Visit, when: {last: 40m}}}
outputs:
  - {id: told, connector: log}
connections:
  - {audience: visitors, output: told}
"""
MOST_LINES = 20
"""Of two processes, whatever the outage; aiokafka alone says some three hundred a second."""


@pytest.fixture
def own_kafka():
    settings = {"group.min.session.timeout.ms": "1000"}
    with ApacheKafka(resolve_jars(), is_brief=True, settings=settings) as kafka:
        yield kafka


async def test_a_broker_that_is_away_is_one_fact_and_its_return_another(own_kafka, tmp_path):
    (tmp_path / "shop.yaml").write_text(DEFINITIONS)
    settings = Settings(broker=own_kafka.bootstrap, prefix="away")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    variables = {
        "CDP_METRICS_PORT": str(port),
        "CDP_SESSION_TIMEOUT": "2",
        "CDP_REBALANCE_TIMEOUT": "4",
    }
    with running(settings, tmp_path, kind=CdpRunning) as ran:
        worker = ran.start_cdp(tmp_path / "shop.yaml", **variables)
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:

            async def answers(status, broker):
                try:
                    answer = await client.get("/readyz")
                except httpx.TransportError:
                    return False
                return (answer.status_code, answer.json()["broker"]) == (status, broker)

            def reported():
                return [line["fact"] for line in ran.facts(worker)]

            await eventually(lambda: answers(200, True))

            async def goes_away(leave, come_back):
                before = len(reported())
                leave()
                await eventually(lambda: answers(503, False), within=60)
                assert (await client.get("/healthz")).status_code == 200
                assert len(reported()) - before < MOST_LINES
                come_back()
                await eventually(lambda: answers(200, True))
                both = [fact for fact in reported()[before:] if fact.startswith("broker_")]
                assert both == ["broker_lost", "broker_recovered"]
                assert len(reported()) - before < 2 * MOST_LINES

            await goes_away(
                lambda: os.kill(own_kafka.pid, signal.SIGSTOP),
                lambda: os.kill(own_kafka.pid, signal.SIGCONT),
            )
            await goes_away(own_kafka.kill, own_kafka.start)
        await stop(worker, within=15)
