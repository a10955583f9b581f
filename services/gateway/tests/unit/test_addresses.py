"""Whose request it is, when proxies stand between and clients lie."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_network

import pytest
from gateway.domain.addresses import UNKNOWN, address_bucket, client_address, is_trusted
from hypothesis import given
from hypothesis import strategies as st

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
addresses = st.ip_addresses().map(str)
strangers = addresses.filter(lambda address: not is_trusted(address, PROXIES))
proxies = st.ip_addresses(network="10.0.0.0/8").map(str)
garbage = st.lists(addresses | st.text(max_size=20))


@given(strangers, garbage)
def test_who_is_no_proxy_is_the_client_whatever_it_says(peer: str, forwarded: list[str]) -> None:
    assert client_address(peer, forwarded, PROXIES) == peer


@given(addresses, garbage)
def test_without_proxies_the_header_is_never_read(peer: str, forwarded: list[str]) -> None:
    assert client_address(peer, forwarded, ()) == peer


@given(garbage, strangers, st.lists(proxies), proxies)
def test_the_right_most_stranger_is_the_client(
    forged: list[str], client: str, between: list[str], peer: str
) -> None:
    found = client_address(peer, [*forged, client, *between], PROXIES)
    assert address_bucket(found) == address_bucket(client)


@given(st.lists(proxies), proxies)
def test_where_all_are_proxies_the_first_is_the_client(hops: list[str], peer: str) -> None:
    assert client_address(peer, hops, PROXIES) == [*hops, peer][0]


def test_what_a_garbled_hop_hides_is_not_believed() -> None:
    assert client_address("10.0.0.1", ["1.2.3.4", "unknown", "10.0.0.2"], PROXIES) == "10.0.0.2"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1.2.3.4:5678", "1.2.3.4"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("fe80::1%eth0", "fe80::1"),
        (" 1.2.3.4 ", "1.2.3.4"),
    ],
)
def test_hops_as_proxies_write_them(written: str, meant: str) -> None:
    assert client_address("10.0.0.1", [written], PROXIES) == meant


def test_a_proxy_may_come_over_a_mapped_address() -> None:
    assert is_trusted("::ffff:10.1.2.3", PROXIES)
    assert not is_trusted("::ffff:11.1.2.3", PROXIES)
    assert not is_trusted("", PROXIES)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_counts_for_itself(address: IPv4Address) -> None:
    assert address_bucket(str(address)) == str(address)
    assert address_bucket(f"::ffff:{address}") == str(address)


@given(st.ip_addresses(network="2001:db8:1:2::/64"))
def test_an_ipv6_address_counts_with_its_64_bit_network(address: object) -> None:
    assert address_bucket(str(address)) == "2001:db8:1:2::/64"


def test_other_networks_are_others() -> None:
    assert address_bucket("2001:db8:1:3::1") != address_bucket("2001:db8:1:2::1")


@pytest.mark.parametrize("text", ["", "nobody", "1.2.3", "1.2.3.4.5", "/run/sock", "[", "::1::"])
def test_what_is_no_address_is_one_unknown(text: str) -> None:
    assert address_bucket(text) == UNKNOWN
