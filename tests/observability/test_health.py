"""What a worker answers over HTTP about itself."""

import asyncio
import socket
import time
from http import HTTPStatus

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge

from cdp_stream.errors import UsageError
from cdp_stream.kafka.clients.probe import free_port
from cdp_stream.observability import health
from cdp_stream.observability.health import (
    MOST_BYTES,
    MOST_CONNECTIONS,
    STUCK_AFTER_S,
    Health,
    serve,
)

NOT_READY = {"ready": False, "stopping": False, "broker": True}


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
        HTTPStatus.SERVICE_UNAVAILABLE, NOT_READY | {"stopping": True},
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
    reports = {"/backfill": lambda: {"audiences": []}}
    server = serve("127.0.0.1", port, registry, worker.health, reports)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            assert "cdp_test 7.0" in client.get("/metrics").text
            assert client.get("/healthz").json() == {"live": True}
            answer = client.get("/readyz?verbose")
            assert (answer.status_code, answer.json()) == (503, NOT_READY)
            assert client.get("/backfill").json() == {"audiences": []}
            nowhere = client.get("/")
            assert nowhere.status_code == 404
            assert "/backfill" in nowhere.json()["paths"]
        with pytest.raises(UsageError, match=f"port {port}"):
            serve("127.0.0.1", port, registry, worker.health)
    finally:
        server.shutdown()
        server.server_close()


def test_it_is_ready_only_while_the_sinks_beside_it_run_and_live_without_them():
    up = [False]
    health = Health(lambda: True, sinks=lambda: up[0])
    assert health.answer("/readyz") == (
        HTTPStatus.SERVICE_UNAVAILABLE,
        NOT_READY | {"sinks": False},
    )
    assert health.answer("/healthz") == (HTTPStatus.OK, {"live": True})
    up[0] = True
    assert health.is_ready


def test_it_is_not_ready_while_the_broker_is_lost_but_live():
    lost = [True]
    health = Health(lambda: True, broker_lost=lambda: lost[0])
    assert health.answer("/readyz") == (
        HTTPStatus.SERVICE_UNAVAILABLE, NOT_READY | {"broker": False},
    )  # fmt: skip
    assert health.answer("/healthz") == (HTTPStatus.OK, {"live": True})
    lost[0] = False
    assert health.is_ready


@pytest.fixture
def served(worker, monkeypatch):
    """A server that is patient for half a second, and how to connect to it."""
    monkeypatch.setattr(health, "PATIENCE_S", 0.5)
    server = serve("127.0.0.1", 0, CollectorRegistry(), worker.health)
    connections = []

    def connect():
        connections.append(socket.create_connection(server.server_address, timeout=10))
        return connections[-1]

    yield connect
    for one in connections:
        one.close()
    server.shutdown()
    server.server_close()


def answer_of(connection):
    told = b""
    while part := connection.recv(4096):
        told += part
    return told


def test_who_sends_nothing_or_slowly_is_hung_up_on(served):
    silent, slow, began = served(), served(), time.monotonic()
    slow.sendall(b"GET /healthz HTTP/1.1\r\n")
    slow.settimeout(0.1)
    while True:
        try:
            slow.sendall(b"a: b\r\n")
            assert slow.recv(1) == b""
        except TimeoutError:
            continue
        except OSError:
            pass
        break
    assert answer_of(silent) == b""
    assert 0.4 < time.monotonic() - began < 5


def test_a_request_has_so_many_bytes_at_most(served):
    large = served()
    line = b"a: " + b"b" * 1000 + b"\r\n"
    large.sendall(b"GET /healthz HTTP/1.1\r\n" + line * (MOST_BYTES // len(line) + 1))
    assert answer_of(large).startswith(b"HTTP/1.0 431 ")
    endless = served()
    endless.sendall(b"GET /" + b"a" * MOST_BYTES)
    assert answer_of(endless) == b""


def test_whoever_waits_in_vain_keeps_nobody_out(served, monkeypatch):
    monkeypatch.setattr(health, "PATIENCE_S", 60.0)
    idle = [served() for _ in range(2 * MOST_CONNECTIONS)]
    asks = served()
    asks.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert answer_of(asks).startswith(b"HTTP/1.0 200 ")
    # The oldest had to go; of the newest as many as there may be are still there.
    assert answer_of(idle[0]) == b""
    idle[-1].sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert answer_of(idle[-1]).startswith(b"HTTP/1.0 200 ")


def test_it_is_served_on_the_address_asked_for(worker):
    with pytest.raises(UsageError, match=r"on nowhere\.invalid port .*--metrics-host"):
        serve("nowhere.invalid", 0, CollectorRegistry(), worker.health)
    server = serve("::", 0, CollectorRegistry(), worker.health)
    try:
        port = server.server_address[1]
        for host in ("127.0.0.1", "[::1]"):
            with httpx.Client(base_url=f"http://{host}:{port}", trust_env=False) as client:
                assert client.get("/healthz").json() == {"live": True}
    finally:
        server.shutdown()
        server.server_close()
