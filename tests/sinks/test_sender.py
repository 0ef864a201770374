"""The shared sender against real servers on loopback that behave and misbehave."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import trustme
from aiohttp import web

from cdp_stream.connectors.exchange import Answer, Fault, Outcome, Request, TryAgain
from cdp_stream.sinks.http.cancellation import AbandonedError, Cancellation
from cdp_stream.sinks.http.pacing import Pace
from cdp_stream.sinks.http.secrets import Redaction
from cdp_stream.sinks.http.sender import Sender
from cdp_stream.sinks.http.transport import LARGEST_ANSWER, Transport
from cdp_stream.sinks.reporting.metrics import SinkMetrics
from cdp_stream.wall_clock import wall_ms
from tests.sinks.connectors import Listed, Post, PostSettings, Tokens, change

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OK = web.Response


@asynccontextmanager
async def server(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def sender(
    url: str,
    kind: type[Post] = Post,
    *,
    retry_for_s: float = 30.0,
    timeout_s: float = 5.0,
    allow_private: bool = True,
    context: ssl.SSLContext | None = None,
    now: Callable[[], float] = time.monotonic,
    wall_ms: Callable[[], int] = wall_ms,
    waits: list[float] | None = None,
    pace: Pace | None = None,
) -> AsyncIterator[Sender]:
    """A sender that draws the shortest pause each time."""
    settings = PostSettings(url=url, allow_private=allow_private)
    retried = [] if waits is None else waits
    transport = Transport(
        max_connections=10, timeout_s=timeout_s, allow_private=allow_private, context=context
    )
    metrics: Any = SimpleNamespace(
        attempted=lambda _seconds: None, retried=lambda: retried.append(now())
    )
    to = Sender(
        kind("out", settings),
        transport,
        pace=pace or Pace(None, now=now),
        retry_for_s=retry_for_s,
        redaction=Redaction(["a-secret-key"]),
        metrics=metrics,
        wall_ms=wall_ms,
        now=now,
        draw=lambda least, _most: least,
    )
    await to.open()
    try:
        yield to
    finally:
        await to.close()


def answers(*turns: web.Response | Handler) -> tuple[Handler, list[dict[str, Any]]]:
    """Each answer in turn, the last for ever, and what was asked."""
    asked: list[dict[str, Any]] = []
    left = list(turns)

    async def handle(request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked.append({"path": request.path, "headers": headers,
                      "body": await request.read(), "at": time.monotonic()})  # fmt: skip
        turn = left.pop(0) if len(left) > 1 else left[0]
        if not isinstance(turn, web.Response):
            return await turn(request)
        return web.Response(status=turn.status, body=turn.body, headers=turn.headers)

    return handle, asked


async def deliver(to: Sender) -> Outcome:
    return await to.deliver([change(1), change(2)], Cancellation())


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def garbage(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"\x16\x03\x01 what is this?\r\n\r\n")
    request.transport.close()
    return web.Response()


async def hang(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


async def trickle(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b".")
        await asyncio.sleep(0.05)


async def test_a_batch_goes_with_what_proves_who_we_are() -> None:
    handler, asked = answers(web.Response())
    async with server(handler) as port, sender(f"http://127.0.0.1:{port}") as to:
        assert await deliver(to) == Outcome()
    assert [one["headers"]["authorization"] for one in asked] == ["Bearer a-secret-key"]
    assert [c["id"] for c in json.loads(asked[0]["body"])] == ["a:7:1:0", "a:7:2:0"]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_what_passes_is_tried_again(status: int) -> None:
    handler, asked = answers(web.Response(status=status), web.Response(status=status),
                             web.Response())  # fmt: skip
    async with server(handler) as port, sender(f"http://127.0.0.1:{port}") as to:
        assert await deliver(to) == Outcome()
    assert len(asked) == 3
    assert {one["body"] for one in asked} == {asked[0]["body"]}


@pytest.mark.parametrize("trouble", [cut, garbage])
async def test_a_broken_connection_is_tried_again(trouble: Handler) -> None:
    handler, asked = answers(trouble, web.Response())
    async with server(handler) as port, sender(f"http://127.0.0.1:{port}") as to:
        assert await deliver(to) == Outcome()
    assert len(asked) == 2


@pytest.mark.parametrize("trouble", [hang, trickle])
async def test_an_answer_that_takes_too_long_is_given_up_and_asked_for_again(
    trouble: Handler,
) -> None:
    handler, asked = answers(trouble, web.Response())
    async with server(handler) as port, sender(f"http://127.0.0.1:{port}", timeout_s=0.3) as to:
        assert await deliver(to) == Outcome()
    assert len(asked) >= 2, "beside load a good answer may come too late as well"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1", "Connect call failed"),
        ("http://nobody.invalid", "Name or service not known|Temporary failure|No address"),
    ],
)
async def test_nobody_there_is_a_fault_when_patience_ends(url: str, why: str) -> None:
    async with sender(url, retry_for_s=0.25) as to:
        with pytest.raises(
            Fault, match=r"accepted no request for 0 s.*resume output out"
        ) as raised:
            await deliver(to)
    assert raised.value.scope == "output"
    assert re.search(f"the connection failed: ({why})", raised.value.message)


async def later_in_seconds(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=429, headers={"retry-after": "1"})


async def later_as_a_date(_request: web.Request) -> web.StreamResponse:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    return web.Response(status=429, headers={"retry-after": at})


@pytest.mark.parametrize("later", [later_in_seconds, later_as_a_date])
async def test_retry_after_is_waited_for(later: Handler) -> None:
    handler, asked = answers(later, web.Response())
    async with server(handler) as port, sender(f"http://127.0.0.1:{port}") as to:
        assert await deliver(to) == Outcome()
    assert asked[1]["at"] - asked[0]["at"] >= 0.95


async def test_retry_after_holds_every_request_of_the_output() -> None:
    handler, asked = answers(web.Response(status=429, headers={"retry-after": "1"}), web.Response())
    refused: list[float] = []
    async with (
        server(handler) as port,
        sender(f"http://127.0.0.1:{port}", waits=refused) as to,
    ):
        first = asyncio.create_task(deliver(to))
        while not refused:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)
        await asyncio.gather(first, deliver(to))
    assert all(one["at"] - asked[0]["at"] >= 0.95 for one in asked[1:])


@pytest.mark.parametrize("asks", [1.7e12, float("inf")])
async def test_no_partner_holds_an_output_for_more_than_an_hour_at_a_time(asks: float) -> None:
    class Asking(Post):
        def classify(self, request: Request, answer: Answer) -> TryAgain | Fault | None:
            return None if answer.ok else TryAgain(asks)

    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.Event().wait()

    pace = Pace(None, now=lambda: 0.0, sleep=sleep)
    handler, _ = answers(web.Response(status=429))
    async with (
        server(handler) as port,
        sender(f"http://127.0.0.1:{port}", Asking, now=lambda: 0.0, pace=pace) as to,
    ):
        first = asyncio.create_task(deliver(to))
        while pace.is_free:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)
        second = asyncio.create_task(deliver(to))
        while not slept:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)
        for task in (first, second):
            task.cancel()
    assert slept == [3600.0]


async def test_patience_begins_with_the_first_attempt_not_with_the_wait_for_it() -> None:
    at = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal at
        at += seconds

    pace = Pace(None, now=lambda: at, sleep=sleep)
    pace.hold(900)
    handler, asked = answers(web.Response(status=503), web.Response())
    async with (
        server(handler) as port,
        sender(f"http://127.0.0.1:{port}", retry_for_s=600, now=lambda: at, pace=pace) as to,
    ):
        assert await deliver(to) == Outcome()
    assert at == 900
    assert len(asked) == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_stop_the_output_without_telling_them(status: int) -> None:
    words = '{"error": "key a-secret-key is not valid", "header": "Bearer a-secret-key"}'
    handler, asked = answers(web.Response(status=status, text=words))
    async with server(handler) as port, sender(f"http://127.0.0.1:{port}") as to:
        with pytest.raises(Fault) as raised:
            await deliver(to)
    assert raised.value.scope == "output"
    assert "is not valid" in raised.value.message
    assert "a-secret-key" not in raised.value.message
    assert len(asked) == 1


async def test_other_answers_are_the_connector_s() -> None:
    handler, asked = answers(web.Response(status=422, text="no such mpid; a-secret-key"))
    async with server(handler) as port, sender(f"http://127.0.0.1:{port}") as to:
        outcome = await deliver(to)
    assert dict(outcome.rejected) == {
        0: "422 no such mpid; ***", 1: "422 no such mpid; ***"
    }  # fmt: skip
    assert len(asked) == 1


async def test_an_answer_is_read_up_to_a_limit() -> None:
    huge = b'{"token": "t", "lives_ms": 1000}' + b" " * (3 * LARGEST_ANSWER)
    handler, _ = answers(web.Response(status=422, body=huge))
    seen = []

    class Sized(Post):
        def deliver(self, changes: Any) -> Any:
            answer = yield from_request(self.settings.url)
            seen.append(len(answer.body))
            return Outcome()

    async with server(handler) as port, sender(f"http://127.0.0.1:{port}", Sized) as to:
        await deliver(to)
    assert seen == [LARGEST_ANSWER]


def from_request(url: str) -> Any:
    from cdp_stream.connectors.exchange import Request

    return Request("GET", url)


async def test_a_redirect_within_the_host_is_followed_with_its_body() -> None:
    handler, asked = answers(web.Response(status=307, headers={"location": "/v2/changes"}),
                             web.Response())  # fmt: skip
    async with server(handler) as port, sender(f"http://127.0.0.1:{port}") as to:
        assert await deliver(to) == Outcome()
    assert [one["path"] for one in asked] == ["/changes", "/v2/changes"]
    assert asked[0]["body"] == asked[1]["body"] != b""


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_host_is_not_followed(status: int) -> None:
    elsewhere, stolen = answers(web.Response())
    async with server(elsewhere) as other:
        target = {"location": f"http://localhost:{other}/changes?key=1"}
        handler, _ = answers(web.Response(status=status, headers=target))
        async with server(handler) as port, sender(f"http://127.0.0.1:{port}") as to:
            with pytest.raises(
                Fault, match=rf"redirects \({status}\) to http://localhost:{other};"
            ):
                await deliver(to)
    assert stolen == []


async def test_a_circle_of_redirects_ends() -> None:
    handler, _ = answers(web.Response(status=308, headers={"location": "/changes"}))
    async with server(handler) as port, sender(f"http://127.0.0.1:{port}") as to:
        with pytest.raises(Fault, match="redirects round in circles"):
            await deliver(to)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_an_address_inside_is_refused_however_it_is_written(host: str) -> None:
    handler, asked = answers(web.Response())
    async with (
        server(handler) as port,
        sender(f"http://{host}:{port}", allow_private=False) as to,
    ):
        with pytest.raises(Fault, match="inside our own network; if that is meant, set allow"):
            await deliver(to)
    assert asked == []


async def test_a_metadata_address_is_refused() -> None:
    async with sender("http://169.254.169.254", allow_private=False) as to:
        with pytest.raises(Fault, match=r"169\.254\.169\.254 inside"):
            await deliver(to)


@pytest.mark.parametrize("url", ["ftp://example.com", "http://", "nonsense", "http://2130706433"])
async def test_what_is_no_address_is_a_fault(url: str) -> None:
    async with sender(url, retry_for_s=0.1) as to:
        with pytest.raises(Fault):
            await deliver(to)


async def test_the_fault_of_an_expired_certificate_names_it() -> None:
    authority = trustme.CA()
    now = datetime.now(UTC)
    old = authority.issue_cert(
        "127.0.0.1", not_before=now - timedelta(days=9), not_after=now - timedelta(days=2)
    )
    serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    old.configure_cert(serving)
    authority.configure_trust(trusting)
    handler, asked = answers(web.Response())
    async with (
        server(handler, serving) as port,
        sender(f"https://127.0.0.1:{port}", context=trusting) as to,
    ):
        with pytest.raises(Fault, match=r"trusted: certificate has expired; have it"):
            await deliver(to)
    assert asked == []


async def test_the_fault_of_an_unknown_authority_names_it() -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(serving)
    handler, _ = answers(web.Response())
    async with server(handler, serving) as port, sender(f"https://127.0.0.1:{port}") as to:
        with pytest.raises(Fault, match=r"https://127.0.0.1:.* cannot be trusted"):
            await deliver(to)


async def test_a_token_is_fetched_once_and_again_shortly_before_it_expires() -> None:
    tokens = iter(["t1", "t2"])
    fetched, at = 0, 1_000

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal fetched
        if request.path == "/token":
            fetched += 1
            return web.json_response({"token": next(tokens), "lives_ms": 600})
        return web.Response()

    async with (
        server(handle) as port,
        sender(f"http://127.0.0.1:{port}", Tokens, wall_ms=lambda: at) as to,
    ):
        await asyncio.gather(*(deliver(to) for _ in range(5)))
        at += 299
        await deliver(to)
        assert fetched == 1
        at += 1
        await deliver(to)
        assert fetched == 2


async def test_a_token_that_is_refused_is_fetched_once_more() -> None:
    tokens = iter(["stale", "fresh"])

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            return web.json_response({"token": next(tokens), "lives_ms": 3_600_000})
        fresh = request.headers["authorization"] == "Bearer fresh"
        return web.Response(status=200 if fresh else 401)

    async with server(handle) as port, sender(f"http://127.0.0.1:{port}", Tokens) as to:
        assert await deliver(to) == Outcome()


async def test_a_token_that_stays_refused_is_a_fault() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            return web.json_response({"token": "a-token", "lives_ms": 3_600_000})
        return web.Response(status=401, text="a-token is wrong")

    async with server(handle) as port, sender(f"http://127.0.0.1:{port}", Tokens) as to:
        with pytest.raises(Fault, match="refused our credentials: 401 \\*\\*\\* is wrong"):
            await deliver(to)


async def test_an_answer_that_the_connector_did_not_foresee_is_a_fault() -> None:
    handler, _ = answers(web.Response(text="<html>"))
    async with server(handler) as port, sender(f"http://127.0.0.1:{port}", Tokens) as to:
        with pytest.raises(Fault, match="could not make sense of an answer"):
            await deliver(to)


async def test_a_list_is_made() -> None:
    handler, asked = answers(web.json_response({"id": 42}))
    async with server(handler) as port, sender(f"http://127.0.0.1:{port}", Listed) as to:
        assert await to.create_list(change(), Cancellation()) == "42"
    assert json.loads(asked[0]["body"]) == {"name": "A"}


async def test_a_cancelled_delivery_tries_nothing_again() -> None:
    handler, asked = answers(web.Response(status=503, headers={"retry-after": "60"}))
    cancellation = Cancellation()
    async with server(handler) as port, sender(f"http://127.0.0.1:{port}") as to:
        delivery = asyncio.create_task(to.deliver([change()], cancellation))
        while not asked:  # noqa: ASYNC110 - the server's side
            await asyncio.sleep(0.01)
        cancellation.set()
        with pytest.raises(AbandonedError):
            await delivery
    assert len(asked) == 1


@pytest.mark.parametrize("status", [400, 422, 503])
async def test_of_a_secret_at_the_cut_of_an_answer_nothing_is_shown(status: int) -> None:
    handler, _ = answers(web.Response(status=status, text="." * 290 + "a-secret-key"))
    async with server(handler) as port, sender(f"http://127.0.0.1:{port}", retry_for_s=0) as to:
        try:
            told = " ".join((await deliver(to)).rejected.values())
        except Fault as fault:
            told = fault.message
    assert "." * 290 in told
    assert "a-s" not in told


async def test_of_a_secret_at_the_cut_of_an_error_nothing_is_shown() -> None:
    class Failing(Transport):
        async def ask(self, request: Request) -> Answer:
            raise httpx.ConnectError("." * 190 + "a-secret-key")

    partner = Failing(max_connections=1, timeout_s=1.0, allow_private=True)
    to = Sender(
        Post("out", PostSettings(url="http://127.0.0.1:1")), partner,
        pace=Pace(None, now=time.monotonic), retry_for_s=0, redaction=Redaction(["a-secret-key"]),
        metrics=SinkMetrics(of_process=False).of("out"),
    )  # fmt: skip
    with pytest.raises(Fault, match=r"\.{190}") as raised:
        await deliver(to)
    assert "a-s" not in raised.value.message
