"""Which addresses lie inside."""

from __future__ import annotations

import pytest

from cdp_stream.sinks.http.transport import is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "100.100.100.200", "224.0.0.1", "255.255.255.255",
        "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "2001:0:53aa:64c:0:0:80ff:fffe", "fec0::1", "64:ff9b:1::a9fe:a9fe", "::169.254.169.254",
        "::ffff:0:a9fe:a9fe", "4000::1", "168.63.129.16", "::ffff:168.63.129.16", "192.0.0.1",
        "192.0.0.192", "192.0.0.9", "64:ff9b::a83f:8110", "nonsense", "",
    ],
)  # fmt: skip
def test_addresses_inside_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "93.184.216.34",
        "168.63.129.15",
        "192.0.1.1",
        "2606:4700::1111",
        "::ffff:1.1.1.1",
        "64:ff9b::101:101",
    ],
)
def test_addresses_outside_are_public(address: str) -> None:
    assert is_public(address)
