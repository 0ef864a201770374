"""What a worker answers over HTTP about itself."""

import asyncio
from http import HTTPStatus

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge

from cdp_stream.errors import UsageError
from cdp_stream.kafka.health import STUCK_AFTER_S, Health, serve
from cdp_stream.kafka.probe import free_port


class Worker:
    """What health is asked of."""

    def __init__(self):
        self.now = 1_000.0
        self.recovered = False
        self.health = Health(lambda: self.recovered, lambda: self.now)


@pytest.fixture
def worker():
    return Worker()


def status(worker, path):
    answer = worker.health.answer(path)
    assert answer is not None
    return answer[0]


def test_it_is_live_from_the_start_and_ready_only_when_recovered(worker):
    assert status(worker, "/healthz") == HTTPStatus.OK
    assert status(worker, "/readyz") == HTTPStatus.SERVICE_UNAVAILABLE
    worker.recovered = True
    assert status(worker, "/readyz") == HTTPStatus.OK


def test_it_is_ready_no_more_as_it_stops_but_live_until_it_has(worker):
    worker.recovered = True
    worker.health.stopping()
    assert worker.health.answer("/readyz") == (
        HTTPStatus.SERVICE_UNAVAILABLE, {"ready": False, "stopping": True},
    )  # fmt: skip
    assert status(worker, "/healthz") == HTTPStatus.OK


async def test_a_loop_that_hangs_is_neither_live_nor_ready_and_one_that_turns_again_is(worker):
    worker.recovered = True
    worker.now += STUCK_AFTER_S
    assert status(worker, "/healthz") == HTTPStatus.SERVICE_UNAVAILABLE
    assert status(worker, "/readyz") == HTTPStatus.SERVICE_UNAVAILABLE
    beat = asyncio.create_task(worker.health.beat())
    await asyncio.sleep(0)
    beat.cancel()
    assert status(worker, "/healthz") == HTTPStatus.OK
    assert status(worker, "/readyz") == HTTPStatus.OK


def test_metrics_and_health_are_served_on_one_port(worker):
    registry, port = CollectorRegistry(), free_port()
    Gauge("cdp_test", "A test", registry=registry).set(7)
    server = serve(port, registry, worker.health, {"/backfill": lambda: {"audiences": []}})
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            assert "cdp_test 7.0" in client.get("/metrics").text
            assert client.get("/healthz").json() == {"live": True}
            answer = client.get("/readyz?verbose")
            assert (answer.status_code, answer.json()) == (503, {"ready": False, "stopping": False})
            assert client.get("/backfill").json() == {"audiences": []}
            nowhere = client.get("/")
            assert nowhere.status_code == 404
            assert "/backfill" in nowhere.json()["paths"]
        with pytest.raises(UsageError, match=f"port {port}"):
            serve(port, registry, worker.health)
    finally:
        server.shutdown()
        server.server_close()


def test_it_is_ready_only_while_the_sinks_beside_it_run_and_live_without_them():
    up = [False]
    health = Health(lambda: True, sinks=lambda: up[0])
    assert health.answer("/readyz") == (
        HTTPStatus.SERVICE_UNAVAILABLE,
        {"ready": False, "stopping": False, "sinks": False},
    )
    assert health.answer("/healthz") == (HTTPStatus.OK, {"live": True})
    up[0] = True
    assert health.is_ready
