"""Servers as containers: of the images of compose, chosen by a variable, durable as processes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from devkit.servers.local import LocalServer, ServerUnavailable
from devkit.stack import ALL, engine, start_container, start_server
from devkit.stack.choice import LOCAL, VARIABLE
from devkit.stack.containers import RECIPES, ContainerServer
from devkit.stack.images import store


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """As on a machine without Docker."""
    engine.why_not.cache_clear()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    yield
    engine.why_not.cache_clear()


def test_every_server_can_be_either() -> None:
    assert RECIPES.keys() == LOCAL.keys() == ALL


@pytest.mark.parametrize("name", sorted(ALL))
def test_compose_says_image_and_health(name: str) -> None:
    said = store(name)
    image, _, version = said.image.rpartition(":")
    assert image
    assert version
    assert "$" not in said.image
    assert said.health


def test_a_version_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_VERSION", "7-alpine")
    assert store.__wrapped__("redis").image == "redis:7-alpine"


def test_a_local_process_if_so_wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, "local")
    with start_server("redis", tmp_path) as server:
        assert isinstance(server, LocalServer)
    with pytest.raises(ServerUnavailable, match="LIMELIGHT_SERVERS is local"):
        start_container("redis")


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_it_is_a_local_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with start_server("redis", tmp_path) as server:
        assert isinstance(server, LocalServer)


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_there_are_no_containers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, "containers")
    with pytest.raises(ServerUnavailable, match="redis: no container engine"):
        start_server("redis", tmp_path)


def test_a_wrong_choice_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, "docker")
    with pytest.raises(ServerUnavailable, match="'docker': must be one of auto, containers, local"):
        start_server("redis", tmp_path)


def test_a_container_keeps_data_and_address_when_it_is_killed() -> None:
    try:
        server = ContainerServer.start("redis")
    except ServerUnavailable as error:
        pytest.skip(str(error))
    with server:
        url, pid = server.url, server.pid
        assert _asked(server, b"SET drink espresso\r\n") == b"+OK\r\n"
        server.kill()
        with pytest.raises(ConnectionRefusedError):
            _asked(server, b"GET drink\r\n")
        server.restart()
        assert (server.url, server.pid != pid) == (url, True)
        assert _asked(server, b"GET drink\r\n") == b"$8\r\nespresso\r\n"
    with pytest.raises(ConnectionRefusedError):
        _asked(server, b"PING\r\n")


def _asked(server: ContainerServer, command: bytes) -> bytes:
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(command)
        return connection.recv(100)
