"""Ports for servers: different ones, and none that is taken."""

from __future__ import annotations

import socket

import pytest
from devkit import ports
from devkit.ports import NoFreePort, free_ports


def test_ports_asked_for_together_differ() -> None:
    found = free_ports(50)
    assert len(set(found)) == 50
    assert max(found) < 32_768


def test_a_taken_port_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = free_ports(2)
    choices = iter([first, first, second])
    monkeypatch.setattr(ports, "_given", set())
    monkeypatch.setattr(ports._RANDOM, "choice", lambda _: next(choices))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        taken.listen()
        assert free_ports(1) == [second]


def test_a_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens on it yet, as whoever asked for it has still to start its server."""
    monkeypatch.setattr(ports, "_RANGE", range(20_000, 20_040))
    monkeypatch.setattr(ports, "_given", set())
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    found = [free_ports(1)[0] for _ in range(20)]
    assert len(set(found)) == 20


def test_workers_have_no_port_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    shares = []
    for worker in ("gw0", "gw1"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        shares.append(set(ports._own()))
    assert shares[0].isdisjoint(shares[1])
    assert shares[0] | shares[1] == set(ports._RANGE)


def test_no_free_port_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(ports._RANDOM, "choice", lambda _: taken.getsockname()[1])
        with pytest.raises(NoFreePort):
            free_ports(1)
