"""Which addresses a partner may have: none of our own network, unless a setting allows it; pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

__all__ = ["is_public"]

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""Addresses of IPv4 behind a NAT64. Source: RFC 6052."""


def is_public(address: str) -> bool:
    """Whether an address, as a socket would connect to it, lies outside.

    Loopback, private, link-local (cloud metadata), shared, multicast and reserved ones do not, nor
    do they dressed up as IPv6.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and (inner := _inner(parsed)) is not None:
        return inner.is_global and not inner.is_multicast
    return parsed.is_global and not parsed.is_multicast


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour
