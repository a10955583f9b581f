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
    monkeypatch.setattr(ports._RANDOM, "choice", lambda _: next(choices))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        taken.listen()
        assert free_ports(1) == [second]


def test_no_free_port_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(ports._RANDOM, "choice", lambda _: taken.getsockname()[1])
        with pytest.raises(NoFreePort):
            free_ports(1)
