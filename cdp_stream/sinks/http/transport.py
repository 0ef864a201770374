"""One HTTP request to a partner, sent once: which addresses and certificates, how long, how much.

The address is checked where the socket is made, so it is the one that the name resolved to for this
very connection: a name that means another address a moment later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from cdp_stream.connectors.exchange import Answer, Request

__all__ = ["LARGEST_ANSWER", "InsideAddressError", "Transport", "UntrustedError", "is_public"]

LARGEST_ANSWER: Final = 1024 * 1024
"""Bytes of an answer's body that are read."""
_INSIDE: Final = "address inside our own network:"
_INSIDE_ADDRESS: Final = re.compile(rf"{_INSIDE} ([0-9a-fA-F.:%]+)")
_NOT_CONNECTED: Final = re.compile(r"Cannot connect to host .* \[(.*)\]", re.DOTALL)
"""The transport's text of a time-out where no connection came about, for whatever reason."""
_PLAIN: Final = (OSError, PermissionError)
_CONNECT_S: Final = 10.0
_KEEP_ALIVE_S: Final = 30.0
_HEADERS: Final = {"accept-encoding": "identity", "user-agent": "cdp-stream"}
_EXTENSIONS: Final = {"timeout": {"connect": _CONNECT_S, "read": None, "pool": None}}

_SPECIAL: Final = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"))
"""Not public, whatever lists have: the first is for special purposes in parts (RFC 6890;
192.0.0.192 is the metadata of Oracle's cloud), the second is Azure's own service inside each
virtual network, in the middle of a public range.
"""
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
"""Addresses of IPv4 behind a NAT64. Source: RFC 6052."""
_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that is assigned. Older forms of IPv4, site-local addresses and the NAT64 of one's
own network lie beyond. Source: RFC 4291, 2.4; RFC 8215."""


class InsideAddressError(Exception):
    """A partner's address lies in a network of our own; the text is the address."""


class UntrustedError(Exception):
    """A partner's certificate cannot be trusted; the text is the reason."""


class Transport:
    """Connections to a partner.

    Args:
        max_connections: How many at a time.
        timeout_s: The longest that a request may take in all.
        allow_private: Whether addresses inside our own network may be called.
        context: Which certificates count; None: those of the system's authorities.
    """

    def __init__(
        self,
        *,
        max_connections: int,
        timeout_s: float,
        allow_private: bool,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._max_connections = max_connections
        self._allow_private = allow_private
        self._context = context or ssl.create_default_context()
        self._transport: AiohttpTransport | None = None

    async def open(self) -> None:
        """Begin, on the running loop."""
        connector = aiohttp.TCPConnector(
            limit=self._max_connections,
            keepalive_timeout=_KEEP_ALIVE_S,
            ssl=self._context,
            socket_factory=self._socket,
            ttl_dns_cache=30,
        )
        session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        self._transport = AiohttpTransport(client=session)

    async def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.aclose()

    async def ask(self, request: Request) -> Answer:
        """Send a request and read what is answered, up to `LARGEST_ANSWER` bytes.

        Raises:
            InsideAddressError: The partner's address is inside, and that is not allowed.
            UntrustedError: Its certificate cannot be trusted.
            httpx.TransportError, OSError, TimeoutError: It could not be reached, or did not answer.
        """
        assert self._transport is not None, "opened"
        # With a stream httpx adds no headers of its own; those of host and length are aiohttp's.
        sent = httpx.Request(
            request.method,
            _url(request.url),
            headers={**_HEADERS, **request.headers},
            stream=httpx.ByteStream(request.body),
            extensions=_EXTENSIONS,
        )
        sent.read()
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._transport.handle_async_request(sent)
                assert isinstance(response.stream, httpx.AsyncByteStream)
                try:
                    body = await _body(response.stream)
                finally:
                    await response.stream.aclose()
        except Exception as error:
            raise _named(error) from error
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers.raw
        }
        return Answer(response.status_code, body, headers)

    def _socket(self, address_info: Any) -> socket.socket:
        family, kind, protocol, _name, address = address_info
        if not self._allow_private and not is_public(str(address[0])):
            # An OSError, so that the next address is tried; known by its text, which
            # is all that is left when several addresses have failed.
            raise PermissionError(errno.EPERM, f"{_INSIDE} {address[0]}")
        return socket.socket(family, kind, protocol)


@lru_cache(maxsize=256)
def _url(text: str) -> httpx.URL:
    """An address, parsed once: it costs as much as the rest of a request's making."""
    return httpx.URL(text)


async def _body(stream: httpx.AsyncByteStream) -> bytes:
    parts, size = [], 0
    async for part in stream:
        parts.append(part)
        size += len(part)
        if size >= LARGEST_ANSWER:
            break
    return b"".join(parts)[:LARGEST_ANSWER]


def _named(error: Exception) -> Exception:
    """An error under the name that shows what can be done."""
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, aiohttp.ClientConnectorCertificateError):
            cause = cause.certificate_error  # noqa: PLW2901 - what it is about
        if isinstance(cause, ssl.SSLCertVerificationError):
            return UntrustedError(cause.verify_message or "the certificate cannot be verified")
    for cause in causes:
        inside = _INSIDE_ADDRESS.search(str(cause)) if type(cause) in _PLAIN else None
        if inside is not None:
            return InsideAddressError(inside[1])
    if isinstance(error, httpx.ConnectTimeout) and (why := _NOT_CONNECTED.search(str(error))):
        return httpx.ConnectError(why[1])
    if isinstance(error, aiohttp.ClientResponseError):
        return httpx.RemoteProtocolError("it answered something that is not HTTP")
    if isinstance(error, aiohttp.InvalidURL):
        return httpx.InvalidURL(type(error).__name__)
    return error


def _causes(error: BaseException) -> list[BaseException]:
    """An exception and those that it came from."""
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in found:
        found.append(one)
        one = one.__cause__ or one.__context__
    return found


def is_public(address: str) -> bool:
    """Whether an address, as a socket would connect to it, lies outside.

    Loopback, private, link-local (cloud metadata), shared, multicast and reserved ones do not, nor
    do they dressed up as IPv6.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        inner = _inner(parsed)
        if inner is None:
            return parsed in _UNICAST and parsed.is_global
        parsed = inner
    if any(parsed in network for network in _SPECIAL):
        return False
    return parsed.is_global and not parsed.is_multicast


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address inside an IPv6 address, if there is one."""
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour
