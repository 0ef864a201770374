"""Partners behind a real HTTP server on loopback, and the ways in which a network fails them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

from cdp_stream.connectors.exchange import Request
from tests.partners.partner import Partner

__all__ = ["Address", "Trouble", "serving"]

Trouble = Literal["hang", "cut_before", "cut_after", "half", "garbage"]
"""What happens to a request: no answer; the connection is cut before the partner has seen it, or
after; half of the answer arrives; what arrives is not HTTP."""


@dataclass
class Address:
    """Where a partner is served.

    Attributes:
        url: `http://127.0.0.1:PORT`, without a slash behind it.
        troubles: what happens to the next requests, one each; None is nothing.
        let_go: set it to answer those that hang.
        most_at_a_time: how many requests were under way at once, at most.
    """

    url: str
    troubles: deque[Trouble | None] = field(default_factory=deque)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    most_at_a_time: int = 0


@asynccontextmanager
async def serving(partner: Partner) -> AsyncIterator[Address]:
    """Serve a partner on a free port of loopback."""
    address = Address("")
    under_way = 0

    async def answered(received: web.Request) -> web.StreamResponse:
        nonlocal under_way
        under_way += 1
        address.most_at_a_time = max(address.most_at_a_time, under_way)
        try:
            return await _answered(partner, address, received)
        finally:
            under_way -= 1

    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", answered)
    # Bodies arrive as they were sent: a partner sees what is packed, and its size.
    runner = web.AppRunner(application, auto_decompress=False, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    address.url = f"http://127.0.0.1:{port}"
    try:
        yield address
    finally:
        address.let_go.set()
        await runner.cleanup()


async def _answered(
    partner: Partner, address: Address, received: web.Request
) -> web.StreamResponse:
    body = await received.read()
    trouble = address.troubles.popleft() if address.troubles else None
    if trouble == "hang":
        await address.let_go.wait()
    if trouble == "cut_before":
        return _cut(received)
    headers = {name.lower(): value for name, value in received.headers.items()}
    answer = partner.answer(Request(received.method, str(received.url), body, headers))
    if trouble == "cut_after":
        return _cut(received)
    if trouble in ("half", "garbage"):
        assert received.transport is not None
        received.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"
            if trouble == "half"
            else b"\x16\x03\x01 what is this?\r\n\r\n"
        )
        return _cut(received)
    response = web.Response(status=answer.status, body=answer.body)
    for name, value in answer.headers.items():
        response.headers[name] = value
    return response


def _cut(received: web.Request) -> web.StreamResponse:
    assert received.transport is not None
    received.transport.close()
    return web.Response()
