"""Whom a request is from, when proxies stand between."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Network = IPv4Network | IPv6Network
_IPV6_PREFIX = 64
UNKNOWN = "unknown"


def client_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The right-most address that no trusted proxy has.

    Each proxy adds to the right of ``forwarded`` whom it was asked by. What a proxy that is not
    trusted, or the client, wrote there stands further left and is never looked at.
    """
    client = peer
    for hop in reversed(forwarded):
        if not is_trusted(client, trusted):
            return client
        address = _parsed(hop)
        if address is None:  # whoever wrote this is not to be believed about the rest either
            return client
        client = str(address)
    return client


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Whether the address is that of a proxy of ours."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in trusted)


def address_bucket(address: str) -> str:
    """What requests are counted by: an IPv6 host has a /64 for itself, an IPv4 one its address."""
    parsed = _parsed(address)
    if parsed is None:
        return UNKNOWN
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return str(ip_network((parsed, _IPV6_PREFIX), strict=False))


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: bare, ``1.2.3.4:80``, ``[::1]`` or ``[::1]:80``."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
