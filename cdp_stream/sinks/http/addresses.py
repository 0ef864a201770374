"""Which addresses a partner may have: none of our own network, unless a setting allows it; pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

__all__ = ["is_public"]

_SPECIAL: Final = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"))
"""Not public whatever lists of addresses say: the first is for special purposes in parts (RFC 6890;
192.0.0.192 is the metadata of Oracle's cloud), the second is Azure's own service inside each
virtual network, in the middle of a public range.
"""
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
"""Addresses of IPv4 behind a NAT64. Source: RFC 6052."""
_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that is given out. Older forms of IPv4, site-local addresses and the NAT64 of one's
own network lie beyond. Source: RFC 4291, 2.4; RFC 8215."""


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
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour
